#include <emend/core/thread_pool.hpp>
#include <emend/metrics/k_means.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "../random_numbers.hpp"
#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

TEST_CASE(
    "k-means: separated clusters are found, and each point stands with its nearest centre, the mean of its cluster") {
  random_numbers random;
  const index n = 90, d = 3, k = 5;
  matrix<double> points(n, d, random.normal(static_cast<std::size_t>(n * d)));
  for (index i = 0; i < n; ++i) points(i, i % 5 % 3) += 40.0 * static_cast<double>(1 + i % 5);
  const auto found = k_means(points, k);
  for (index i = 0; i < n; ++i)
    for (index j = 0; j < n; ++j)
      CHECK((found.assignment[static_cast<std::size_t>(i)] == found.assignment[static_cast<std::size_t>(j)]) ==
            (i % 5 == j % 5));
  const matrix<double> cloud(n, d, random.normal(static_cast<std::size_t>(n * d)));
  for (const index clusters_wanted : {1, 7, 90}) {
    const auto of = k_means(cloud, clusters_wanted, {.seed = 3});
    std::set<index> used(of.assignment.begin(), of.assignment.end());
    CHECK(static_cast<index>(used.size()) == clusters_wanted);
    double inertia = 0;
    for (index i = 0; i < n; ++i) {
      double own = 0, least = 1e300;
      for (index c = 0; c < clusters_wanted; ++c) {
        double sum = 0;
        for (index j = 0; j < d; ++j) sum += (cloud(i, j) - of.centre(c, j)) * (cloud(i, j) - of.centre(c, j));
        least = std::min(least, sum);
        if (c == of.assignment[static_cast<std::size_t>(i)]) own = sum;
      }
      CHECK(own == doctest::Approx(least));
      inertia += own;
    }
    CHECK(of.inertia == doctest::Approx(inertia));
    for (index j = 0; j < d; ++j) {
      double sum = 0, count = 0;
      for (index i = 0; i < n; ++i)
        if (of.assignment[static_cast<std::size_t>(i)] == 0) sum += cloud(i, j), ++count;
      CHECK(of.centre(0, j) == doctest::Approx(sum / count));
    }
  }
  thread_pool pool(3);
  const auto one = k_means(cloud, 7), three = k_means(cloud, 7, {}, pool);
  CHECK(one.assignment == three.assignment);
  CHECK(one.inertia == three.inertia);
  CHECK(k_means(cloud, 7, {.restarts = 20}).inertia <= k_means(cloud, 7, {.restarts = 1}).inertia);
  const matrix<double> same(4, 2, {1, 1, 1, 1, 1, 1, 1, 1});  // clusters that lose their points
  CHECK(k_means(same, 3).inertia == 0);
  CHECK(k_means(same, 3).assignment == std::vector<index>{0, 0, 0, 0});
  CHECK_THROWS_NAMING(k_means(cloud, 0), "k");
  CHECK_THROWS_NAMING(k_means(cloud, 91), "k");
  CHECK_THROWS_NAMING(k_means(cloud, 2, {.restarts = 0}), "restarts");
  CHECK_THROWS_NAMING(k_means(cloud, 2, {.iterations = 0}), "iterations");
}

TEST_CASE("equal points are in one cluster, however many clusters there are") {
  random_numbers random;
  for (const index different : {1, 3, 10, 40}) {
    // Every point three times, in three places.
    const auto numbers = random.normal(static_cast<std::size_t>(different * 2));
    matrix<double> points(3 * different, 2);
    for (index i = 0; i < 3 * different; ++i)
      for (index j = 0; j < 2; ++j) points(i, j) = numbers[static_cast<std::size_t>(i % different * 2 + j)];
    for (const index k : {index{1}, index{2}, different, different + 1, 3 * different})
      for (const index iterations : {1, 2, 500})
        for (const std::uint64_t seed : {0u, 1u, 2u}) {
          if (k > 3 * different) continue;
          CAPTURE(different);
          CAPTURE(k);
          CAPTURE(iterations);
          const clusters found = k_means(points, k, {.iterations = iterations, .seed = seed});
          bool are_together = true;
          for (std::size_t i = 0; i < static_cast<std::size_t>(different); ++i)
            for (const std::size_t copy : {1u, 2u})
              are_together &= found.assignment[i] == found.assignment[i + copy * static_cast<std::size_t>(different)];
          CHECK(are_together);
          if (k >= different && iterations > 100) CHECK(found.inertia == doctest::Approx(0));
        }
  }
}

TEST_CASE("k_means: points that are no numbers are refused") {
  for (const double wrong : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
    const matrix<double> points(3, 2, {1, 2, wrong, -1, 0, 0});
    CHECK_THROWS_NAMING(k_means(points, 2), "points");
  }
  CHECK_THROWS_NAMING(k_means(matrix<double>(2, 1, {1e200, 0}), 2), "points");
}

}  // namespace
