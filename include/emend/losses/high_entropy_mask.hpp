#pragma once

#include <emend/core/layout.hpp>

#include <queue>
#include <vector>

namespace emend {

/// Tokens whose entropy is among the highest of the batch: a mask that keeps the forks of a text in the loss.
///   kept_i = [entropy_i >= q],   q the given quantile of the counted entropies, linear between neighbours
/// entropy: [layout.tokens()]; quantile in [0, 1]. Returns 1 where kept, else 0, uncounted tokens included. NaN is not
/// kept, and is no part of the quantile; infinity is an entropy like any. `rounds_to_float` computes q as a peer does
/// that casts entropies to float first (TRL). Throws std::invalid_argument on a length that does not fit or a quantile
/// outside [0, 1]. Cost: N log N. Wang et al. 2025, "Beyond the 80/20 rule"; TRL top_entropy_quantile.
template <layout_argument L>
std::vector<double> high_entropy_mask(column entropy, const L& layout, double quantile, bool rounds_to_float = false) {
  detail::require_length("entropy", entropy.size(), layout.tokens());
  if (!(quantile >= 0 && quantile <= 1)) detail::fail("quantile", "a number from 0 to 1", std::to_string(quantile));
  const auto value = [&](index t) {
    return rounds_to_float ? static_cast<double>(static_cast<float>(entropy[t])) : entropy[t];
  };
  std::priority_queue<double> largest_first;
  for (index b = 0; b < layout.sequences(); ++b)
    layout.for_each_token(b, [&](index t) {
      if (value(t) == value(t)) largest_first.push(value(t));
    });
  std::vector<double> kept(static_cast<std::size_t>(layout.tokens()), 0);
  if (largest_first.empty()) return kept;
  const double rank = quantile * static_cast<double>(largest_first.size() - 1);
  const auto below = static_cast<std::size_t>(rank);
  const double share = rank - static_cast<double>(below);
  double upper = largest_first.top();
  while (largest_first.size() > below + 1) {
    upper = largest_first.top();
    largest_first.pop();
  }
  // Between an entry and an infinite one, 0 times the distance would be NaN.
  const double lower = largest_first.top();
  double threshold = share == 0 || upper == lower ? lower : lower + share * (upper - lower);
  if (rounds_to_float) threshold = static_cast<double>(static_cast<float>(threshold));
  for (index b = 0; b < layout.sequences(); ++b)
    layout.for_each_token(b, [&](index t) { kept[static_cast<std::size_t>(t)] = value(t) >= threshold ? 1 : 0; });
  return kept;
}

}  // namespace emend
