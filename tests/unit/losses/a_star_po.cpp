#include <emend/losses/a_star_po.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "policy_batch.hpp"
#include "throws.hpp"

namespace {

using namespace emend;
using numbers = std::vector<double>;

TEST_CASE("optimal value: between the mean and the maximum, and stable") {
  const numbers reward{1, 2, 3}, far{0, 2000};
  CHECK(optimal_value(reward, 1e6) == doctest::Approx(2).epsilon(1e-5));
  CHECK(optimal_value(reward, 1e-3) == doctest::Approx(3).epsilon(1e-2));
  CHECK(optimal_value(reward, 1) == doctest::Approx(std::log((std::exp(1) + std::exp(2) + std::exp(3)) / 3)));
  CHECK(optimal_value(far, 1) == doctest::Approx(2000 - std::log(2)));
  CHECK_THROWS_NAMING(optimal_value(numbers{}, 1), "reward");
  CHECK_THROWS_NAMING(optimal_value(reward, 0), "beta");
}

TEST_CASE("a_star_po: the gradient is the derivative of the value") {
  const policy_batch b;
  check_gradient(a_star_po{b.reference, b.advantage, 0.5});
}

}  // namespace
