#include <emend/metrics/principal_components.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "../random_numbers.hpp"
#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

TEST_CASE("principal components: the covariance in their directions is diagonal and falls") {
  random_numbers random;
  const index n = 40, d = 6;
  matrix<double> points(n, d, random.normal(static_cast<std::size_t>(n * d)));
  for (index i = 0; i < n; ++i) {
    points(i, 1) = 3 * points(i, 0) + 0.1 * points(i, 1);
    points(i, 4) += 7;
  }
  const auto found = find_principal_components(points, 1);
  CHECK(found.components == d);
  double total = 0;
  for (index j = 0; j < d; ++j)
    for (index k = 0; k < d; ++k) {
      double product = 0, covariance = 0;
      for (index i = 0; i < d; ++i) product += found.directions(j, i) * found.directions(k, i);
      CHECK(product == doctest::Approx(j == k ? 1 : 0));
      for (index i = 0; i < n; ++i)
        covariance += found.projected(i, j) * found.projected(i, k) / static_cast<double>(n);
      if (j == k)
        total += covariance;
      else
        CHECK(std::abs(covariance) < 1e-12);
    }
  double reached = 0;
  for (index j = 0; j < d; ++j) {
    double variance = 0;
    for (index i = 0; i < n; ++i) variance += found.projected(i, j) * found.projected(i, j) / static_cast<double>(n);
    CHECK(found.explained_variance_ratio[static_cast<std::size_t>(j)] == doctest::Approx(variance / total));
    if (j > 0)
      CHECK(found.explained_variance_ratio[static_cast<std::size_t>(j)] <=
            found.explained_variance_ratio[static_cast<std::size_t>(j - 1)]);
    const auto fewest = find_principal_components(points, reached + 0.5 * variance / total);
    CHECK(fewest.components == j + 1);
    reached += variance / total;
  }
  const auto equal = find_principal_components(matrix<double>(3, 2, {1, 2, 1, 2, 1, 2}));
  CHECK(equal.components == 1);
  CHECK(equal.explained_variance_ratio == std::vector<double>{0, 0});
  CHECK_THROWS_NAMING(find_principal_components(matrix<double>(0, 3)), "points");
  CHECK_THROWS_NAMING(find_principal_components(points, 0), "explained_variance");
}

TEST_CASE("find_principal_components: points that are no numbers are refused") {
  for (const double wrong : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
    const matrix<double> points(3, 2, {1, 2, wrong, -1, 0, 0});
    CHECK_THROWS_NAMING(find_principal_components(points), "points");
  }
}

}  // namespace
