#pragma once

#include <emend/carriers/real.hpp>
#include <emend/core/layout.hpp>
#include <emend/losses/kl_estimators.hpp>

#include <vector>

namespace emend {

/// Options of `future_kl_weights`.
struct future_kl_options {
  double gamma = 0.99;           ///< decay of a future token's log-ratio, in [0, 1]
  double low = 0.8, high = 1.2;  ///< bounds of the weight
};

/// Weight of each token by how the policy moved on the rest of its sequence: FIPO multiplies the advantage by it.
///   w_t = clamp(exp(sum_{k >= t} gamma^(k-t) (log_prob_k - old_log_prob_k)), low, high)
/// log_prob, old_log_prob: [layout.tokens()]; the sum runs over the counted tokens of the sequence, holes not counted
/// as steps. Constants, 0 where not counted. Throws std::invalid_argument on a length that does not fit, gamma
/// outside [0, 1], or low above high. Cost: one pass from the end. FIPO (ms-swift).
template <layout_argument L>
std::vector<double> future_kl_weights(column log_prob, column old_log_prob, const L& layout,
                                      const future_kl_options& options = {}) {
  detail::require_length("log_prob", log_prob.size(), layout.tokens());
  detail::require_length("old_log_prob", old_log_prob.size(), layout.tokens());
  if (!(options.gamma >= 0 && options.gamma <= 1))
    detail::fail("gamma", "a number from 0 to 1", std::to_string(options.gamma));
  if (!(options.low <= options.high)) detail::fail("low", "a number up to high", std::to_string(options.low));
  std::vector<double> weight(static_cast<std::size_t>(layout.tokens()), 0);
  std::vector<index> positions;
  for (index b = 0; b < layout.sequences(); ++b) {
    positions.clear();
    layout.for_each_token(b, [&](index t) { positions.push_back(t); });
    double future = 0;
    for (auto t = positions.rbegin(); t != positions.rend(); ++t) {
      future =
          detail::log_ratio_between(log_prob[*t], old_log_prob[*t]) + detail::scaled_or_zero(options.gamma, future);
      weight[static_cast<std::size_t>(*t)] = emend::clamp(emend::exp(future), options.low, options.high);
    }
  }
  return weight;
}

}  // namespace emend
