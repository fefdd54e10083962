#include <emend/evaluation/evaluate.hpp>
#include <emend/core/matrix.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

struct with_metrics {
  auto operator()(const auto& t) const { return -t.log_prob; }
  template <class R>
  std::array<R, 2> metrics(const token<R>& t) const {
    return {t.entropy, R(double(t.position))};
  }
};

TEST_CASE("evaluate: the smallest call, by hand") {
  const matrix<double> x(2, 2, {0, 0, std::log(3.0), 0});
  const std::vector<int> targets{1, 0};
  const auto got = evaluate([](const auto& t) { return -t.log_prob; }, x, targets);
  CHECK(got.value == doctest::Approx(std::log(2) + std::log(4.0 / 3)));
  CHECK(got.gradient(0, 0) == doctest::Approx(0.5));
  CHECK(got.gradient(0, 1) == doctest::Approx(-0.5));
  CHECK(got.gradient(1, 0) == doctest::Approx(-0.25));
  CHECK(got.evaluated == 2);
  CHECK(evaluate_value([](const auto& t) { return -t.log_prob; }, x, targets).value == doctest::Approx(got.value));
  matrix<double> gradient(2, 2);
  CHECK(evaluate_into([](const auto& t) { return -t.log_prob; }, x, targets, {}, gradient).value == got.value);
  for (index i = 0; i < 4; ++i) CHECK(gradient.data()[i] == got.gradient.data()[i]);
}

TEST_CASE("evaluate: metrics are means over the evaluated tokens") {
  const matrix<double> x(3, 2, {0, 0, 9, -9, 0, 0});
  const std::vector<int> targets{1, 0, 0}, mask{1, 0, 1};
  const auto got = evaluate(with_metrics{}, x, targets, {.mask = mask});
  CHECK(got.metrics[0] == doctest::Approx(std::log(2)));
  CHECK(got.metrics[1] == 1);
}

}  // namespace
