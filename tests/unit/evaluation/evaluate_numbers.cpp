// evaluate_log_probs and evaluate_values: losses over numbers that somebody else's network gave.
#include <emend/evaluation/evaluate_numbers.hpp>
#include <emend/losses/cross_entropy.hpp>
#include <emend/losses/ppo_clip.hpp>
#include <emend/losses/value_clip.hpp>

#include <doctest/doctest.h>

#include <cmath>

#include "throws.hpp"

namespace {

using namespace emend;

TEST_CASE("log-probabilities: value, gradient, mask, weight, normaliser") {
  const std::vector<double> log_prob{-1, -2, -3, -4}, weight{1, 0.5, 1, 0};
  const std::vector<int> mask{1, 1, 0, 1};
  const auto got = evaluate_log_probs(cross_entropy{}, log_prob, {.mask = mask, .weight = weight, .normaliser = 2});
  CHECK(got.value == 1);
  CHECK(got.gradient == std::vector<double>{-0.5, -0.25, 0, 0});
  CHECK(got.evaluated == 2);
}

TEST_CASE("a masked NaN is not read, and a loss of zero slope passes none") {
  const std::vector<double> log_prob{-1, std::nan("")}, old{-1, -1}, advantage{2, 2};
  const std::vector<int> mask{1, 0};
  const auto got = evaluate_log_probs(ppo_clip{old, advantage}, log_prob, {.mask = mask});
  CHECK(got.value == -2);
  CHECK(got.gradient == std::vector<double>{-2, 0});
}

TEST_CASE("errors name the argument") {
  const std::vector<double> two{-1, -2}, three{1, 2, 3};
  const std::vector<int> mask{1, 1, 1};
  CHECK_THROWS_NAMING(evaluate_log_probs(cross_entropy{}, two, {.mask = mask}), "mask");
  CHECK_THROWS_NAMING(evaluate_log_probs(cross_entropy{}, two, {.weight = three}), "weight");
  CHECK_THROWS_NAMING(evaluate_log_probs(cross_entropy{}, two, {.normaliser = 0}), "normaliser");
  CHECK_THROWS_NAMING(evaluate_log_probs(ppo_clip{three, two}, two), "old_log_prob");
  CHECK_THROWS_NAMING(evaluate_values(value_clip{two, three}, two), "returns");
  CHECK_THROWS_NAMING(evaluate_values(value_clip{three, two}, two), "old_value");
  CHECK_THROWS_NAMING(evaluate_values(value_clip{two, two, 0}, two), "clip");
}

}  // namespace
