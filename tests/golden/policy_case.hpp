#pragma once

#include "conventions.hpp"

#include <cmath>

namespace golden {

/// The inputs that the cases of policy losses share: [B,T] matrices, and a mask.
struct policy_case {
  std::vector<double> log_prob, old_log_prob, advantage, mask, factor;
  emend::index rows, length;

  explicit policy_case(const vector_case& c)
      : log_prob(c.input("log_prob").data),
        old_log_prob(c.input("old_log_prob").data),
        advantage(c.input("advantages").data),
        rows(c.input("log_prob").rows()),
        length(c.input("log_prob").columns()) {
    mask = c.has_input("mask") ? c.input("mask").data : std::vector<double>(log_prob.size(), 1);
    factor = c.has_input("rollout_is_weights") ? c.input("rollout_is_weights").data
                                               : std::vector<double>(log_prob.size(), 1);
  }

  emend::padded layout() const { return {rows, length, mask}; }
  bool is_empty() const {
    for (double m : mask)
      if (m != 0) return false;
    return true;
  }
  /// Weights of an aggregation, times the constant factor of each token.
  std::vector<double> weights(emend::aggregation how, const emend::aggregation_options& options = {}) const {
    std::vector<double> weight = emend::token_weights(layout(), how, options);
    for (std::size_t i = 0; i < weight.size(); ++i) weight[i] *= factor[i];
    return weight;
  }
  /// Mean over the counted tokens, 0 where there is none.
  template <class F>
  double mean(F&& f) const {
    double sum = 0, count = 0;
    for (std::size_t i = 0; i < mask.size(); ++i)
      if (mask[i] != 0) sum += f(i), ++count;
    return count > 0 ? sum / count : 0;
  }
};

/// An aggregation under verl's name, by the rules of the case's peer.
inline std::vector<double> weights_named(const vector_case& c, const policy_case& p, const std::string& name) {
  using emend::aggregation;
  emend::aggregation_options rules = convention_of(c).aggregation_rules;
  rules.length = static_cast<double>(p.length);
  if (name == "token-mean") return p.weights(aggregation::token_mean, rules);
  if (name == "token-sum") return p.weights(aggregation::token_sum, rules);
  if (name == "seq-mean-token-sum") return p.weights(aggregation::sequence_sum, rules);
  if (name == "seq-mean-token-mean" || name == "mean-of-sequence-means")
    return p.weights(aggregation::per_example_mean, rules);
  if (name == "seq-mean-token-sum-norm") return p.weights(aggregation::sequence_sum_per_length, rules);
  throw std::runtime_error("an aggregation of no known name: " + name);
}

inline const char* empty_batch = "a batch without a counted token has loss 0 here; the peer divides 0 by 0";

/// Masked tokens must not matter: they are handed over as NaN.
inline std::vector<double> hide_masked(std::vector<double> values, const std::vector<double>& mask) {
  for (std::size_t i = 0; i < values.size(); ++i)
    if (mask[i] == 0) values[i] = std::nan("");
  return values;
}

}  // namespace golden
