#include <emend/advantage/gpg.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using numbers = std::vector<double>;

TEST_CASE("gpg: scaled by the share of rewards other than 0") {
  const numbers reward{0, 2, 0, 0}, nothing{0, 0};
  CHECK(gpg(reward, {}) == numbers{-2, 6, -2, -2});
  CHECK(gpg(reward, {}, {.scale = 2}) == numbers{-1, 3, -1, -1});
  CHECK(gpg(nothing, {}) == numbers{0, 0});
  const numbers part{0, 2};
  CHECK(gpg(part, {}, {.sequences = 4, .earning = 1})[1] == 4);  // counts of the whole batch
  CHECK_THROWS_NAMING(gpg(reward, {}, {.scale = 0}), "scale");
}

TEST_CASE("gpg: an infinite reward is refused, and counts that would be ignored or are no numbers") {
  const numbers reward{1, 2};
  const std::vector<int> group{0, 0, 1, 1};
  for (const double wrong : {HUGE_VAL, -HUGE_VAL}) CHECK_THROWS_NAMING(gpg(numbers{1, 2, 3, wrong}, group), "reward");
  CHECK_THROWS_NAMING(gpg(reward, {}, {.earning = 2}), "sequences");
  CHECK_THROWS_NAMING(gpg(reward, {}, {.sequences = -1}), "sequences");
  CHECK_THROWS_NAMING(gpg(reward, {}, {.sequences = 1, .earning = -1}), "earning");
}

}  // namespace
