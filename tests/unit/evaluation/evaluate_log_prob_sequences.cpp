#include <emend/evaluation/evaluate_log_prob_sequences.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using numbers = std::vector<double>;

/// Every token sees its own log-probability, its sequence's sum and length.
struct mixed {
  auto summand(const auto& t) const { return t.log_prob * t.log_prob; }
  auto operator()(const auto& t, auto summary, index length) const {
    return emend::exp(summary / double(length)) * t.log_prob;
  }
};

TEST_CASE("sequence losses of log-probabilities: value by the formula, gradient by differences") {
  numbers log_prob{-1, -0.5, std::nan(""), -0.2, -0.8, -1.5};
  const numbers weight{1, 2, 1, 0, 0.5, 1};
  const std::vector<int> mask{1, 1, 0, 1, 1, 1};
  const padded layout(2, 3);
  const number_options options{.mask = mask, .weight = weight, .normaliser = 3};
  const auto got = evaluate_log_prob_sequences(mixed{}, log_prob, layout, options);
  const double first = std::exp((1 + 0.25) / 2), second = std::exp((0.04 + 0.64 + 2.25) / 3);
  CHECK(got.value == doctest::Approx((first * (-1 - 2 * 0.5) + second * (-0.5 * 0.8 - 1.5)) / 3));
  CHECK(got.evaluated == 4);
  for (std::size_t i = 0; i < 6; ++i) {
    if (mask[i] == 0) {
      CHECK(got.gradient[i] == 0);
      continue;
    }
    const double at = log_prob[i], step = 1e-6;
    const auto value = [&](double x) {
      log_prob[i] = x;
      return evaluate_log_prob_sequences(mixed{}, log_prob, layout, options).value;
    };
    const double slope = (value(at + step) - value(at - step)) / (2 * step);
    log_prob[i] = at;
    // A token of weight 0 has a derivative, too: by its part in the sum.
    CHECK(got.gradient[i] == doctest::Approx(slope).epsilon(1e-7));
    CHECK(got.gradient[i] != 0);
  }
}

TEST_CASE("sequence losses of log-probabilities: nothing, and errors that name the argument") {
  const numbers none, three{-1, -2, -3};
  CHECK(evaluate_log_prob_sequences(mixed{}, none, padded(0, 3)).value == 0);
  CHECK_THROWS_NAMING(evaluate_log_prob_sequences(mixed{}, three, padded(1, 2)), "log_prob");
  CHECK_THROWS_NAMING(evaluate_log_prob_sequences(mixed{}, three, padded(1, 3), {.mask = numbers{1}}), "mask");
  CHECK_THROWS_NAMING(evaluate_log_prob_sequences(mixed{}, three, padded(1, 3), {.normaliser = 0}), "normaliser");
}

}  // namespace
