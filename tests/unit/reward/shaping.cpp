// Controllers, scaling, penalties, masks.
#include <emend/reward/kl_controller.hpp>
#include <emend/reward/missing_end_penalty.hpp>
#include <emend/reward/overlong_penalty.hpp>
#include <emend/reward/truncation_penalty.hpp>
#include <emend/reward/response_mask.hpp>
#include <emend/reward/reward_scaling.hpp>

#include <doctest/doctest.h>

#include <cmath>

#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using numbers = std::vector<double>;

TEST_CASE("controllers follow the target, a bounded step at a time") {
  adaptive_kl_controller adaptive{.coefficient = 1, .target = 2, .horizon = 100};
  CHECK(adaptive.update(2, 50) == 1);
  CHECK(adaptive.update(2.2, 50) == doctest::Approx(1.05));
  CHECK(adaptive.update(1000, 50) == doctest::Approx(1.05 * 1.1));
  CHECK(adaptive.update(-1000, 50) == doctest::Approx(1.05 * 1.1 * 0.9));
  fixed_gain_kl_controller gain{.coefficient = 1, .target = 2};
  CHECK(gain.update(2.2) == doctest::Approx(1.01));
  CHECK(gain.update(1000) == doctest::Approx(1.01 * 1.02));
  CHECK(fixed_kl_controller{0.5}.update(1000, 3) == 0.5);
  CHECK_THROWS_NAMING((adaptive_kl_controller{.target = 0}.update(1, 1)), "target");
  CHECK_THROWS_NAMING((adaptive_kl_controller{.horizon = 0}.update(1, 1)), "horizon");
  CHECK_THROWS_NAMING((fixed_gain_kl_controller{.target = 0}.update(1)), "target");
}

TEST_CASE("controllers: the defaults, what is refused, and a coefficient that stays as it was then") {
  adaptive_kl_controller adaptive;
  CHECK(adaptive.update(12, 1000) == doctest::Approx(0.2 * (1 + 0.2 * 0.1)));
  CHECK(adaptive_kl_controller{}.update(6.6, 10000) == doctest::Approx(0.2 * 1.1));
  CHECK(adaptive_kl_controller{}.update(0, 10000) == doctest::Approx(0.2 * 0.8));
  CHECK(adaptive_kl_controller{}.update(0, 49999) > 0);
  CHECK(adaptive_kl_controller{}.update(12, 60000) == doctest::Approx(0.2 * 2.2));
  CHECK(adaptive_kl_controller{}.update(HUGE_VAL, 1000) == doctest::Approx(0.2 * 1.02));
  CHECK(adaptive_kl_controller{}.update(-HUGE_VAL, 1000) == doctest::Approx(0.2 * 0.98));
  CHECK(fixed_gain_kl_controller{}.update(12) == doctest::Approx(0.2 * 1.02));
  CHECK(fixed_gain_kl_controller{}.update(0) == doctest::Approx(0.2 * 0.98));
  CHECK(fixed_gain_kl_controller{.gain = 0}.update(HUGE_VAL) == 0.2);
  CHECK(fixed_kl_controller{}.update(12) == 0.02);
  const double before = adaptive.coefficient;
  CHECK_THROWS_NAMING(adaptive.update(0, 60000), "steps");
  CHECK_THROWS_NAMING(adaptive.update(0, 50000), "steps");
  CHECK_THROWS_NAMING(adaptive.update(1, -1), "steps");
  CHECK_THROWS_NAMING(adaptive.update(1, __builtin_nan("")), "steps");
  CHECK_THROWS_NAMING(adaptive.update(__builtin_nan(""), 10), "kl");
  CHECK(adaptive.coefficient == before);
  CHECK(adaptive.update(6, 10) == before);
  fixed_gain_kl_controller gain;
  CHECK_THROWS_NAMING(gain.update(__builtin_nan("")), "kl");
  CHECK(gain.coefficient == 0.2);
  CHECK_THROWS_NAMING((fixed_gain_kl_controller{.gain = 5}.update(0)), "gain");
  CHECK_THROWS_NAMING((fixed_gain_kl_controller{.gain = -1}.update(0)), "gain");
  CHECK_THROWS_NAMING((fixed_gain_kl_controller{.bound = -1}.update(0)), "bound");
  CHECK_THROWS_NAMING((adaptive_kl_controller{.bound = __builtin_nan("")}.update(0, 1)), "bound");
  CHECK_THROWS_NAMING((adaptive_kl_controller{.coefficient = -1}.update(0, 1)), "coefficient");
  CHECK_THROWS_NAMING((adaptive_kl_controller{.coefficient = __builtin_nan("")}.update(0, 1)), "coefficient");
}

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

