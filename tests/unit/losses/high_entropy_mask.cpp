#include <emend/losses/high_entropy_mask.hpp>
#include <emend/core/layout.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using numbers = std::vector<double>;

const double bad = std::nan("");

TEST_CASE("high entropy: a linear quantile of the counted tokens") {
  const numbers entropy{4, 1, bad, 3, 2}, mask{1, 1, 0, 1, 1};
  const padded layout(1, 5, mask);
  CHECK(high_entropy_mask(entropy, layout, 0) == numbers{1, 1, 0, 1, 1});
  CHECK(high_entropy_mask(entropy, layout, 0.5) == numbers{1, 0, 0, 1, 0});  // threshold 2.5
  CHECK(high_entropy_mask(entropy, layout, 1) == numbers{1, 0, 0, 0, 0});
  const numbers none(5, 0), one{0, 0, 0, 1, 0};
  CHECK(high_entropy_mask(entropy, padded(1, 5, none), 0.8) == none);
  CHECK(high_entropy_mask(entropy, padded(1, 5, one), 0.8) == one);
  CHECK_THROWS_NAMING(high_entropy_mask(entropy, layout, 1.5), "quantile");
}

}  // namespace
