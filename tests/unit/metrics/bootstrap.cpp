#include <emend/metrics/bootstrap.hpp>
#include <emend/core/thread_pool.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "../random_numbers.hpp"
#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using numbers = std::vector<double>;

TEST_CASE("the interval is that of the definition") {
  random_numbers random;
  const std::vector<double> x = random.normal(30);
  const auto mean = [&](const std::vector<index>& c) {
    double sum = 0;
    for (const index i : c) sum += x[static_cast<std::size_t>(i)];
    return sum / static_cast<double>(c.size());
  };
  const auto found = bootstrap(30, mean, {.resamples = 101, .confidence = 0.9, .seed = 5});
  std::vector<double> values;
  for (std::uint64_t r = 0; r < 101; ++r) {
    std::vector<index> c;
    for (std::uint64_t i = 0; i < 30; ++i) c.push_back(counter_random{5}.below(30, r, i));
    values.push_back(mean(c));
  }
  std::sort(values.begin(), values.end());
  CHECK(found.low == doctest::Approx(values[5]));
  CHECK(found.high == doctest::Approx(values[95]));
  std::vector<index> all;
  for (index i = 0; i < 30; ++i) all.push_back(i);
  CHECK(found.value == mean(all));
  thread_pool pool(3);
  const auto again = bootstrap(30, mean, {.resamples = 101, .confidence = 0.9, .seed = 5}, pool);
  CHECK(again.low == found.low);
  CHECK(again.high == found.high);
}

TEST_CASE("of the mean of many numbers it is that of the normal distribution") {
  random_numbers random;
  const std::vector<double> x = random.normal(400);
  double sum = 0, squares = 0;
  for (const double v : x) sum += v, squares += v * v;
  const double deviation = std::sqrt(squares / 400 - sum / 400 * (sum / 400)) / 20;
  const auto found = bootstrap(400,
                               [&](const std::vector<index>& c) {
                                 double total = 0;
                                 for (const index i : c) total += x[static_cast<std::size_t>(i)];
                                 return total / 400;
                               },
                               {.resamples = 4000});
  CHECK(found.high - found.value == doctest::Approx(1.96 * deviation).epsilon(0.08));
  CHECK(found.value - found.low == doctest::Approx(1.96 * deviation).epsilon(0.08));
}

TEST_CASE("few prompts and wrong use") {
  const auto size = [](const std::vector<index>& c) { return static_cast<double>(c.size()); };
  CHECK(bootstrap(0, size).high == 0);
  CHECK(bootstrap(1, [](const std::vector<index>& c) { return static_cast<double>(c[0]) + 4; }).low == 4);
  CHECK(bootstrap(3, size, {.resamples = 1}).high == 3);
  CHECK_THROWS_NAMING(bootstrap(-1, size), "n");
  CHECK_THROWS_NAMING(bootstrap(3, size, {.resamples = 0}), "resamples");
  CHECK_THROWS_NAMING(bootstrap(3, size, {.confidence = 1}), "confidence");
}

TEST_CASE("NaN has no place in an order of resamples; between infinite ones the bounds are infinite") {
  const double unknown = std::numeric_limits<double>::quiet_NaN(), infinite = std::numeric_limits<double>::infinity();
  const interval both = bootstrap(3, [&](const std::vector<index>& rows) { return rows[0] == 0 ? unknown : 1.0; });
  CHECK(std::isnan(both.low));
  CHECK(std::isnan(both.high));
  const interval all = bootstrap(2, [&](const std::vector<index>&) { return infinite; });
  CHECK(all.low == infinite);
  CHECK(all.high == infinite);
}

}  // namespace
