#pragma once

#include <emend/carriers/real.hpp>
#include <emend/core/layout.hpp>
#include <emend/heads/row_sums.hpp>
#include <emend/losses/kl_estimators.hpp>

namespace emend::detail {

/// Log-probabilities of the sampled tokens under the policy that learns and the one that sampled them, token by token.
class log_ratio_source {
 public:
  log_ratio_source(column log_prob, column behaviour_log_prob, index tokens)
      : log_prob_(log_prob), behaviour_log_prob_(behaviour_log_prob) {
    require_length("log_prob", log_prob.size(), tokens);
    require_length("behaviour_log_prob", behaviour_log_prob.size(), tokens);
  }

  bool is_missing(index t) const {
    const double x = behaviour_log_prob_[t];
    return x != x;
  }
  double learner(index t) const { return log_prob_[t]; }
  double behaviour(index t) const { return behaviour_log_prob_[t]; }
  /// log (learner / behaviour), 0 where the sampler gave nothing, or both give the token the probability 0.
  double operator()(index t) const {
    return is_missing(t) ? 0 : log_ratio_between(log_prob_[t], behaviour_log_prob_[t]);
  }

 private:
  column log_prob_, behaviour_log_prob_;
};

}  // namespace emend::detail
