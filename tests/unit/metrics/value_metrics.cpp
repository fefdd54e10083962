#include <emend/metrics/value_metrics.hpp>

#include <doctest/doctest.h>

#include "throws.hpp"

namespace {

using namespace emend;

TEST_CASE("mean, extremes and explained variance over counted tokens") {
  const std::vector<double> value{1, 2, -3, 99}, returns{2, 2, -1, 99};
  const std::vector<int> mask{1, 1, 1, 0};
  const value_summary got = value_metrics(value, returns, padded(1, 4, mask), {.epsilon = 0});
  CHECK(got.mean == 0);
  CHECK(got.minimum == -3);
  CHECK(got.maximum == 2);
  CHECK(got.explained_variance == doctest::Approx(1 - 1 / 3.0));  // errors 1, 0, 2: variance 1; returns: 3
  CHECK(value_metrics(value, value, padded(1, 4)).explained_variance == 1);
}

TEST_CASE("none, one, constant returns: a meaning, and no NaN") {
  const std::vector<double> value{1, 2}, constant{3, 3};
  const std::vector<int> none{0, 0}, one{0, 1};
  CHECK(value_metrics(value, constant, padded(1, 2, none)).mean == 0);
  CHECK(value_metrics(value, constant, padded(1, 2, none)).explained_variance == 1);
  CHECK(value_metrics(value, constant, padded(1, 2, one)).mean == 2);
  CHECK(value_metrics(value, constant, padded(1, 2)).explained_variance < -1e4);
}

TEST_CASE("parts merge into the whole") {
  const std::vector<double> value{1, 2, -3, 4}, returns{2, 2, -1, 0};
  value_moments merged;
  merged.merge({});
  for (emend::index part : {0, 1})
    merged.merge(
        value_moments_of(column(value.data() + 2 * part, 2), column(returns.data() + 2 * part, 2), padded(1, 2)));
  const value_summary got = value_metrics(merged), want = value_metrics(value, returns, padded(1, 4));
  CHECK(got.explained_variance == doctest::Approx(want.explained_variance));
  CHECK(got.mean == doctest::Approx(want.mean));
  CHECK(got.minimum == want.minimum);
  CHECK(got.maximum == want.maximum);
}

TEST_CASE("errors name the argument") {
  const std::vector<double> two{1, 2}, three{1, 2, 3};
  CHECK_THROWS_NAMING(value_metrics(two, three, padded(1, 3)), "value");
  CHECK_THROWS_NAMING(value_metrics(three, two, padded(1, 3)), "returns");
}

}  // namespace
