#pragma once

#include <emend/carriers/real.hpp>
#include <emend/evaluation/options.hpp>
#include <emend/losses/aggregation.hpp>
#include <emend/training/token_batch.hpp>

namespace emend {

/// Options of `update_policy` and `update_critic`.
struct update_options {
  index epochs = 1;
  index minibatch = 0;    ///< sequences a step; 0: all
  index micro_batch = 0;  ///< sequences a pass, to bound memory; their gradients add to the same step; 0: the minibatch
  aggregation how = aggregation::token_mean;
  aggregation_options aggregate = {};  ///< counts: 0, those of each minibatch are filled in
  std::uint64_t seed = 0;
  /// Ends the update once a minibatch's approximate_kl is above, or NaN; the loss must have a metric of that name.
  double stop_at_kl = detail::infinity;
  /// A supervised batch mixed into every step of a policy (PPO-ptx, Ouyang et al. 2022, eq. 2): as many of its
  /// sequences as the minibatch has, one after the other over the steps; its token mean of -log_prob times the
  /// coefficient joins the gradient. Over ranks each brings sequences of its own, and the mean is over all of them.
  const token_batch* pretraining = nullptr;
  double pretraining_coefficient = 16;  ///< align-anything; 27.8 in InstructGPT
  score_transform transform = {};       ///< as in `collect`
};

}  // namespace emend
