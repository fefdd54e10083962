#include <emend/reward/rudder.hpp>

#include <doctest/doctest.h>

#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using numbers = std::vector<double>;

const std::vector<int> hole{1, 0, 1, 0, 0, 0};  // two rows of three; the second has no token

TEST_CASE("RUDDER telescopes over counted tokens") {
  const numbers score{2, 99, 5, 99, 99, 99}, too_short{1, 7};
  CHECK(rudder_rewards(score, padded(2, 3, hole)) == numbers{2, 0, 3, 0, 0, 0});
  CHECK_THROWS_NAMING(rudder_rewards(too_short, padded(2, 3)), "return_prediction");
}

}  // namespace
