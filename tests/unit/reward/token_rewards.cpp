#include <emend/reward/token_rewards.hpp>

#include <doctest/doctest.h>

#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;

TEST_CASE("score, divergence, scalar at the last counted token, clamp") {
  const std::vector<double> score{1, 2, 3, 4}, old{-1, -1, -2, -1}, reference{-2, -1, -1, -3}, scalar{10, -100};
  const std::vector<int> mask{1, 1, 1, 0};
  const auto got = token_rewards(score, old, reference, padded(2, 2, mask),
                                 {.score_scale = 2, .kl_coefficient = 0.5, .scalar_scale = 0.1, .scalar_reward = scalar, .clamp = 3});
  CHECK(got[0] == doctest::Approx(2 - 0.5));
  CHECK(got[1] == 3);   // 4 + 1, clamped
  CHECK(got[2] == -3);  // 6 + 0.5 - 10, clamped
  CHECK(got[3] == 0);
}

TEST_CASE("errors name the argument") {
  const std::vector<double> two{1, 2}, three{1, 2, 3};
  const padded layout(1, 3);
  CHECK_THROWS_NAMING(token_rewards(two, three, three, layout), "score");
  CHECK_THROWS_NAMING(token_rewards(three, two, three, layout), "old_log_prob");
  CHECK_THROWS_NAMING(token_rewards(three, three, two, layout), "reference_log_prob");
  CHECK_THROWS_NAMING(token_rewards(three, three, three, layout, {.scalar_reward = two}), "scalar_reward");
  CHECK_THROWS_NAMING(token_rewards(three, three, three, layout, {.clamp = 0}), "clamp");
}

}  // namespace
