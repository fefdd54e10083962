#pragma once

#include <emend/sequence_match/replay_buffer.hpp>
#include <emend/sequence_match/score_trajectories.hpp>
#include <emend/training/shuffled_stream.hpp>

namespace emend {

/// A policy that scores the states of a forest and whose parameters can follow a gradient.
///
/// Valid expressions, with `p` a P, `forest` a const trajectory_forest:
///   p.differentiate(forest, f)  calls f(const X& scores, X& gradient) once: X is a `scores` type, row k of scores is
///   that of node
///                               forest.rows()[k]; f writes the derivative of a loss with respect to the scores, and p
///                               adds the loss's derivative with respect to its parameters to what it has gathered
///   p.step()                    moves the parameters along what was gathered, and forgets it
/// A node's scores are those of the text on the way from its root to it: attention to ancestors and itself, position =
/// depth. What the compiler cannot check: that the gathered gradient is that of the scores; the result must not depend
/// on threads.
template <class P>
concept trainable_tree_policy = requires(P& p, const trajectory_forest& forest) {
  p.differentiate(forest, detail::any_visitor{});
  p.step();
};

/// Options of `train_sequence_match`. The paper gives no sizes: these are ours.
struct sequence_match_training {
  index data_batch = 32;     ///< trajectories of data a step
  index rollout_batch = 32;  ///< rollouts a step, from the buffer; 0: none are sampled
  index sample_every = 20;   ///< steps between samplings
  index micro_batch = 0;     ///< trajectories a pass, to bound memory; their gradients add to the same step; 0: all
  trajectory_normaliser normaliser = trajectory_normaliser::trajectories;
  erase_floor floor = erase_floor::prompt_end;
  score_transform transform = {};
  std::uint64_t seed = 0;
};

/// What a run needs beside the policy to go on where it was: the caller saves both.
struct sequence_match_state {
  replay_buffer buffer;
  index step = 0;  ///< the next step
};

/// What one step did.
struct sequence_match_report {
  index step = 0;
  trajectory_value objective = {};  ///< value and its parts, before the step
  index data_actions = 0, rollout_actions = 0;
  index rollouts = 0, buffered = 0, sampled = 0;
};

namespace detail {

inline void check_training(const sequence_match_training& options, index data) {
  const auto require_at_least = [](const char* name, index got, index least) {
    if (got < least) fail(name, "at least " + std::to_string(least), std::to_string(got));
  };
  require_at_least("data", data, 1);
  require_at_least("data_batch", options.data_batch, 1);
  require_at_least("rollout_batch", options.rollout_batch, 0);
  require_at_least("sample_every", options.sample_every, 1);
  require_at_least("micro_batch", options.micro_batch, 0);
}

/// One pass after the other over a step's trajectories; what they find, added up.
template <class P, class O>
trajectory_value differentiate_trajectories(P& policy, const O& objective, const std::vector<trajectory>& batch,
                                            const sequence_match_training& options, const trajectory_options& whole) {
  trajectory_value sum;
  for_each_forest(batch, options.micro_batch, options.floor, [&](const trajectory_forest& forest) {
    policy.differentiate(forest, [&](const auto& scores, auto& gradient) {
      add_to(sum, evaluate_trajectories_into(objective, scores, forest.columns(), whole, gradient));
    });
  });
  return sum;
}

}  // namespace detail

/// Steps state.step .. last_step - 1 of SequenceMatch's training.
///   every sample_every steps: rollouts join the buffer, the oldest leave it;  each step: a batch of data, a batch of
///   the buffer, the gradient of the objective over both, a step of the policy
/// data: trajectories with their errors and backspaces, drawn epoch by epoch. sample: (P&, index step, std::uint64_t
/// seed) -> a std::vector<trajectory> of rollouts. objective_at: (index step) -> a `trajectory_objective`: a constant,
/// or one that is annealed (from maximum likelihood: a `linear_schedule` of alpha from 0, or of `annealed_divergence`).
/// on_step: (const sequence_match_report&) -> bool, called with the state that the next step starts from; false stops.
/// Every random choice is a function of (options.seed, step): from a saved state and policy a run goes on as it would
/// have. Returns the number of steps done. Throws std::invalid_argument on a bad option, before anything is changed.
/// Cost: for each micro-batch one forward and one backward pass of the policy. Cundy and Ermon 2024, algorithm 1.
template <trainable_tree_policy P, class Sample, class ObjectiveAt, class OnStep>
index train_sequence_match(P& policy, const std::vector<trajectory>& data, Sample&& sample, ObjectiveAt&& objective_at,
                           const sequence_match_training& options, sequence_match_state& state, index last_step,
                           OnStep&& on_step) {
  detail::check_training(options, static_cast<index>(data.size()));
  const counter_random random{options.seed};
  enum purpose : std::uint64_t { order_of_data, rollouts, order_of_buffer };
  for (const trajectory& t : data)
    if (t.is_rollout) detail::fail("data", "trajectories of data", "a rollout");
  shuffled_stream order(static_cast<index>(data.size()), random.bits(order_of_data, 0));
  index done = 0;
  while (state.step < last_step) {
    const index step = state.step;
    sequence_match_report report{.step = step};
    if (options.rollout_batch > 0 && step % options.sample_every == 0) {
      std::vector<trajectory> sampled = sample(policy, step, random.bits(rollouts, static_cast<std::uint64_t>(step)));
      report.sampled = static_cast<index>(sampled.size());
      for (trajectory& t : sampled) {
        if (!t.is_rollout) detail::fail("sample", "rollouts", "a trajectory of data");
        state.buffer.push(std::move(t));
      }
    }
    std::vector<trajectory> batch;
    for (index k = 0; k < options.data_batch; ++k)
      batch.push_back(data[static_cast<std::size_t>(order(step * options.data_batch + k))]);
    for (trajectory& t :
         state.buffer.draw(options.rollout_batch, random.bits(order_of_buffer, 0), static_cast<std::uint64_t>(step)))
      batch.push_back(std::move(t));
    const detail::trajectory_counts counts(batch);
    report.data_actions = counts.data_actions;
    report.rollout_actions = counts.rollout_actions;
    report.rollouts = counts.rollouts;
    report.objective = detail::differentiate_trajectories(policy, objective_at(step), batch, options,
                                                          counts.divided_by(options.normaliser, options.transform));
    report.buffered = state.buffer.size();
    policy.step();
    ++state.step;
    ++done;
    if (!on_step(static_cast<const sequence_match_report&>(report))) break;
  }
  return done;
}

}  // namespace emend
