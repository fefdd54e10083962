#pragma once

#include <emend/core/layout.hpp>

namespace emend {

/// Options of `gae`.
struct gae_options {
  double gamma = 1;
  double lambda = 0.95;
  column bootstrap = {};  ///< [B] value after the last token of a cut sequence; empty: 0, the sequence has ended
};

/// What `gae` returns, 0 where a token is not counted.
struct advantages {
  std::vector<double> advantage, returns;
};

/// Generalised advantage estimation over every sequence of a layout.
///   delta_t = r_t + gamma V_{t+1} - V_t,   A_t = delta_t + gamma lambda A_{t+1},   G_t = A_t + V_t
/// reward, value: [layout.tokens()]. t+1 is the next counted token, so that holes are carried over, as in verl, NeMo and
/// AReaL. Throws std::invalid_argument on a length that does not fit. Cost: one pass. Schulman et al. 2016, eq. 16.
template <sequence_layout L>
advantages gae(column reward, column value, const L& layout, const gae_options& options = {}) {
  detail::require_length("reward", reward.size(), layout.tokens());
  detail::require_length("value", value.size(), layout.tokens());
  if (!options.bootstrap.empty()) detail::require_length("bootstrap", options.bootstrap.size(), layout.sequences());
  advantages result;
  result.advantage.assign(static_cast<std::size_t>(layout.tokens()), 0);
  result.returns.assign(static_cast<std::size_t>(layout.tokens()), 0);
  std::vector<index> positions;
  for (index b = 0; b < layout.sequences(); ++b) {
    positions.clear();
    layout.for_each_token(b, [&](index t) { positions.push_back(t); });
    double next_value = options.bootstrap.empty() ? 0 : options.bootstrap[b], carried = 0;
    for (auto t = positions.rbegin(); t != positions.rend(); ++t) {
      const double delta = reward[*t] + options.gamma * next_value - value[*t];
      carried = delta + options.gamma * options.lambda * carried;
      next_value = value[*t];
      result.advantage[static_cast<std::size_t>(*t)] = carried;
      result.returns[static_cast<std::size_t>(*t)] = carried + value[*t];
    }
  }
  return result;
}

}  // namespace emend
