#include <emend/reward/divergence_reward.hpp>

#include <doctest/doctest.h>

#include <cmath>

namespace {

using namespace emend;

TEST_CASE("what a token earns, in every mode, before the divergence, at it and after it") {
  const double log_prob = std::log(0.25), best = std::log(0.5), reference = std::log(0.125);
  const auto earns = [&](const divergence_reward& reward, bool is_match, bool has_diverged) {
    return reward(is_match, has_diverged, log_prob, best, reference);
  };
  struct expected {
    reward_mode mode;
    double before, after_wrong;
  };
  for (const expected& e :
       {expected{reward_mode::sign, 2, -3}, expected{reward_mode::prob, 2 * 0.25, -3 * 0.75},
        expected{reward_mode::margin, 2 * 0.25, -3 * 0.25}, expected{reward_mode::logratio, 2, -3 * std::log(2)}}) {
    const divergence_reward reward{.mode = e.mode, .positive = 2, .negative = 3, .neutral = 0.5};
    CHECK(earns(reward, true, false) == doctest::Approx(e.before));
    CHECK(earns(reward, false, true) == doctest::Approx(e.after_wrong));
    CHECK(earns(reward, true, true) == 0.5);
    divergence_reward positive = reward;
    positive.is_neutral_positive = true;
    CHECK(earns(positive, true, true) == doctest::Approx(e.before));
  }
  const divergence_reward dense{.mode = reward_mode::dense};
  for (const bool has_diverged : {false, true})
    CHECK(earns(dense, !has_diverged, has_diverged) == doctest::Approx(std::log(2)));
}

TEST_CASE("the log-ratio's clip, and tokens that the model excludes") {
  const divergence_reward clipped{.mode = reward_mode::logratio, .clip = 1.5};
  CHECK(clipped(false, true, -9.0, -1.0, 0.0) == -1.5);
  CHECK(clipped(false, true, -2.0, -1.0, 0.0) == -1);
  CHECK(clipped(false, true, -2.5, -1.0, 0.0) == -1.5);
  CHECK(clipped(false, true, -HUGE_VAL, -1.0, 0.0) == -1.5);
  const divergence_reward prob{.mode = reward_mode::prob};
  CHECK(prob(false, true, -HUGE_VAL, -1.0, 0.0) == -1);
  // A factor of 0 leaves its term out.
  const divergence_reward none{.mode = reward_mode::logratio, .negative = 0, .clip = HUGE_VAL};
  CHECK(none(false, true, -HUGE_VAL, -1.0, 0.0) == 0);
}

}  // namespace
