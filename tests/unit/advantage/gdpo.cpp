#include <emend/advantage/gdpo.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using numbers = std::vector<double>;

TEST_CASE("gdpo: several rewards, each in its own scale") {
  const numbers small{0, 1}, large{1000, 0}, weight{1, 2};
  const numbers sum = normalise_then_sum({small, large}, weight, {}, {.is_unbiased = false, .epsilon = 0});
  CHECK(sum == numbers{-1 + 2, 1 - 2});
  const numbers tokens =
      gdpo({small, large}, weight, {}, padded(2, 2), {.epsilon = 0}, {.is_unbiased = false, .epsilon = 0});
  for (std::size_t t = 0; t < 4; ++t) CHECK(tokens[t] == doctest::Approx(t < 2 ? 1 : -1));
  CHECK_THROWS_NAMING(normalise_then_sum({}, {}, {}), "rewards");
  CHECK_THROWS_NAMING(normalise_then_sum({small}, weight, {}), "weight");
}

TEST_CASE("gdpo: an infinite reward is refused, and a weight that is no number") {
  const numbers good{1, 2, 3, 4}, reward{1, 2};
  const std::vector<int> group{0, 0, 1, 1};
  for (const double wrong : {HUGE_VAL, -HUGE_VAL}) {
    const numbers bad{1, 2, 3, wrong};
    CHECK_THROWS_NAMING(normalise_then_sum({column(good), column(bad)}, {}, group), "reward");
    CHECK_THROWS_NAMING(gdpo({column(good), column(bad)}, {}, group, padded(4, 2)), "reward");
  }
  CHECK_THROWS_NAMING(normalise_then_sum({column(reward)}, numbers{std::nan("")}, {}), "weight");
  // A weight of 0 takes a reward out, whatever its advantages are.
  const numbers big{1.7e308, -1.7e308};
  CHECK(normalise_then_sum({column(reward), column(big)}, numbers{1, 0}, {}) ==
        normalise_then_sum({column(reward)}, numbers{1}, {}));
}

}  // namespace
