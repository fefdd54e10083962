#pragma once

#include <emend/advantage/group_relative.hpp>

namespace emend {

/// REINFORCE with a leave-one-out baseline: the reward less the mean of the others of its group.
///   A_i = R_i - (1 / (n - 1)) sum_{j != i} R_j
/// reward, group: as in `group_relative`. A sequence alone in its group gets 0, or its reward with lone_sequence::raw
/// (verl). TRL can scale the result over the batch: `whiten` with epsilon_place::deviation and 1e-4. Kool et al. 2019;
/// Ahmadian et al. 2024 (RLOO).
inline std::vector<double> leave_one_out(column reward, const groups& group, lone_sequence lone = lone_sequence::zero) {
  return group_relative(
             reward, group,
             {.mean = reward_scope::leave_one_out, .deviation = reward_scope::none, .epsilon = 0, .lone = lone})
      .advantage;
}
inline std::vector<double> leave_one_out(column reward, id_column group, lone_sequence lone = lone_sequence::zero) {
  return leave_one_out(reward, groups(group, reward.size()), lone);
}

}  // namespace emend
