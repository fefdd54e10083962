#pragma once

#include <emend/advantage/group_relative.hpp>

namespace emend {

/// Options of `pass_at_k`.
struct pass_at_k_options {
  bool is_scaled = true;  ///< divided by the group's deviation + epsilon
  bool is_unbiased = true;
  double epsilon = 1e-6;  ///< verl
};

/// Pass@k: only the best response of a group is rewarded, with its lead over the second.
///   A_best = (R_best - R_second) / (deviation + epsilon),  0 for the others
/// reward: [B], NaN: absent. group: [B]; empty: one group. At a tie the first of the best ones is it, with the lead 0.
/// A group with fewer than two rewards gets 0 (verl raises). Throws std::invalid_argument on a length that does not
/// fit, or an infinite reward. Tang et al. 2025, arXiv 2503.19595.
inline std::vector<double> pass_at_k(column reward, id_column group, const pass_at_k_options& options = {}) {
  const groups of(group, reward.size());
  detail::require_finite_rewards(reward);
  detail::require_not_negative("epsilon", options.epsilon);
  std::vector<double> advantage(static_cast<std::size_t>(reward.size()), 0);
  for (index g = 0; g < of.count(); ++g) {
    moments m;
    index best = -1;
    double second = -__builtin_inf();
    for (index k = 0; k < of.size(g); ++k) {
      const index b = of.member(g, k);
      if (reward[b] != reward[b]) continue;
      m.add(reward[b]);
      if (best < 0 || reward[b] > reward[best]) {
        if (best >= 0) second = reward[best];
        best = b;
      } else if (reward[b] > second) {
        second = reward[b];
      }
    }
    if (m.count < 2) continue;
    const double lead = reward[best] - second;
    const double divisor = options.is_scaled ? m.deviation(options.is_unbiased) + options.epsilon : 1;
    advantage[static_cast<std::size_t>(best)] = lead > 0 ? lead / divisor : 0;
  }
  return advantage;
}

}  // namespace emend
