#include <emend/distillation/remaining_share_weights.hpp>

#include <doctest/doctest.h>

#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using numbers = std::vector<double>;

TEST_CASE("remaining_share_weights: by the share of advantage that remains") {
  const numbers advantage{1, 9, -2, 1, 0, 0}, mask{1, 0, 1, 1, 1, 1};
  const std::vector<int> offsets{0, 4, 6};
  CHECK(remaining_share_weights(advantage, ragged(offsets, mask), 0.5) == numbers{1.5, 0, 1.375, 1.125, 1.5, 1.5});
  CHECK(remaining_share_weights(advantage, ragged(offsets, mask), 0) == numbers{1, 0, 1, 1, 1, 1});
  CHECK(remaining_share_weights(numbers{}, padded(0, 4)).empty());
  CHECK(remaining_share_weights(numbers{-3}, padded(1, 1)) == numbers{2});
  CHECK_THROWS_NAMING(remaining_share_weights(advantage, padded(1, 2)), "advantage");
}

}  // namespace
