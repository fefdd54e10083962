#include <emend/core/thread_pool.hpp>
#include <emend/metrics/mauve.hpp>

#include <doctest/doctest.h>

#include "../random_numbers.hpp"
#include "throws.hpp"

#include <cmath>
#include <vector>

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

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
  }
  matrix<float> other(3, 2, {1, 2, 3, -1, 0, 0});
  other(2, 1) = std::nanf("");
  CHECK_THROWS_NAMING(mauve(other, other), "q");
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
