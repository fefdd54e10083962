#pragma once

#include <emend/advantage/returns.hpp>
#include <emend/core/sequence_values.hpp>

namespace emend {

/// ReMax: the return less the reward of the greedy response to the same prompt.
///   A_t = sum_{s >= t} r_s - R_greedy,   G_t = sum_{s >= t} r_s
/// reward: [layout.tokens()]; greedy_reward: [B]. 0 where a token is not counted. Throws std::invalid_argument on a
/// length that does not fit. Li et al. 2023, arXiv 2310.10505.
template <layout_argument L>
advantages remax(column reward, column greedy_reward, const L& layout) {
  detail::require_length("greedy_reward", greedy_reward.size(), layout.sequences());
  advantages result{to_tokens(greedy_reward, layout), discounted_returns(reward, layout)};
  for (std::size_t t = 0; t < result.returns.size(); ++t) result.advantage[t] = result.returns[t] - result.advantage[t];
  return result;
}

}  // namespace emend
