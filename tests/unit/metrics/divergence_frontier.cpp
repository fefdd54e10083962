#include <emend/metrics/divergence_frontier.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

TEST_CASE("the frontier's integral is the integral that it is the closed form of") {
  const std::vector<double> p{0.5, 0.2, 0.3, 0, 0}, q{0.1, 0.2, 0, 0.7, 0};
  const int steps = 20000;
  double integral = 0;
  for (int i = 0; i < steps; ++i) {
    const double lambda = (i + 0.5) / steps;
    for (std::size_t b = 0; b < p.size(); ++b) {
      const double r = lambda * p[b] + (1 - lambda) * q[b];
      if (p[b] > 0) integral += 2 * lambda * p[b] * std::log(p[b] / r) / steps;
      if (q[b] > 0) integral += 2 * (1 - lambda) * q[b] * std::log(q[b] / r) / steps;
    }
  }
  CHECK(divergence_frontier(p, q).frontier_integral == doctest::Approx(integral).epsilon(1e-6));
  // Ends of the scale; counts and probabilities; P and Q change places.
  CHECK(divergence_frontier(p, p).mauve == doctest::Approx(1));
  CHECK(divergence_frontier(p, p).frontier_integral == 0);
  const std::vector<double> left{3, 0}, right{0, 5}, ten{5, 2, 3, 0, 0};
  CHECK(divergence_frontier(left, right).frontier_integral == doctest::Approx(1));
  CHECK(divergence_frontier(left, right).mauve < 0.01);
  CHECK(divergence_frontier(ten, q).mauve == doctest::Approx(divergence_frontier(p, q).mauve));
  CHECK(divergence_frontier(q, p).mauve == doctest::Approx(divergence_frontier(p, q).mauve));
  const std::vector<double> zero{0, 0}, negative{1, -1};
  CHECK_THROWS_NAMING(divergence_frontier(zero, right), "p");
  CHECK_THROWS_NAMING(divergence_frontier(right, negative), "q");
  CHECK_THROWS_NAMING(divergence_frontier(p, right), "q");
  CHECK_THROWS_NAMING(divergence_frontier(p, q, {.scaling_factor = 0}), "scaling_factor");
  CHECK_THROWS_NAMING(divergence_frontier(p, q, {.curve_points = 0}), "curve_points");
}

}  // namespace
