#include <emend/advantage/opo.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using numbers = std::vector<double>;

TEST_CASE("opo: the baseline weighs by length") {
  const numbers reward{1, 4, 7};
  const std::vector<int> offsets{0, 1, 4, 4}, group{0, 0, 1};
  CHECK(opo(reward, group, ragged(offsets)) == numbers{1 - 13.0 / 4, 4 - 13.0 / 4, 0});
  CHECK(opo(reward, group, ragged(offsets), lone_sequence::raw)[2] == 7);
  const std::vector<int> no_tokens{0, 0, 0};
  const numbers two{1, 2};
  CHECK(opo(two, {}, ragged(no_tokens)) == two);
  CHECK_THROWS_NAMING(opo(two, {}, ragged(offsets)), "reward");
}

TEST_CASE("opo: an infinite reward is refused") {
  const std::vector<int> group{0, 0, 1, 1};
  for (const double wrong : {HUGE_VAL, -HUGE_VAL})
    CHECK_THROWS_NAMING(opo(numbers{1, 2, 3, wrong}, group, padded(4, 2)), "reward");
}

}  // namespace
