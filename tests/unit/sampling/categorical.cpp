#include <emend/sampling/categorical.hpp>

#include <doctest/doctest.h>

#include "throws.hpp"

#include <cmath>
#include <vector>

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

TEST_CASE("a draw is the inverse of the running sum") {
  const std::vector<double> row{std::log(0.2), -detail::infinity, std::log(0.5), std::log(0.3)};
  const auto draw = [&](double u) { return draw_categorical(row.data(), 4, u); };
  CHECK(draw(0) == 0);
  CHECK(draw(0.19) == 0);
  CHECK(draw(0.21) == 2);
  CHECK(draw(0.69) == 2);
  CHECK(draw(0.71) == 3);
  CHECK(draw(0x1.fffffffffffffp-1) == 3);
}

TEST_CASE("temperature 0 is the highest score, the lowest id first; strides and types") {
  const std::vector<float> row{1, 9, 5, 9, 5, 9};
  CHECK(draw_categorical(row.data(), 6, 0.99, 0) == 1);
  CHECK(draw_categorical(row.data() + 4, 3, 0.99, 0, -2) == 0);
  CHECK(draw_categorical(row.data(), 1, 0.5) == 0);
  const std::vector<double> far{0, 5000};
  CHECK(draw_categorical(far.data(), 2, 0) == 1);
}

TEST_CASE("temperatures at the ends of double") {
  const double none = -detail::infinity;
  const std::vector<double> row{none, 3, none, -2, none};
  const std::vector<float> narrow(row.begin(), row.end());
  // At infinity every score above -inf has the same probability, and -inf none.
  for (const double hot : {1e37, 1e40, 1e300, detail::infinity}) {
    CAPTURE(hot);
    for (const double u : {0.0, 0.25, 0.49}) CHECK(draw_categorical(row.data(), 5, u, hot) == 1);
    for (const double u : {0.51, 0.75, 0x1.fffffffffffffp-1}) CHECK(draw_categorical(row.data(), 5, u, hot) == 3);
    CHECK(draw_categorical(narrow.data(), 5, 0.49, hot) == 1);
    CHECK(draw_categorical(narrow.data(), 5, 0.51, hot) == 3);
  }
  for (const double cold : {1e-320, 4.9406564584124654e-324, 1e-37})
    for (const double u : {0.0, 0.5, 0.999}) CHECK(draw_categorical(row.data(), 5, u, cold) == 1);
  const std::vector<double> equal{none, 7, 7};
  CHECK(draw_categorical(equal.data(), 3, 0.49, 1e-320) == 1);
  CHECK(draw_categorical(equal.data(), 3, 0.51, 1e-320) == 2);
  // Scores whose distance is above the largest double: exp(-2) at a temperature of 1e308.
  const std::vector<double> far{1e308, -1e308};
  const double first = 1 / (1 + std::exp(-2.0));
  CHECK(draw_categorical(far.data(), 2, first - 1e-9, 1e308) == 0);
  CHECK(draw_categorical(far.data(), 2, first + 1e-9, 1e308) == 1);
  CHECK(draw_categorical(far.data(), 2, 0.51, detail::infinity) == 1);
  CHECK(draw_categorical(far.data(), 2, 0.999, 1) == 0);
}

TEST_CASE("frequencies are the probabilities") {
  const std::vector<double> row{0, 1, 2};
  const counter_random random{4};
  std::vector<double> count(3, 0);
  for (std::uint64_t i = 0; i < 30000; ++i)
    count[static_cast<std::size_t>(draw_categorical(row.data(), 3, random.uniform(0, i), 2))] += 1 / 30000.0;
  const double z = 1 + std::exp(0.5) + std::exp(1);
  for (std::size_t j = 0; j < 3; ++j)
    CHECK(count[j] == doctest::Approx(std::exp(0.5 * static_cast<double>(j)) / z).epsilon(0.03));
}

TEST_CASE("rows that have no distribution are refused") {
  const std::vector<double> nan{0, std::nan("")}, high{0, detail::infinity}, low{-detail::infinity, -detail::infinity},
      fine{0, 1};
  CHECK_THROWS_NAMING(draw_categorical(nan.data(), 2, 0.5), "row");
  CHECK_THROWS_NAMING(draw_categorical(high.data(), 2, 0.5), "row");
  CHECK_THROWS_NAMING(draw_categorical(low.data(), 2, 0.5), "row");
  CHECK_THROWS_NAMING(draw_categorical(fine.data(), 0, 0.5), "row");
  CHECK_THROWS_NAMING(draw_categorical(fine.data(), 2, 0.5, -1), "temperature");
  CHECK_THROWS_NAMING(draw_categorical(fine.data(), 2, 0.5, std::nan("")), "temperature");
  for (const double u : {-0.1, 1.0, std::nan("")}) CHECK_THROWS_NAMING(draw_categorical(fine.data(), 2, u), "u");
}

}  // namespace
