#include <emend/reward/segments.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using numbers = std::vector<double>;

TEST_CASE("segments close where the policy is unsure") {
  const numbers entropy{0, 5, 0, 5, 5, 0}, value{1, 8, 3, 6, 5, 9};
  const padded layout(1, 6);
  CHECK(segment_ends(entropy, layout, 0) == std::vector<index>{1, 3, 4});
  CHECK(segment_ends(entropy, layout, 0, {.is_last_token_in_segment = true}) == std::vector<index>{1, 3, 4, 5});
  CHECK(segment_ends(entropy, layout, 0, {.minimum_length = 3}) == std::vector<index>{3, 4});
  CHECK(segment_rewards(entropy, value, layout) == numbers{4, 4, 3, 3, 5, 0});
  CHECK(segment_rewards(entropy, value, layout, {.placement = segment_placement::end}) == numbers{0, 8, 0, 6, 5, 0});
  CHECK(segment_rewards(entropy, value, layout, {.clamp = 3.5}) == numbers{3.5, 3.5, 3, 3, 3.5, 0});
  const auto normalised =
      segment_rewards(entropy, value, layout,
                      {.placement = segment_placement::end, .mean_slope = 2, .mean_offset = 1, .deviation_offset = 4});
  CHECK(normalised[1] == doctest::Approx((8 - 2 * std::log(1.0 / 3) - 1) / 4));
  const numbers one{5};
  CHECK(segment_ends(one, padded(1, 1), 0) == std::vector<index>{0});
  const std::vector<int> none{0};
  CHECK(segment_ends(one, padded(1, 1, none), 0).empty());
  CHECK_THROWS_NAMING(segment_ends(one, layout, 0), "entropy");
  CHECK_THROWS_NAMING(segment_ends(one, padded(1, 1), 0, {.minimum_length = 0}), "minimum_length");
  CHECK_THROWS_NAMING(segment_rewards(entropy, one, layout), "value");
  CHECK_THROWS_NAMING(segment_rewards(entropy, value, layout, {.clamp = 0}), "clamp");
}

}  // namespace
