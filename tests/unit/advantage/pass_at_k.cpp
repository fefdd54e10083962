#include <emend/advantage/pass_at_k.hpp>
#include <emend/core/moments.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using numbers = std::vector<double>;

TEST_CASE("pass_at_k: the lead of the best") {
  const numbers reward{1, 5, 4, 9};
  const std::vector<int> group{0, 0, 0, 1};
  CHECK(pass_at_k(reward, group, {.is_scaled = false}) == numbers{0, 1, 0, 0});
  const numbers three{1, 5, 4};
  CHECK(pass_at_k(reward, group, {.epsilon = 0})[1] == doctest::Approx(1 / moments_of(three).deviation()));
  const numbers tied{2, 2}, one_absent{2, std::nan("")}, falling{3, 2, 1};
  CHECK(pass_at_k(tied, {}) == numbers{0, 0});
  CHECK(pass_at_k(tied, {}, {.epsilon = 0}) == numbers{0, 0});
  CHECK(pass_at_k(one_absent, {}) == numbers{0, 0});
  CHECK(pass_at_k(falling, {}, {.is_scaled = false}) == numbers{1, 0, 0});
}

TEST_CASE("pass_at_k: an infinite reward is refused, an absent one is left out; the epsilon") {
  const std::vector<int> group{0, 0, 0, 0};
  for (const double wrong : {HUGE_VAL, -HUGE_VAL})
    CHECK_THROWS_NAMING(pass_at_k(numbers{1, 2, 3, wrong}, group), "reward");
  CHECK(pass_at_k(numbers{1, std::nan(""), 4, 7}, group, {.is_scaled = false}) == numbers{0, 0, 0, 3});
  CHECK_THROWS_NAMING(pass_at_k(numbers{1, 2}, {}, {.epsilon = -1}), "epsilon");
  CHECK(pass_at_k({}, {}).empty());
}

}  // namespace
