#pragma once

#include <emend/advantage/group_relative.hpp>
#include <emend/core/sequence_values.hpp>
#include <emend/advantage/whitening.hpp>

namespace emend {

/// Several rewards of one batch, each normalised within its groups before they are added.
///   A_i = sum_k weight_k A_i^(k),   A^(k) = group_relative of the k-th reward
/// rewards: one column of [B] each; weight: one number each, empty: 1. TRL ("normalize_then_sum") and NeMo then
/// normalise the sum over the batch: `group_relative` with mean and deviation of the batch. Throws
/// std::invalid_argument on a length that does not fit.
inline std::vector<double> normalise_then_sum(const std::vector<column>& rewards, column weight, id_column group,
                                              const group_relative_options& options = {}) {
  if (rewards.empty()) detail::fail("rewards", "at least one column", "none");
  if (weight.is_given()) detail::require_length("weight", weight.size(), static_cast<index>(rewards.size()));
  const groups of(group, rewards[0].size());
  std::vector<double> total(static_cast<std::size_t>(rewards[0].size()), 0);
  for (std::size_t k = 0; k < rewards.size(); ++k) {
    detail::require_length("rewards", rewards[k].size(), rewards[0].size());
    const std::vector<double> one = group_relative(rewards[k], of, options).advantage;
    const double factor = weight.is_given() ? weight[static_cast<index>(k)] : 1;
    if (factor != factor) detail::fail("weight", "numbers", "NaN");
    for (std::size_t b = 0; b < total.size() && factor != 0; ++b) total[b] += factor * one[b];
  }
  return total;
}

/// GDPO: `normalise_then_sum`, spread over the tokens and whitened over them.
/// Result: [layout.tokens()], 0 where a token is not counted, everywhere if none is (verl raises).
/// Liu et al. 2026, arXiv 2601.05242, as verl computes it.
template <layout_argument L>
std::vector<double> gdpo(const std::vector<column>& rewards, column weight, id_column group, const L& layout,
                         const group_relative_options& options = {}, const whiten_options& whitening = {}) {
  std::vector<double> advantage = to_tokens(normalise_then_sum(rewards, weight, group, options), layout);
  whiten_into(advantage, layout, whitening, advantage);
  return advantage;
}

}  // namespace emend
