#include <emend/carriers/real.hpp>
#include <emend/carriers/dual.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <initializer_list>
#include <limits>

namespace {

using namespace emend;

static_assert(real<double> && real<dual<double, 1>> && real<dual<double, 5>>);
static_assert(!real<int> && !real<bool> && !real<void*>);

const double nan = std::numeric_limits<double>::quiet_NaN();

TEST_CASE("functions of a plain number: kinks, ends and NaN") {
  CHECK(emend::min(1.0, 2.0) == 1);
  CHECK(emend::max(1.0, 2.0) == 2);
  for (const double x : {emend::min(nan, 1.0), emend::min(1.0, nan), emend::max(nan, 1.0), emend::max(1.0, nan),
                         emend::clamp(nan, 0.0, 1.0)})
    CHECK(std::isnan(x));
  CHECK(emend::clamp(0.5, 0.0, 1.0) == 0.5);
  CHECK(emend::clamp(-0.5, 0.0, 1.0) == 0);
  CHECK(emend::clamp(1.5, 0.0, 1.0) == 1);
  CHECK(emend::select(true, 1.0, nan) == 1);
  CHECK(emend::select(false, nan, 2.0) == 2);
  CHECK(emend::square(-3.0) == 9);
  CHECK(emend::sigmoid(0.0) == 0.5);
  CHECK(emend::log_sigmoid(-800.0) == -800);
  CHECK(emend::log_sigmoid(800.0) == doctest::Approx(0).epsilon(1e-300));
  CHECK(emend::sigmoid(-800.0) >= 0);
  CHECK(emend::log_sigmoid(1.0) == doctest::Approx(std::log(1 / (1 + std::exp(-1.0)))));
}

TEST_CASE("a factor of exactly 0 passes nothing on, however infinite the other") {
  CHECK(emend::chain_product(0, HUGE_VAL) == 0);
  CHECK(emend::chain_product(nan, 0) == 0);
  CHECK(emend::chain_product(2, 3) == 6);
  CHECK(std::isinf(emend::chain_product(2, HUGE_VAL)));
}

}  // namespace
