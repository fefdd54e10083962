#include <emend/heads/score_transform.hpp>
#include <emend/core/matrix.hpp>
#include <emend/evaluation/evaluate.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

TEST_CASE("a transform of the scores: scale, then cap, then temperature, with the chain rule") {
  const std::vector<int> targets{2, 0};
  const std::vector<double> temperatures{0.5, 3};
  matrix<double> x(2, 3, {1, -2, 4, 0.5, 0, -1});
  for (const score_transform& transform :
       {score_transform{}, score_transform{.temperature = 2, .logit_scale = 3, .soft_cap = 5},
        score_transform{.temperatures = temperatures, .soft_cap = 2}, score_transform{.logit_scale = 0.1}}) {
    const auto loss = [](const auto& t) { return -t.log_prob; };
    const auto got = evaluate(loss, x, targets, {.transform = transform});
    double value = 0;
    for (index i = 0; i < 2; ++i) {
      double sum = 0, of_target = 0;
      for (index j = 0; j < 3; ++j) {
        double z = transform.logit_scale * x(i, j);
        if (transform.soft_cap > 0) z = transform.soft_cap * std::tanh(z / transform.soft_cap);
        z /= transform.temperatures.is_given() ? transform.temperatures[i] : transform.temperature;
        sum += std::exp(z);
        if (j == targets[static_cast<std::size_t>(i)]) of_target = z;
      }
      value += std::log(sum) - of_target;
    }
    CHECK(got.value == doctest::Approx(value).epsilon(1e-12));
    for (index i = 0; i < 6; ++i) {
      const double at = x.data()[i], step = 1e-6;
      const auto at_point = [&](double point) {
        x.data()[i] = point;
        return evaluate_value(loss, x, targets, {.transform = transform}).value;
      };
      const double slope = (at_point(at + step) - at_point(at - step)) / (2 * step);
      x.data()[i] = at;
      CHECK(got.gradient.data()[i] == doctest::Approx(slope).epsilon(1e-6).scale(1e-3));
    }
  }
}

TEST_CASE("a transform of the scores: numbers out of range are refused") {
  const matrix<double> x(2, 3);
  const std::vector<int> targets{2, 0};
  const std::vector<double> few{1}, zero{1, 0};
  const auto with = [&](const score_transform& transform) {
    return evaluate_value([](const auto& t) { return -t.log_prob; }, x, targets, {.transform = transform}).value;
  };
  CHECK_THROWS_NAMING(with({.temperature = 0}), "temperature");
  CHECK_THROWS_NAMING(with({.logit_scale = -1}), "logit_scale");
  CHECK_THROWS_NAMING(with({.soft_cap = -1}), "soft_cap");
  CHECK_THROWS_NAMING(with({.temperatures = few}), "temperatures");
  CHECK_THROWS_NAMING(with({.temperatures = zero}), "temperatures");
}

}  // namespace