TEST_CASE("truncation: scaled, zeroed without 0 times infinity, or replaced; whole responses as they were") {
  const numbers reward{2, -3, HUGE_VAL, 5};
  const std::vector<char> truncated{1, 1, 1, 0};
  CHECK(truncation_penalty(reward, truncated, 0.5) == numbers{1, -1.5, HUGE_VAL, 5});
  CHECK(truncation_penalty(reward, truncated, 0) == numbers{0, 0, 0, 5});
  CHECK(truncation_penalty(reward, truncated, -0.5) == numbers{-0.5, -0.5, -0.5, 5});
  CHECK(truncation_penalty(reward, truncated, 1) == reward);
  CHECK(truncation_penalty(numbers{}, std::vector<char>{}, 0).empty());
  CHECK_THROWS_NAMING(truncation_penalty(reward, truncated, 1.5), "coefficient");
  CHECK_THROWS_NAMING(truncation_penalty(reward, truncated, std::nan("")), "coefficient");
  CHECK_THROWS_NAMING(truncation_penalty(reward, std::vector<char>{1}, 0), "truncated");
}

TEST_CASE("overlong: nothing before the buffer, linear within, capped or not beyond") {
  const std::vector<int> length{0, 12, 14, 16, 20};
  CHECK(overlong_penalty(length, {.maximum_length = 16, .buffer = 4, .factor = 2}) == numbers{0, 0, -1, -2, -2});
  CHECK(overlong_penalty(length, {.maximum_length = 16, .buffer = 4, .factor = 2, .is_capped = false}) ==
        numbers{0, 0, -1, -2, -4});
  CHECK_THROWS_NAMING(overlong_penalty(length, {.maximum_length = 16, .buffer = 0}), "buffer");
  for (const double wrong : {-1.0, __builtin_nan("")})
    CHECK_THROWS_NAMING(overlong_penalty(numbers{wrong}, {.maximum_length = 16, .buffer = 4}), "length");
  CHECK_THROWS_NAMING(overlong_penalty(length, {.maximum_length = 16, .buffer = 17}), "buffer");
}

TEST_CASE("a response ends at the first of several ends") {
  const std::vector<int> ids{5, 2, 5, 5, 5, 5, 3, 2}, ends{2, 3}, counts{1, 1, 1, 1, 1, 1, 0, 1};
  const padded layout(2, 4);
  CHECK(response_mask(ids, layout, ends) == std::vector<char>{1, 1, 0, 0, 1, 1, 1, 0});
  CHECK(truncate_response(ids, layout, ends, 9) == std::vector<index>{5, 2, 9, 9, 5, 5, 3, 9});
  // An end that is not counted ends nothing.
  CHECK(response_mask(ids, padded(2, 4, counts), ends) == std::vector<char>{1, 1, 0, 0, 1, 1, 0, 1});
  CHECK(truncate_response(ids, padded(2, 4, counts), ends, 9) == std::vector<index>{5, 2, 9, 9, 5, 5, 3, 2});
  CHECK(response_mask(ids, layout, {}) == std::vector<char>(8, 1));
  CHECK(response_mask({}, padded(2, 0), ends).empty());
  CHECK_THROWS_NAMING(response_mask(ids, padded(1, 4), ends), "ids");
  CHECK_THROWS_NAMING(truncate_response(ids, padded(1, 4), ends, 0), "ids");
}

TEST_CASE("responses without an end pay") {
  const std::vector<int> ids{5, 2, 5, 5}, ends{2}, none{0, 0, 0, 0};
  CHECK(has_end(ids, padded(2, 2), ends) == std::vector<char>{1, 0});
  CHECK(missing_end_penalty(ids, padded(2, 2), ends, 1.5) == numbers{0, -1.5});
  CHECK(missing_end_penalty(ids, padded(2, 2, none), ends, 1.5) == numbers{-1.5, -1.5});
  CHECK_THROWS_NAMING(missing_end_penalty(ids, padded(1, 2), ends, 1), "ids");
  CHECK_THROWS_NAMING(missing_end_penalty(ids, padded(2, 2), {}, 1), "end_ids");
}

}  // namespace
