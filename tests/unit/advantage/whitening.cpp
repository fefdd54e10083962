#include <emend/advantage/whitening.hpp>

#include <doctest/doctest.h>

#include <cmath>

#include "../random_numbers.hpp"
#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

TEST_CASE("each place of the epsilon, each divisor") {
  const std::vector<double> x{1, 3};  // mean 2, squares 2
  const padded layout(1, 2);
  const auto second = [&](const whiten_options& options) { return whiten(x, layout, options)[1]; };
  CHECK(second({.epsilon = 2}) == doctest::Approx(1 / std::sqrt(2 + 2.0)));
  CHECK(second({.is_unbiased = false, .epsilon = 3}) == doctest::Approx(0.5));
  CHECK(second({.epsilon = 2, .place = epsilon_place::deviation}) == doctest::Approx(1 / (std::sqrt(2) + 2)));
  CHECK(second({.epsilon = 4, .place = epsilon_place::floor}) == doctest::Approx(0.5));
  CHECK(second({.epsilon = 1, .place = epsilon_place::floor}) == doctest::Approx(1 / std::sqrt(2)));
  CHECK(second({.is_scaled = false}) == 1);
  CHECK(second({.epsilon = 2, .is_mean_removed = false}) == doctest::Approx(2.5));
  // An epsilon beside the count lowers the mean: 4 / (2 + 2) = 1; variance (0 + 4) / 4 * 2.
  CHECK(second({.epsilon = 2, .count_epsilon = 2}) == doctest::Approx((3 - 1) / std::sqrt(2 + 2.0)));
}

TEST_CASE("what stands where a token is not counted") {
  const std::vector<double> x{1, 3, 7};
  const std::vector<int> mask{1, 1, 0};
  const padded layout(1, 3, mask);
  const double scale = 1 / std::sqrt(2 + 1e-8);
  CHECK(whiten(x, layout)[2] == 0);
  CHECK(whiten(x, layout, {.uncounted = uncounted_value::transformed})[2] == doctest::Approx(5 * scale));
  CHECK(whiten(x, layout, {.uncounted = uncounted_value::as_of_zero})[2] == doctest::Approx(-2 * scale));
  const std::vector<double> bad{1, 3, __builtin_nan("")};
  CHECK(whiten(bad, layout) == whiten(x, layout));
}

TEST_CASE("none, one, equal numbers: a meaning, and no NaN") {
  const std::vector<double> x{5, 5, 9};
  const std::vector<int> none{0, 0, 0}, one{0, 0, 1}, equal{1, 1, 0};
  CHECK(whiten(x, padded(1, 3, none)) == std::vector<double>{0, 0, 0});
  CHECK(whiten(x, padded(1, 3, one)) == std::vector<double>{0, 0, 0});
  CHECK(whiten(x, padded(1, 3, one), {.is_mean_removed = false}) == std::vector<double>{0, 0, 9});
  CHECK(whiten(x, padded(1, 3, equal)) == std::vector<double>{0, 0, 0});
  CHECK(whiten(x, padded(1, 3, equal), {.epsilon = 0}) == std::vector<double>{0, 0, 0});
  CHECK(whiten({}, padded(0, 0)).empty());
}

TEST_CASE("micro-batches with the moments of the whole are the whole") {
  random_numbers random;
  const std::vector<double> x = random.normal(1000);
  const auto whole = whiten(x, padded(10, 100));
  moments merged;
  for (index part = 0; part < 2; ++part) merged.merge(moments_of(column(x.data() + part * 500, 500)));
  for (index part = 0; part < 2; ++part) {
    const auto got = whiten(column(x.data() + part * 500, 500), padded(5, 100), {.given = merged});
    for (std::size_t i = 0; i < got.size(); ++i)
      CHECK(got[i] == doctest::Approx(whole[static_cast<std::size_t>(part) * 500 + i]).epsilon(1e-12));
  }
}

