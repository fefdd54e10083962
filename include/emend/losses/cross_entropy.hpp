#pragma once

#include <emend/core/token.hpp>

namespace emend {

/// Negative log-likelihood of the target: sequence likelihood, token by token.
///   loss_i = -log_prob_i                                                                               [nats]
/// Every column of the token is defined for it; how tokens are weighed is `token_weights`.
struct cross_entropy {
  static constexpr bool uses_log_sum_squares = false;
  template <class R>
  constexpr R operator()(const token<R>& t) const {
    return -t.log_prob;
  }
};

}  // namespace emend
