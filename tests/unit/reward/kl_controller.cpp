#include <emend/reward/kl_controller.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using numbers = std::vector<double>;

TEST_CASE("controllers follow the target, a bounded step at a time") {
  adaptive_kl_controller adaptive{.coefficient = 1, .target = 2, .horizon = 100};
  CHECK(adaptive.update(2, 50) == 1);
  CHECK(adaptive.update(2.2, 50) == doctest::Approx(1.05));
  CHECK(adaptive.update(1000, 50) == doctest::Approx(1.05 * 1.1));
  CHECK(adaptive.update(-1000, 50) == doctest::Approx(1.05 * 1.1 * 0.9));
  fixed_gain_kl_controller gain{.coefficient = 1, .target = 2};
  CHECK(gain.update(2.2) == doctest::Approx(1.01));
  CHECK(gain.update(1000) == doctest::Approx(1.01 * 1.02));
  CHECK(fixed_kl_controller{0.5}.update(1000, 3) == 0.5);
  CHECK_THROWS_NAMING((adaptive_kl_controller{.target = 0}.update(1, 1)), "target");
  CHECK_THROWS_NAMING((adaptive_kl_controller{.horizon = 0}.update(1, 1)), "horizon");
  CHECK_THROWS_NAMING((fixed_gain_kl_controller{.target = 0}.update(1)), "target");
}

TEST_CASE("controllers: the defaults, what is refused, and a coefficient that stays as it was then") {
  adaptive_kl_controller adaptive;
  CHECK(adaptive.update(12, 1000) == doctest::Approx(0.2 * (1 + 0.2 * 0.1)));
  CHECK(adaptive_kl_controller{}.update(6.6, 10000) == doctest::Approx(0.2 * 1.1));
  CHECK(adaptive_kl_controller{}.update(0, 10000) == doctest::Approx(0.2 * 0.8));
  CHECK(adaptive_kl_controller{}.update(0, 49999) > 0);
  CHECK(adaptive_kl_controller{}.update(12, 60000) == doctest::Approx(0.2 * 2.2));
  CHECK(adaptive_kl_controller{}.update(HUGE_VAL, 1000) == doctest::Approx(0.2 * 1.02));
  CHECK(adaptive_kl_controller{}.update(-HUGE_VAL, 1000) == doctest::Approx(0.2 * 0.98));
  CHECK(fixed_gain_kl_controller{}.update(12) == doctest::Approx(0.2 * 1.02));
  CHECK(fixed_gain_kl_controller{}.update(0) == doctest::Approx(0.2 * 0.98));
  CHECK(fixed_gain_kl_controller{.gain = 0}.update(HUGE_VAL) == 0.2);
  CHECK(fixed_kl_controller{}.update(12) == 0.02);
  const double before = adaptive.coefficient;
  CHECK_THROWS_NAMING(adaptive.update(0, 60000), "steps");
  CHECK_THROWS_NAMING(adaptive.update(0, 50000), "steps");
  CHECK_THROWS_NAMING(adaptive.update(1, -1), "steps");
  CHECK_THROWS_NAMING(adaptive.update(1, __builtin_nan("")), "steps");
  CHECK_THROWS_NAMING(adaptive.update(__builtin_nan(""), 10), "kl");
  CHECK(adaptive.coefficient == before);
  CHECK(adaptive.update(6, 10) == before);
  fixed_gain_kl_controller gain;
  CHECK_THROWS_NAMING(gain.update(__builtin_nan("")), "kl");
  CHECK(gain.coefficient == 0.2);
  CHECK_THROWS_NAMING((fixed_gain_kl_controller{.gain = 5}.update(0)), "gain");
  CHECK_THROWS_NAMING((fixed_gain_kl_controller{.gain = -1}.update(0)), "gain");
  CHECK_THROWS_NAMING((fixed_gain_kl_controller{.bound = -1}.update(0)), "bound");
  CHECK_THROWS_NAMING((adaptive_kl_controller{.bound = __builtin_nan("")}.update(0, 1)), "bound");
  CHECK_THROWS_NAMING((adaptive_kl_controller{.coefficient = -1}.update(0, 1)), "coefficient");
  CHECK_THROWS_NAMING((adaptive_kl_controller{.coefficient = __builtin_nan("")}.update(0, 1)), "coefficient");
}

}  // namespace
