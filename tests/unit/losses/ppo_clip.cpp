#include <emend/losses/ppo_clip.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "policy_batch.hpp"
#include "throws.hpp"
#include "token_of.hpp"

namespace {

using namespace emend;

struct ppo_case {
  double ratio, advantage, loss, slope;  // slope with respect to the log-probability
  double is_clipped;
};

TEST_CASE("ppo_clip: the four corners, and inside") {
  for (const ppo_case& c : {ppo_case{1.1, 2, -2.2, -2.2, 0},
                            {1.5, 2, -2.4, 0, 1},
                            {1.5, -2, 3, 3, 0},
                            {0.5, 2, -1, -1, 0},
                            {0.5, -2, 1.6, 0, 1},
                            {1, 0, 0, 0, 0}}) {
    CAPTURE(c.ratio);
    CAPTURE(c.advantage);
    const std::vector<double> old{-2}, advantage{c.advantage};
    const ppo_clip loss{old, advantage, 0.2, 0.2};
    const double log_prob = -2 + std::log(c.ratio);
    CHECK(loss(token_of(log_prob)) == doctest::Approx(c.loss));
    CHECK(loss(token_of(one_derivative::variable(log_prob, 0))).derivative[0] == doctest::Approx(c.slope));
    const auto metrics = loss.metrics(token_of(log_prob));
    CHECK(metrics[0] == c.is_clipped);
    CHECK(metrics[1] == doctest::Approx(c.ratio - 1 - std::log(c.ratio)));
    CHECK(metrics[2] == doctest::Approx(std::log(c.ratio)));
    CHECK(metrics[3] == doctest::Approx(c.ratio));
    CHECK(metrics[4] == 0.5);
  }
}

TEST_CASE("ppo_clip: the two sides clip apart") {
  const std::vector<double> old{0}, up{1}, down{-1};
  CHECK(ppo_clip{old, up, 0.2, 0.5}(token_of(std::log(2.0))) == doctest::Approx(-1.5));
  CHECK(ppo_clip{old, down, 0.3, 0.5}(token_of(std::log(0.1))) == doctest::Approx(0.7));
}

TEST_CASE("ppo_clip: a ratio at the edge passes its derivative") {
  // At exactly 1 + clip both branches are the same number: half of each derivative, and clamp passes whole.
  const std::vector<double> old{0}, advantage{1};
  const ppo_clip loss{old, advantage, 0.5, 1};
  one_derivative log_prob = one_derivative::variable(std::log(2.0), 0);
  REQUIRE(std::exp(log_prob.value) == 2);
  CHECK(loss(token_of(log_prob)).derivative[0] == doctest::Approx(-2));
}

TEST_CASE("ppo_clip: extreme ratios stay finite where the clip closes") {
  const std::vector<double> old{-800}, advantage{1};
  const ppo_clip loss{old, advantage};
  CHECK(loss(token_of(0.0)) == doctest::Approx(-1.2));
  CHECK(loss(token_of(one_derivative::variable(0, 0))).derivative[0] == 0);
}

TEST_CASE("columns are checked once, and named") {
  const std::vector<double> two{1, 2}, three{1, 2, 3};
  CHECK_THROWS_NAMING((ppo_clip{two, three}.check(3)), "old_log_prob");
  CHECK_THROWS_NAMING((ppo_clip{three, two}.check(3)), "advantage");
  CHECK_NOTHROW((ppo_clip{three, three}.check(3)));
}

TEST_CASE("ppo_clip: gradients are the derivatives of the value, with every bound") {
  const policy_batch b;
  check_gradient(ppo_clip{b.old, b.advantage});
  check_gradient(ppo_clip{.old_log_prob = b.old, .advantage = b.advantage, .dual_clip = 1.5});
  check_gradient(ppo_clip{.old_log_prob = b.old, .advantage = b.advantage, .ratio_cap = 1.4});
  check_gradient(ppo_clip{.old_log_prob = b.old, .advantage = b.advantage, .log_ratio_bound = 0.5});
}

TEST_CASE("ppo_clip: an advantage of 0, and errors that name the argument") {
  const std::vector<double> zero{0}, old{-800}, three{1, 2, 3};
  check_zero_advantage(ppo_clip{old, zero});
  CHECK_THROWS_NAMING(evaluate_log_probs(ppo_clip{.old_log_prob = three, .advantage = three, .dual_clip = 0.5}, three),
                      "dual_clip");
  CHECK_THROWS_NAMING(evaluate_log_probs(ppo_clip{three, three, -0.1}, three), "clip_low");
}

TEST_CASE("ppo_clip: ratios that overflow stay finite where they are bounded; a clipped branch passes no gradient") {
  const std::vector<double> positive{1}, negative{-1}, old{-1000}, now{0};
  const auto clipped = evaluate_log_probs(ppo_clip{old, positive}, now);
  CHECK(clipped.value == doctest::Approx(-1.2));
  CHECK(clipped.gradient[0] == 0);
  CHECK(evaluate_log_probs(ppo_clip{old, negative}, now).value == HUGE_VAL);
  const auto bounded =
      evaluate_log_probs(ppo_clip{.old_log_prob = old, .advantage = negative, .log_ratio_bound = 20}, now);
  CHECK(bounded.value == doctest::Approx(std::exp(20)));
  CHECK(bounded.gradient[0] == 0);
  const auto dual = evaluate_log_probs(ppo_clip{.old_log_prob = old, .advantage = negative, .dual_clip = 3}, now);
  CHECK(dual.value == 3);
  CHECK(dual.gradient[0] == 0);
}

TEST_CASE("ppo_clip: an empty batch, and a batch of masked tokens, have value 0 and no gradient") {
  const std::vector<double> none, masked{unread, unread}, zeros{0, 0};
  CHECK(evaluate_log_probs(ppo_clip{none, none}, none).value == 0);
  const auto result = evaluate_log_probs(ppo_clip{masked, masked}, masked, {.mask = zeros});
  CHECK(result.value == 0);
  CHECK(result.gradient == zeros);
  CHECK(result.metrics[2] == 0);
}

}  // namespace
