#pragma once

#include <emend/advantage/group_relative.hpp>
#include <emend/advantage/returns.hpp>
#include <emend/core/sequence_values.hpp>
#include <emend/advantage/whitening.hpp>

namespace emend {

/// REINFORCE++: discounted returns of the token rewards, whitened over the batch.
///   G_t = r_t + gamma G_{t+1},   A = whiten(G)
/// reward: [layout.tokens()], the divergence from the reference usually within (`token_rewards`). 0 where a token is
/// not counted. verl whitens with the unbiased variance, OpenRLHF with the biased one and its floor. Hu 2025, arXiv
/// 2501.03262.
template <layout_argument L>
advantages reinforce_plus_plus(column reward, const L& layout, const return_options& options = {},
                               const whiten_options& whitening = {}) {
  advantages result;
  result.returns = discounted_returns(reward, layout, options);
  result.advantage = whiten(result.returns, layout, whitening);
  return result;
}

/// REINFORCE++ with a baseline: rewards less the mean of their group, spread over the tokens and whitened over the
/// batch. reward: [B], NaN: absent. group: [B]; empty: one group. NeMo: lone_sequence::zero, and the divergence may be
/// taken off between (`to_tokens`, `whiten`); verl: raw.
template <layout_argument L>
std::vector<double> reinforce_plus_plus_baseline(column reward, id_column group, const L& layout,
                                                 lone_sequence lone = lone_sequence::zero,
                                                 const whiten_options& whitening = {}) {
  detail::require_length("reward", reward.size(), layout.sequences());
  const group_relative_advantages relative =
      group_relative(reward, group, {.deviation = reward_scope::none, .epsilon = 0, .lone = lone});
  std::vector<double> advantage = to_tokens(relative.advantage, layout);
  whiten_into(advantage, layout, whitening, advantage);
  return advantage;
}

}  // namespace emend
