#pragma once

#include <emend/advantage/group_relative.hpp>

namespace emend {

/// Options of `gpg`.
struct gpg_options {
  double scale = 1;                          ///< the result is divided by it (verl: f_norm)
  lone_sequence lone = lone_sequence::zero;  ///< raw: verl
  double sequences = 0;                      ///< B of the whole batch; 0: count these
  double earning = 0;                        ///< rewards other than 0 of the whole batch; used with `sequences`
};

/// Group policy gradient: the reward less its group's mean, scaled up by the share of sequences that earn nothing.
///   A_i = alpha (R_i - mean) / scale,   alpha = B / max(1, number of rewards other than 0)
/// reward: [B], NaN: absent, advantage 0. group: [B]; empty: one group. Throws std::invalid_argument on a length that
/// does not fit. Chu et al. 2025.
inline std::vector<double> gpg(column reward, id_column group, const gpg_options& options = {}) {
  if (!(options.scale > 0)) detail::fail("scale", "a number above 0", std::to_string(options.scale));
  detail::require_not_negative("sequences", options.sequences);
  detail::require_not_negative("earning", options.earning);
  if (options.sequences == 0 && options.earning != 0)
    detail::fail("sequences", "a number above 0, since earning is given", "0");
  std::vector<double> advantage =
      group_relative(reward, group, {.deviation = reward_scope::none, .epsilon = 0, .lone = options.lone}).advantage;
  double earning = options.earning, present = options.sequences;
  for (index b = 0; b < reward.size() && options.sequences == 0; ++b) {
    present += reward[b] == reward[b] ? 1 : 0;
    earning += reward[b] == reward[b] && reward[b] != 0 ? 1 : 0;
  }
  const double factor = present / (earning > 1 ? earning : 1) / options.scale;
  for (double& a : advantage) a *= factor;
  return advantage;
}

}  // namespace emend
