// A batch for the losses of a policy, and what holds for each of them.
#pragma once

#include <emend/evaluation/evaluate_log_prob_sequences.hpp>
#include <emend/evaluation/evaluate_numbers.hpp>
#include <emend/losses/aggregation.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

inline constexpr double unread = std::numeric_limits<double>::quiet_NaN();

/// Four sequences of 3, 1, 0 and 4 tokens with holes, ratios on either side of every bound, advantages of every sign.
struct policy_batch {
  std::vector<double> log_prob{-1.2, -0.3, unread, -2.5, -0.9, unread, unread, unread, unread, -0.05, -3.1, -1.0},
      old{-1.0, -0.9, unread, -2.5, -1.8, unread, unread, unread, unread, -0.5, -2.2, -1.1},
      reference{-1.1, -0.2, unread, -2.0, -1.0, unread, unread, unread, unread, -0.1, -3.0, -0.7},
      advantage{1.5, 0.8, unread, -0.7, -1.2, unread, unread, unread, unread, -0.4, 2.0, 0},
      mask{1, 1, 0, 1, 1, 0, 0, 0, 0, 1, 1, 1};
  std::vector<double> weight;
  policy_batch() { weight = emend::token_weights(layout()); }
  /// Of the new policy to the old one.
  double ratio(std::size_t i) const { return std::exp(log_prob[i] - old[i]); }
  /// What the token's probability rose by.
  double moved(std::size_t i) const { return std::exp(log_prob[i]) - std::exp(old[i]); }
  /// The log-ratio of the token's whole sequence, and the number of its tokens.
  double sequence_log_ratio(std::size_t i) const {
    double sum = 0;
    for (std::size_t k = i / 3 * 3; k < i / 3 * 3 + 3; ++k)
      if (mask[k] != 0) sum += log_prob[k] - old[k];
    return sum;
  }
  double sequence_tokens(std::size_t i) const { return mask[i / 3 * 3] + mask[i / 3 * 3 + 1] + mask[i / 3 * 3 + 2]; }
  emend::padded layout() const { return {4, 3, mask}; }
};

template <class Loss>
emend::log_prob_evaluation<Loss> evaluated(const Loss& loss, const std::vector<double>& log_prob,
                                           const policy_batch& b) {
  const emend::number_options options{.mask = b.mask, .weight = b.weight};
  if constexpr (requires(emend::token<double> t) { loss(t); })
    return emend::evaluate_log_probs(loss, log_prob, options);
  else
    return emend::evaluate_log_prob_sequences(loss, log_prob, b.layout(), options);
}

/// The gradient is the derivative of the value, and nothing comes from masked tokens.
template <class Loss>
void check_gradient(const Loss& loss) {
  const policy_batch b;
  const auto result = evaluated(loss, b.log_prob, b);
  REQUIRE(std::isfinite(result.value));
  CHECK(result.evaluated == 7);
  for (std::size_t i = 0; i < b.log_prob.size(); ++i) {
    if (b.mask[i] == 0) {
      CHECK(result.gradient[i] == 0);
      continue;
    }
    const double step = 1e-6;
    std::vector<double> up = b.log_prob, down = b.log_prob;
    up[i] += step;
    down[i] -= step;
    const double slope = (evaluated(loss, up, b).value - evaluated(loss, down, b).value) / (2 * step);
    CHECK(result.gradient[i] == doctest::Approx(slope).epsilon(1e-7));
  }
}

/// Where a factor of the loss is held constant, the gradient is the token's weight times slope(i).
template <class Loss, class Slope>
void check_slopes(const Loss& loss, const Slope& slope) {
  const policy_batch b;
  const auto result = evaluated(loss, b.log_prob, b);
  for (std::size_t i = 0; i < b.log_prob.size(); ++i)
    CHECK(result.gradient[i] == doctest::Approx(b.mask[i] != 0 ? b.weight[i] * slope(i) : 0).epsilon(1e-12));
}

/// An advantage of 0 gives 0, whatever the ratio.
template <class Loss>
void check_zero_advantage(const Loss& loss) {
  const auto result = emend::evaluate_log_probs(loss, std::vector<double>{0});
  CHECK(result.value == 0);
  CHECK(result.gradient[0] == 0);
}