TEST_CASE("layouts of the same tokens agree") {
  const std::vector<double> flat{1, 4, 2, 8}, in_rows{1, 4, 0, 2, 0, 8};
  const std::vector<int> offsets{0, 2, 4}, mask{1, 1, 0, 1, 0, 1}, ids{0, 0, -1, 1, -1, 1};
  const auto want = whiten(flat, ragged(offsets));
  for (const auto& got : {whiten(in_rows, padded(2, 3, mask)), whiten(in_rows, packed(ids))}) {
    CHECK(got[0] == doctest::Approx(want[0]));
    CHECK(got[1] == doctest::Approx(want[1]));
    CHECK(got[2] == 0);
    CHECK(got[3] == doctest::Approx(want[2]));
    CHECK(got[5] == doctest::Approx(want[3]));
  }
}

TEST_CASE("in place, and into float") {
  std::vector<double> x{1, 2, 4};
  const auto want = whiten(x, padded(1, 3));
  std::vector<float> narrow(3);
  whiten_into(x, padded(1, 3), {}, narrow);
  whiten_into(x, padded(1, 3), {}, x);
  CHECK(x == want);
  for (std::size_t i = 0; i < 3; ++i) CHECK(narrow[i] == static_cast<float>(want[i]));
}

TEST_CASE("rows for themselves") {
  const std::vector<double> x{1, 3, 10, 50, 7, 9};
  const std::vector<int> mask{1, 1, 1, 1, 0, 0};
  const auto got = whiten_rows(x, padded(3, 2, mask), {.is_unbiased = false, .epsilon = 0});
  CHECK(got == std::vector<double>{-1, 1, -1, 1, 0, 0});
}

TEST_CASE("errors name the argument") {
  const std::vector<double> x{1, 2};
  std::vector<double> out(3);
  CHECK_THROWS_NAMING(whiten(x, padded(1, 3)), "values");
  CHECK_THROWS_NAMING(whiten_into(x, padded(1, 2), {}, out), "out");
  CHECK_THROWS_NAMING(whiten(x, padded(1, 2), {.epsilon = -1}), "epsilon");
  CHECK_THROWS_NAMING(whiten(x, padded(1, 2), {.count_epsilon = -1}), "count_epsilon");
  CHECK_THROWS_NAMING(whiten_rows(x, padded(1, 3)), "values");
}

TEST_CASE("given moments out of range are refused, a given count of 0 is none") {
  CHECK_THROWS_NAMING(whiten({1, 2}, padded(1, 2), {.given = {4, 0, -1}}), "given.squares");
  CHECK_THROWS_NAMING(whiten({1, 2}, padded(1, 2), {.given = {-1, 0, 0}}), "given.count");
  CHECK_THROWS_NAMING(whiten({1, 2}, padded(1, 2), {.given = {4, 0, std::nan("")}}), "given.squares");
  CHECK_THROWS_NAMING(whiten({1, 2}, padded(1, 2), {.given = {4, HUGE_VAL, 1}}), "given");
  CHECK(whiten({1, 2}, padded(1, 2), {.given = {}}) == whiten({1, 2}, padded(1, 2)));
}

TEST_CASE("values that are not finite, or whose squares overflow, show") {
  for (const double wrong : {HUGE_VAL, -HUGE_VAL})
    for (const double shown : whiten(std::vector<double>{1, 2, 3, wrong}, padded(2, 2))) CHECK(std::isnan(shown));
  const std::vector<char> all(8, 1);
  for (const double wrong : {HUGE_VAL, -HUGE_VAL})
    for (const double shown : whiten(std::vector<double>{1, 2, 3, 4, 5, 6, 7, wrong}, padded(4, 2, all)))
      CHECK(std::isnan(shown));
  const std::vector<double> far{1e200, -1e200};
  for (const double x : whiten(far, padded(1, 2))) CHECK(std::isnan(x));
  // Without the division nothing overflows.
  CHECK(whiten(far, padded(1, 2), {.is_scaled = false}) == far);
  // Just below: 1e153 squared is a number.
  CHECK(whiten({1e153, -1e153}, padded(1, 2), {.epsilon = 0})[0] == doctest::Approx(std::sqrt(0.5)));
}

}  // namespace
