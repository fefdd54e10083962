#include <emend/reward/reward_scaling.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using numbers = std::vector<double>;

TEST_CASE("bias, scale, clamp, in this order; an absent reward stays absent") {
  const numbers reward{1, 4, __builtin_nan("")};
  const numbers got = scale_rewards(reward, {.bias = -2, .scale = 3, .low = -1, .high = 5});
  CHECK(got[0] == -1);
  CHECK(got[1] == 5);
  CHECK(got[2] != got[2]);
  CHECK_THROWS_NAMING(scale_rewards(reward, {.low = 1, .high = 0}), "low");
  const numbers far{HUGE_VAL, __builtin_nan("")};
  const numbers zero = scale_rewards(far, {.scale = 0});
  CHECK(zero[0] == 0);
  CHECK(zero[1] != zero[1]);
  CHECK_THROWS_NAMING(scale_rewards(reward, {.bias = __builtin_nan("")}), "bias");
  CHECK_THROWS_NAMING(scale_rewards(reward, {.scale = __builtin_nan("")}), "scale");
}

}  // namespace
