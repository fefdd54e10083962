#include <emend/reward/red.hpp>

#include <doctest/doctest.h>

#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using numbers = std::vector<double>;

const std::vector<int> hole{1, 0, 1, 0, 0, 0};  // two rows of three; the second has no token

TEST_CASE("RED telescopes over counted tokens") {
  const numbers score{2, 99, 5, 99, 99, 99}, empty{1, 7};
  CHECK(red_rewards(score, empty, padded(2, 3, hole)) == numbers{1, 0, 3, 0, 0, 0});
  CHECK(red_rewards(score, empty, padded(2, 3, hole), {.dense_weight = 0}) == numbers{0, 0, 5, 0, 0, 0});
  CHECK_THROWS_NAMING(red_rewards(empty, empty, padded(2, 3)), "prefix_score");
  CHECK_THROWS_NAMING(red_rewards(score, score, padded(2, 3)), "empty_score");
}

}  // namespace
