#pragma once

#include <emend/heads/head_options.hpp>

namespace emend {

/// Trajectories over N rows of scores, J of them, one after the other. A trajectory of n actions has n + 1 entries, one
/// for each state that it passes. Rows may be read by many entries, of one trajectory or of several: a state comes back
/// after erasing, prompts are shared. Their gradients add.
struct trajectory_columns {
  id_column offsets = {};  ///< [J + 1] entries of trajectory j: offsets[j] .. offsets[j + 1] - 1, at least one
  id_column at = {};       ///< [entries] row of the state's scores
  id_column label =
      {};  ///< [entries] id of the action scored there; -1: none, as always at the last entry of a trajectory
  column is_rollout = {};   ///< [J] 1: the model's own; empty: all are data
  column is_complete = {};  ///< [J] 1: the last state is terminal; 0: cut off; empty: all are complete
  column is_at_floor =
      {};  ///< [N] 1: nothing can be erased in the row's state; read only where masked_at_floor is given
};

/// Options of `evaluate_trajectories`.
struct trajectory_options {
  /// Constants that the sums over data and over rollouts are divided by: numbers of trajectories or of actions of the
  /// whole batch, never a trajectory's own length, which would favour short ones.
  double data_normaliser = 1, rollout_normaliser = 1;
  score_transform transform = {};
  instruction_set instructions = instruction_set::best;
};

/// What `evaluate_trajectories_into` returns.
struct trajectory_value {
  double value = 0;         ///< the loss, to be minimised: -objective()
  double data_term = 0;     ///< of the objective: its terms over data
  double value_term = 0;    ///< its value terms, corrections of dropped steps included
  double rollout_term = 0;  ///< its terms over rollouts
  index steps = 0;          ///< terms over data; a tail counts as one
  index outside = 0;        ///< those of them that are beyond the divergence's domain, on the tangent

  double objective() const { return data_term + value_term + rollout_term; }
  /// Share of steps on the tangent: large where alpha is.
  double outside_share() const { return steps == 0 ? 0 : static_cast<double>(outside) / static_cast<double>(steps); }
  operator double() const { return value; }
};

}  // namespace emend
