#include <emend/advantage/returns.hpp>

#include <doctest/doctest.h>

#include <vector>

#include "../random_numbers.hpp"
#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

TEST_CASE("discounted returns") {
  const std::vector<double> reward{1, 2, 4}, next{8};
  const std::vector<int> mask{1, 0, 1};
  CHECK(discounted_returns(reward, padded(1, 3), {.gamma = 0.5}) == std::vector<double>{3, 4, 4});
  CHECK(discounted_returns(reward, padded(1, 3, mask), {.gamma = 0.5}) == std::vector<double>{3, 0, 4});
  CHECK(discounted_returns(reward, padded(1, 3, mask), {.gamma = 0.5, .holes = hole_rule::decay}) ==
        std::vector<double>{2, 0, 4});
  CHECK(discounted_returns(reward, padded(1, 3), {.gamma = 0.5, .bootstrap = next})[2] == 8);
  CHECK_THROWS_NAMING(discounted_returns(reward, padded(1, 2)), "reward");
}

}  // namespace
