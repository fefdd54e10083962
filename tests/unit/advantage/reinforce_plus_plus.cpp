#include <emend/advantage/reinforce_plus_plus.hpp>
#include <emend/core/layout.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using numbers = std::vector<double>;

TEST_CASE("REINFORCE++ whitens returns; its baseline form whitens relative rewards") {
  const numbers reward{0, 1, 0, 3};
  const auto got = reinforce_plus_plus(reward, padded(2, 2), {}, {.is_unbiased = false, .epsilon = 0});
  CHECK(got.returns == numbers{1, 1, 3, 3});
  CHECK(got.advantage == numbers{-1, -1, 1, 1});
  const numbers per_sequence{1, 3};
  CHECK(reinforce_plus_plus_baseline(per_sequence, {}, padded(2, 2), lone_sequence::zero,
                                     {.is_unbiased = false, .epsilon = 0}) == numbers{-1, -1, 1, 1});
  const std::vector<int> none{0, 0, 0, 0};
  CHECK(reinforce_plus_plus_baseline(per_sequence, {}, padded(2, 2, none)) == numbers{0, 0, 0, 0});
  CHECK_THROWS_NAMING(reinforce_plus_plus_baseline(reward, {}, padded(2, 2)), "reward");
}

TEST_CASE("an infinite reward is refused") {
  const std::vector<int> group{0, 0, 1, 1};
  for (const double wrong : {HUGE_VAL, -HUGE_VAL})
    CHECK_THROWS_NAMING(reinforce_plus_plus_baseline(numbers{1, 2, 3, wrong}, group, padded(4, 2)), "reward");
}

}  // namespace
