#include <emend/advantage/remax.hpp>
#include <emend/core/layout.hpp>

#include <doctest/doctest.h>

#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using numbers = std::vector<double>;

TEST_CASE("ReMax: returns less the greedy response's reward") {
  const numbers reward{1, 2, 4, 9}, greedy{10, 1};
  const std::vector<int> mask{1, 1, 1, 0};
  const auto got = remax(reward, greedy, padded(2, 2, mask));
  CHECK(got.returns == numbers{3, 2, 4, 0});
  CHECK(got.advantage == numbers{-7, -8, 3, 0});
  CHECK_THROWS_NAMING(remax(reward, reward, padded(2, 2)), "greedy_reward");
}

}  // namespace
