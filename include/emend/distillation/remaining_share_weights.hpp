#pragma once

#include <emend/carriers/real.hpp>
#include <emend/core/layout.hpp>

namespace emend {

/// Weights of tokens by how much of a sequence's advantage is still to come: early tokens weigh more.
///   w_t = 1 + gamma (1 - sum_{u < t} |A_u| / sum_u |A_u|),   u, t counted tokens of one sequence
/// advantage: [layout.tokens()], constants. Every weight of a sequence without advantage is 1 + gamma; tokens that are
/// not counted get 0. Throws std::invalid_argument on a length that does not fit. Cost: two passes over one number a
/// token. The token weights of importance-weighted on-policy distillation in TRL (IW-OPD).
template <layout_argument L>
std::vector<double> remaining_share_weights(column advantage, const L& layout, double gamma = 1) {
  detail::require_length("advantage", advantage.size(), layout.tokens());
  std::vector<double> weight(static_cast<std::size_t>(layout.tokens()), 0);
  for (index b = 0; b < layout.sequences(); ++b) {
    double total = 0, before = 0;
    layout.for_each_token(b, [&](index t) { total += emend::abs(advantage[t]); });
    layout.for_each_token(b, [&](index t) {
      weight[static_cast<std::size_t>(t)] = gamma == 0 ? 1 : 1 + gamma * (1 - (total == 0 ? 0 : before / total));
      before += emend::abs(advantage[t]);
    });
  }
  return weight;
}

}  // namespace emend
