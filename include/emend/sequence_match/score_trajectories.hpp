#pragma once

#include <emend/sequence_match/evaluate_trajectories.hpp>
#include <emend/sequence_match/trajectory_forest.hpp>
#include <emend/training/trainable.hpp>

#include <algorithm>
#include <string>
#include <vector>

namespace emend {

/// What the sums over a batch are divided by: its number of trajectories, or of actions. Never each trajectory's own
/// length.
enum class trajectory_normaliser { trajectories, actions };

/// A policy that scores the states of a forest.
///
/// Valid expression, with `p` a P, `forest` a const trajectory_forest:
///   p.score(forest, f)  calls f(const X& scores) once: X is a `scores` type, row k of scores is that of node
///   forest.rows()[k]
/// A node's scores are those of the text on the way from its root to it: attention to ancestors and itself, position =
/// depth.
template <class P>
concept scoring_tree_policy =
    requires(P& p, const trajectory_forest& forest) { p.score(forest, detail::any_visitor{}); };

/// Options of `score_trajectories`.
struct score_trajectories_options {
  index micro_batch = 0;  ///< trajectories a pass, to bound memory; 0: all
  trajectory_normaliser normaliser = trajectory_normaliser::trajectories;
  erase_floor floor = erase_floor::prompt_end;
  score_transform transform = {};
};

namespace detail {

/// f(forest) over a batch, so many trajectories at a time; 0: all at once.
template <class F>
void for_each_forest(const std::vector<trajectory>& batch, index micro_batch, erase_floor floor, F&& f) {
  const std::size_t size = micro_batch == 0 ? batch.size() : static_cast<std::size_t>(micro_batch);
  for (std::size_t begin = 0; begin < batch.size(); begin += size) {
    const std::size_t end = std::min(begin + size, batch.size());
    f(trajectory_forest(std::vector<trajectory>(batch.begin() + static_cast<std::ptrdiff_t>(begin),
                                                batch.begin() + static_cast<std::ptrdiff_t>(end)),
                        floor));
  }
}

/// How many trajectories and actions of data and of rollouts a batch has.
struct trajectory_counts {
  index data = 0, data_actions = 0, rollouts = 0, rollout_actions = 0;

  explicit trajectory_counts(const std::vector<trajectory>& batch) {
    for (const trajectory& t : batch) {
      ++(t.is_rollout ? rollouts : data);
      (t.is_rollout ? rollout_actions : data_actions) += static_cast<index>(t.actions.size());
    }
  }
  trajectory_options divided_by(trajectory_normaliser normaliser, const score_transform& transform) const {
    const bool is_by_action = normaliser == trajectory_normaliser::actions;
    return {.data_normaliser = static_cast<double>(std::max<index>(1, is_by_action ? data_actions : data)),
            .rollout_normaliser = static_cast<double>(std::max<index>(1, is_by_action ? rollout_actions : rollouts)),
            .transform = transform};
  }
};

inline void add_to(trajectory_value& sum, const trajectory_value& part) {
  sum.value += part.value;
  sum.data_term += part.data_term;
  sum.value_term += part.value_term;
  sum.rollout_term += part.rollout_term;
  sum.steps += part.steps;
  sum.outside += part.outside;
}

}  // namespace detail

/// The objective of a policy over trajectories that it is not trained on: held-out data, its rollouts, or both.
/// Divided as a training step of all of them would be; the parts of any micro-batching add up to the same to rounding.
/// Throws std::invalid_argument on a bad option, and as `evaluate_trajectories` does. Cost: a forward pass of the
/// policy for each micro-batch; no gradient is computed.
template <scoring_tree_policy P, trajectory_objective O>
trajectory_value score_trajectories(P& policy, const O& objective, const std::vector<trajectory>& trajectories,
                                    const score_trajectories_options& options = {}) {
  if (options.micro_batch < 0) detail::fail("micro_batch", "at least 0", std::to_string(options.micro_batch));
  objective.check();
  const trajectory_options whole =
      detail::trajectory_counts(trajectories).divided_by(options.normaliser, options.transform);
  trajectory_value sum;
  detail::for_each_forest(trajectories, options.micro_batch, options.floor, [&](const trajectory_forest& forest) {
    policy.score(forest, [&](const auto& scores) {
      detail::add_to(sum, evaluate_trajectories_value(objective, scores, forest.columns(), whole));
    });
  });
  return sum;
}

}  // namespace emend
