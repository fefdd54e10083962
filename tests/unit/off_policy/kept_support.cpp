// Sampling-support replay: a sampler that cut its distribution (top-p, top-k, min-p) reports log-probabilities
// renormalised over what it kept. The learner's ratio is 1 on policy only if it is renormalised over the same ids.
#include <emend/core/matrix.hpp>
#include <emend/evaluation/evaluate.hpp>
#include <emend/evaluation/statistics.hpp>
#include <emend/losses/ppo_clip.hpp>

#include <doctest/doctest.h>

#include <cmath>

using namespace emend;
using emend::index;  // not the one of <strings.h>

TEST_CASE("a PPO ratio over the sampler's kept ids") {
  const matrix<double> scores(2, 4, {1, 0.5, -1, -2, 0, 2, 1, -3});
  const std::vector<int> targets{1, 2}, offsets{0, 2, 5}, ids{0, 1, 1, 0, 2};
  const kept_ids kept{.offsets = offsets, .ids = ids};
  // What the sampler reports.
  const std::vector<double> behaviour{0.5 - std::log(std::exp(1) + std::exp(0.5)),
                                      1 - std::log(std::exp(2) + 1 + std::exp(1))};
  const std::vector<double> advantage{1, -1};
  const ppo_clip loss{.old_log_prob = behaviour, .advantage = advantage};

  const auto replayed = evaluate(loss, scores, targets, {.kept = kept});
  CHECK(replayed.metrics[3] == doctest::Approx(1).epsilon(1e-14));  // ratio
  CHECK(replayed.metrics[0] == 0);                                  // clip fraction
  // Over everything the same policy looks off its own policy, every ratio below 1.
  const auto biased = evaluate(loss, scores, targets);
  CHECK(biased.metrics[3] < 0.95);

  // Gradient: central differences, 0 outside the kept set.
  for (index i = 0; i < 2; ++i)
    for (index j = 0; j < 4; ++j) {
      matrix<double> x = scores;
      const double step = 1e-6;
      x(i, j) = scores(i, j) + step;
      const double above = evaluate_value(loss, x, targets, {.kept = kept});
      x(i, j) = scores(i, j) - step;
      const double below = evaluate_value(loss, x, targets, {.kept = kept});
      CHECK(replayed.gradient(i, j) == doctest::Approx((above - below) / (2 * step)).epsilon(1e-6).scale(0.1));
    }
  CHECK(replayed.gradient(0, 2) == 0);
  CHECK(replayed.gradient(1, 3) == 0);
}
