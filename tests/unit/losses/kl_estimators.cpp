#include <emend/carriers/dual.hpp>
#include <emend/losses/kl_estimators.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

namespace {

using namespace emend;
using number = dual<double, 1>;

const kl_kind all_kinds[] = {
    kl_kind::k1,           kl_kind::k2, kl_kind::k3, kl_kind::absolute, kl_kind::positive_part, kl_kind::k1_through_k2,
    kl_kind::k3_through_k2};

number slope_of(kl_kind kind, double d, kl_clamps clamps = {}) {
  return kl_estimate(kind, number::variable(d, 0), clamps);
}

TEST_CASE("values by their formulas, the same with and without derivatives") {
  for (double d : {-3.0, -0.25, 0.0, 1e-9, 0.5, 4.0}) {
    CAPTURE(d);
    CHECK(kl_estimate(kl_kind::k1, d) == d);
    CHECK(kl_estimate(kl_kind::k2, d) == d * d / 2);
    CHECK(kl_estimate(kl_kind::k3, d) == doctest::Approx(std::exp(-d) - 1 + d));
    CHECK(kl_estimate(kl_kind::absolute, d) == std::abs(d));
    CHECK(kl_estimate(kl_kind::positive_part, d) == (d > 0 ? d : 0));
    for (kl_kind kind : all_kinds) CHECK(slope_of(kind, d).value == kl_estimate(kind, d));
  }
  CHECK(kl_estimate(kl_kind::k3, 1e-9) == doctest::Approx(5e-19));  // no cancellation
}

TEST_CASE("slopes are finite differences, but for the kinds through k2") {
  for (kl_kind kind : {kl_kind::k1, kl_kind::k2, kl_kind::k3, kl_kind::absolute, kl_kind::positive_part})
    for (double d : {-2.0, -0.3, 0.7, 3.0}) {
      const double h = 1e-6, difference = (kl_estimate(kind, d + h) - kl_estimate(kind, d - h)) / (2 * h);
      CHECK(slope_of(kind, d).derivative[0] == doctest::Approx(difference));
    }
  for (kl_kind kind : {kl_kind::k1_through_k2, kl_kind::k3_through_k2}) CHECK(slope_of(kind, 0.7).derivative[0] == 0.7);
}

TEST_CASE("bounds: the whole slope at the edge, none beyond, and no NaN from an overflow") {
  const kl_clamps output{.output = 10};
  CHECK(slope_of(kl_kind::k1, 10, output).derivative[0] == 1);
  CHECK(slope_of(kl_kind::k1, 10.5, output).derivative[0] == 0);
  CHECK(slope_of(kl_kind::k1, 10.5, output).value == 10);
  const number overflown = slope_of(kl_kind::k3, -1000, output);
  CHECK(overflown.value == 10);
  CHECK(overflown.derivative[0] == 0);
  CHECK(slope_of(kl_kind::k3, -1000, {.input = 20}).value == doctest::Approx(std::exp(20.0) - 21));
  CHECK(slope_of(kl_kind::k3_through_k2, -1000, output).derivative[0] == -1000);  // clamped by nothing
  CHECK(std::isinf(kl_estimate(kl_kind::k3, -1000.0)));
}

TEST_CASE("k1, k2 and k3 agree in expectation over a small distribution") {
  const double p[] = {0.5, 0.3, 0.2}, q[] = {0.4, 0.35, 0.25};
  double k1 = 0, k3 = 0, divergence = 0;
  for (int i = 0; i < 3; ++i) {
    const double d = std::log(p[i] / q[i]);
    divergence += p[i] * d;
    k1 += p[i] * kl_estimate(kl_kind::k1, d);
    k3 += p[i] * kl_estimate(kl_kind::k3, d);
  }
  CHECK(k1 == doctest::Approx(divergence));
  CHECK(k3 == doctest::Approx(divergence));
}

TEST_CASE("weighted forms") {
  const number d = number::variable(0.5, 0), ratio = exp(number::variable(0.1, 0));
  const number weighted = importance_weighted_kl(d, ratio);
  CHECK(weighted.value == doctest::Approx(std::exp(0.1) * (std::exp(-0.5) - 0.5)));
  CHECK(weighted.derivative[0] == doctest::Approx(std::exp(0.1) * 0.5));
  // With the same log-probability in both, that closed form is the product rule.
  const auto product = [](double x) { return std::exp(x - 0.4) * kl_estimate(kl_kind::k3, x); };
  const number x = number::variable(0.5, 0);
  CHECK(importance_weighted_kl(x, exp(x - 0.4)).derivative[0] ==
        doctest::Approx((product(0.5 + 1e-6) - product(0.5 - 1e-6)) / 2e-6));
  const number unbiased = unbiased_gradient_kl(kl_kind::k3, number::variable(-2.0, 0), number(1.5));
  CHECK(unbiased.value == kl_estimate(kl_kind::k3, -2.0));
  CHECK(unbiased.derivative[0] == -3);
  const number scored = score_function_kl(kl_kind::k1, number::variable(0.5, 0));
  CHECK(scored.value == 0.5);
  CHECK(scored.derivative[0] == 1.5);
}

static_assert(kl_estimate(kl_kind::k2, 2.0) == 2.0);

}  // namespace
