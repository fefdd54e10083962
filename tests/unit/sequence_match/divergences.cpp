#include <emend/carriers/dual.hpp>
#include <emend/sequence_match/divergences.hpp>

#include <doctest/doctest.h>

#include "throws.hpp"

#include <cmath>

namespace {

using namespace emend;
using namespace emend::divergences;
using number = dual<double, 1>;

/// phi is concave on its domain, its derivative is phi', by dual numbers and by differences.
template <class D>
void check(const D& d, double from, double to, bool is_normalised = true) {
  double before = detail::infinity;
  for (int i = 0; i <= 200; ++i) {
    const double x = from + (to - from) * i / 200, step = 1e-6;
    const double slope = d.derivative(x);
    CHECK(slope <= before + 1e-12);
    before = slope;
    CHECK(d.phi(number::variable(x, 0)).derivative[0] == doctest::Approx(slope).epsilon(1e-12));
    CHECK((d.phi(x + step) - d.phi(x - step)) / (2 * step) == doctest::Approx(slope).epsilon(1e-5).scale(1));
  }
  if (!is_normalised) return;
  CHECK(d.phi(0.0) == 0);
  CHECK(d.derivative(0.0) == doctest::Approx(1).epsilon(1e-15));
}

TEST_CASE("every phi is concave with phi(0) = 0 and phi'(0) = 1") {
  check(identity{}, -3, 3);
  check(forward_kl{}, -0.9, 4);
  check(forward_kl_raw{}, 0.1, 4, false);
  check(reverse_kl{}, -3, 4);
  check(reverse_kl_raw{}, -3, 4, false);
  check(jensen_shannon{}, -0.6, 4);
  check(squared_hellinger{}, -0.9, 4);
  check(pearson_chi2{}, -3, 4);
  check(pearson_chi2{true}, -3, 1.9);
  check(neyman_chi2{}, -0.9, 4);
  check(mixture_chi2{}, -0.9, 4);
  check(total_variation{}, -0.49, 0.49);
  check(total_variation{0.5, 2}, -3, -0.51, false);
}

TEST_CASE("small arguments keep their digits") {
  const double x = 1e-9;
  CHECK(forward_kl{}.phi(x) == doctest::Approx(x - x * x / 2).epsilon(1e-15));
  CHECK(neyman_chi2{}.phi(x) == doctest::Approx(x - x * x / 4).epsilon(1e-15));
  CHECK(mixture_chi2{}.phi(x) == doctest::Approx(x - x * x / 2).epsilon(1e-15));
  CHECK(jensen_shannon{}.phi(x) == doctest::Approx(x - x * x).epsilon(1e-15));
}

TEST_CASE("the conjugate: phi is the smallest of u -> f(u) + u x over the densities, taken the other way round") {
  // phi(x) = -f*(-x) = min_u f(u) + x u with f normalised as in the table; checked on a grid for three rows of it.
  const auto smallest = [](auto&& f, double x) {
    double best = detail::infinity;
    for (int i = 1; i <= 400000; ++i) best = std::min(best, f(i * 5e-5) + x * i * 5e-5);
    return best;
  };
  for (const double x : {-0.4, 0.3, 1.2}) {
    CHECK(forward_kl{}.phi(x) ==
          doctest::Approx(smallest([](double u) { return -std::log(u) + u - 1; }, x)).epsilon(1e-4));
    CHECK(pearson_chi2{}.phi(x) ==
          doctest::Approx(smallest([](double u) { return (u - 1) * (u - 1); }, x)).epsilon(1e-4));
    CHECK(squared_hellinger{}.phi(x) ==
          doctest::Approx(smallest([](double u) { return std::pow(std::sqrt(u) - 1, 2); }, x)).epsilon(1e-4));
  }
}

TEST_CASE("beyond the domain phi goes on along its tangent, smooth and finite") {
  const continued<forward_kl> d{{}, 0.01};
  CHECK(d.is_outside(-1.0));
  CHECK(d.is_outside(-50.0));
  CHECK(!d.is_outside(-0.98));
  CHECK(d.phi(-0.99) == forward_kl{}.phi(-0.99));
  CHECK(d.phi(-2.0) == doctest::Approx(std::log(0.01) + 100 * (-2 + 0.99)));
  CHECK(d.derivative(-2.0) == doctest::Approx(100));
  check(d, -3, 2);
  CHECK(!continued<reverse_kl>{}.is_outside(-1000.0));
  CHECK(continued<total_variation>{}.is_outside(-0.6));
  CHECK_THROWS_NAMING((continued<forward_kl>{{}, 0}.check()), "epsilon");
  CHECK_NOTHROW((continued<reverse_kl>{{}, 0}.check()));
}

/// A user's own: alpha-divergence of order 1/2 is Hellinger by another road, phi = x / (1 + x).
struct own {
  static constexpr double lowest = -1;
  template <class R>
  constexpr R phi(const R& x) const {
    return 1 - 1 / (1 + x);
  }
  constexpr double derivative(double x) const { return 1 / ((1 + x) * (1 + x)); }
};
static_assert(occupancy_divergence<own> && occupancy_divergence<identity> && !occupancy_divergence<int>);

TEST_CASE("a user's own divergence is a value") {
  check(continued<own>{{}, 0.05}, -3, 3);
  CHECK(continued<own>{}.phi(0.7) == doctest::Approx(squared_hellinger{}.phi(0.7)));
}

}  // namespace
