#pragma once

#include <emend/advantage/group_relative.hpp>

namespace emend {

/// On-policy RL with the optimal reward baseline: the group's mean weighted by the length of the responses.
///   A_i = R_i - sum_j l_j R_j / sum_j l_j          j over the group of i, l_j its number of counted tokens
/// reward: [B], NaN: absent, advantage 0. group: [B]; empty: one group. A sequence alone in its group gets 0, or its
/// reward with lone_sequence::raw (verl). A group without tokens has the baseline 0. Throws std::invalid_argument on a
/// length that does not fit, or an infinite reward. Hao et al. 2025, arXiv 2505.23585.
template <layout_argument L>
std::vector<double> opo(column reward, id_column group, const L& layout, lone_sequence lone = lone_sequence::zero) {
  detail::require_length("reward", reward.size(), layout.sequences());
  const groups of(group, reward.size());
  detail::require_finite_rewards(reward);
  std::vector<double> advantage(static_cast<std::size_t>(reward.size()), 0);
  for (index g = 0; g < of.count(); ++g) {
    double weighted = 0, total = 0;
    index present = 0;
    for (index k = 0; k < of.size(g); ++k) {
      const index b = of.member(g, k);
      if (reward[b] != reward[b]) continue;
      const double length = static_cast<double>(length_of(layout, b));
      weighted += length * reward[b];
      total += length;
      ++present;
    }
    const double mean = total > 0 ? weighted / total : 0;
    for (index k = 0; k < of.size(g); ++k) {
      const index b = of.member(g, k);
      if (reward[b] != reward[b]) continue;
      const double baseline = present > 1 ? mean : lone == lone_sequence::raw ? 0 : reward[b];
      advantage[static_cast<std::size_t>(b)] = reward[b] - baseline;
    }
  }
  return advantage;
}

}  // namespace emend
