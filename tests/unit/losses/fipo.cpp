#include <emend/losses/fipo.hpp>
#include <emend/core/layout.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using numbers = std::vector<double>;

const double bad = std::nan("");

TEST_CASE("future KL weights: a discounted sum from each token to the end, holes left out") {
  const numbers log_prob{-1, bad, -2, -0.5}, old{-1.05, bad, -1.8, -0.9}, mask{1, 0, 1, 1};
  const auto weight = future_kl_weights(log_prob, old, padded(1, 4, mask), {.gamma = 0.5, .low = 0.5, .high = 1.1});
  CHECK(weight[3] == doctest::Approx(1.1));  // exp(0.4), bounded
  CHECK(weight[2] == doctest::Approx(std::exp(-0.2 + 0.5 * 0.4)));
  CHECK(weight[1] == 0);
  CHECK(weight[0] == doctest::Approx(std::exp(0.05 + 0.5 * 0)));
  CHECK_THROWS_NAMING(future_kl_weights(log_prob, old, padded(1, 4), {.gamma = 1.5}), "gamma");
}

}  // namespace
