#include <emend/off_policy/off_policy_sequence_mask.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using numbers = std::vector<double>;

const double unknown = std::nan("");

TEST_CASE("off-policy sequence mask: the advantage's sign, the threshold, missing tokens") {
  const numbers behaviour{-1, -1, -1, unknown, -1, -1, 5, 5}, learner{-1.3, -1.1, -1.3, -99, -1.3, -1.1, 0, 0};
  const numbers advantage{-1, -1, 0, -1}, mask{1, 1, 1, 1, 1, 1, 0, 0};
  CHECK(off_policy_sequence_mask(learner, behaviour, advantage, padded(4, 2, mask), 0.16) == numbers{0, 1, 1, 1});
  CHECK(off_policy_sequence_mask(learner, behaviour, advantage, padded(4, 2, mask), 0.21) == numbers{1, 1, 1, 1});
  CHECK(off_policy_sequence_mask(learner, behaviour, advantage, padded(4, 2, mask), 0.14) == numbers{0, 0, 1, 1});
}

TEST_CASE("off-policy sequence mask: errors name the argument") {
  const numbers two{-1, -1};
  CHECK_THROWS_NAMING(off_policy_sequence_mask(two, two, two, padded(1, 2), 0.1), "advantage");
  CHECK_THROWS_NAMING(off_policy_sequence_mask(numbers{-1}, two, numbers{1}, padded(1, 2), 0.1), "log_prob");
  CHECK_THROWS_NAMING(off_policy_sequence_mask(two, two, numbers{1}, padded(1, 2), unknown), "threshold");
}

}  // namespace
