#include <emend/core/thread_pool.hpp>
#include <emend/metrics/mauve.hpp>

#include <doctest/doctest.h>

#include "../random_numbers.hpp"
#include "throws.hpp"

#include <cmath>
#include <set>
#include <vector>

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

TEST_CASE("a sample with itself has the score 1, repeated points or not") {
  random_numbers random;
  for (const index different : {1, 2, 7, 30}) {
    const auto numbers = random.normal(static_cast<std::size_t>(different * 4));
    matrix<float> sample(60, 4);
    for (index i = 0; i < 60; ++i)
      for (index j = 0; j < 4; ++j)
        sample(i, j) = static_cast<float>(numbers[static_cast<std::size_t>(i % different * 4 + j)]);
    for (const index buckets : {0, 2, 25, 60}) {
      CAPTURE(different);
      CAPTURE(buckets);
      const auto found = mauve(sample, sample, {.num_buckets = buckets});
      CHECK(found.mauve == doctest::Approx(1));
      CHECK(found.mauve_star == doctest::Approx(1));
      CHECK(found.frontier_integral == 0);
    }
  }
}

TEST_CASE("features that are no numbers are refused, and large and small ones are right") {
  const matrix<double> good(3, 2, {1, 2, 3, -1, 0, 0});
  for (const double bad : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
    matrix<double> other = good;
    other(1, 0) = bad;
    CHECK_THROWS_NAMING(mauve(other, good), "p");
    CHECK_THROWS_NAMING(mauve(good, other), "q");
    CHECK_THROWS_NAMING(k_means(other, 2), "points");
    CHECK_THROWS_NAMING(find_principal_components(other), "points");
  }
  matrix<float> other(3, 2, {1, 2, 3, -1, 0, 0});
  other(2, 1) = std::nanf("");
  CHECK_THROWS_NAMING(mauve(other, other), "q");
  CHECK_THROWS_NAMING(k_means(matrix<double>(2, 1, {1e200, 0}), 2), "points");
  // Only directions count, at any magnitude.
  const matrix<double> many(6, 2, {1, 2, 3, -1, 0, 1, -1, 1, -2, -1, 1, 0}),
      more(6, 2, {2, 1, 1, 1, 0, -1, 1, 2, -1, 0, 3, 1});
  const double plain = mauve(many, more).mauve;
  for (const double factor : {0x1p800, 0x1p-800}) {
    matrix<double> scaled = many;
    for (index i = 0; i < 12; ++i) scaled.data()[i] *= factor;
    CHECK(mauve(scaled, more).mauve == doctest::Approx(plain).epsilon(1e-9));
  }
}

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

TEST_CASE("features: equal samples score 1, samples apart near 0, others between, whatever the number of threads") {
  random_numbers random;
  const matrix<float> p(60, 8, [&] {
    const auto x = random.normal(480);
    return std::vector<float>(x.begin(), x.end());
  }());
  matrix<float> near = p, apart = p;
  for (index i = 0; i < 60; ++i)
    for (index j = 0; j < 8; ++j) near(i, j) += 0.4F, apart(i, j) += 50.0F * (j % 2 ? 1.0F : -1.0F);
  const auto same = mauve(p, p), close = mauve(p, near), far = mauve(p, apart);
  CHECK(same.mauve == doctest::Approx(1));
  CHECK(same.frontier_integral == 0);
  CHECK(close.mauve > 0.1);
  CHECK(close.mauve < 0.999);
  CHECK(far.mauve < 0.01);
  CHECK(far.mauve_star > far.mauve);
  CHECK(same.p_histogram.size() == 6);
  thread_pool pool(2);
  CHECK(mauve(p, near, {}, pool).mauve == close.mauve);
  // Only directions count.
  matrix<float> longer = near;
  for (index i = 0; i < 60; ++i)
    for (index j = 0; j < 8; ++j) longer(i, j) *= 4.0F;
  CHECK(mauve(p, longer).mauve == close.mauve);
  CHECK(mauve(matrix<float>(1, 2, {1, 0}), matrix<float>(1, 2, {0, 1})).p_histogram.size() == 2);
  CHECK_THROWS_NAMING(mauve(matrix<float>(0, 8), p), "p");
  CHECK_THROWS_NAMING(mauve(p, matrix<float>(0, 8)), "q");
  CHECK_THROWS_NAMING(mauve(p, matrix<float>(3, 2)), "a row of q");
  CHECK_THROWS_NAMING(mauve(p, p, {.num_buckets = 121}), "k");
  CHECK_THROWS_NAMING(mauve(p, p, {.num_buckets = -1}), "num_buckets");
  CHECK_THROWS_NAMING(mauve_of_buckets(std::vector<int>{0}, std::vector<int>{2}, 2), "q");
}

}  // namespace
