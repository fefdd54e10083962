#pragma once

#include <emend/libtorch/algorithm/rows.hpp>
#include <emend/libtorch/algorithm/results.hpp>
#include <emend/reward/token_rewards.hpp>
#include <emend/libtorch/tensor/layout.hpp>

#include <ATen/ops/zeros.h>

namespace emend::detail {

// By ATen's operations, in double, on the device where the tensors lie: nothing comes back to the host.

/// `token_rewards`, [B, T]. score, log_ratio (of old_log_prob to reference_log_prob): [B, T], or undefined.
inline at::Tensor token_rewards_on_device(const at::Tensor& score, const at::Tensor& log_ratio, const device_rows& rows,
                                          const token_reward_options& options) {
  at::Tensor reward =
      at::zeros({rows.sequences, rows.length}, at::TensorOptions().dtype(at::kDouble).device(rows.device));
  // A factor of 0 leaves its term out, however infinite that is.
  if (score.defined() && options.score_scale != 0) reward = reward + options.score_scale * score;
  if (log_ratio.defined() && options.kl_coefficient != 0)
    reward =
        reward - options.kl_coefficient * kl_estimate(options.kl, tensor_number(log_ratio), options.kl_bounds).tensor();
  reward = rows.only_counted(reward);
  if (const at::Tensor given = rows.of_sequences("scalar_reward", options.scalar_reward); given.defined()) {
    const at::Tensor scalar = options.scalar_scale * given.clamp(options.scalar_low, options.scalar_high);
    if (!options.scalar_position.is_given()) {
      reward = reward + scalar.masked_fill(rows.is_last().bitwise_not(), 0);
    } else {
      const index positions = rows.sequences * rows.length;
      if (!options.scalar_position.source<device_entries>())
        for (index b = 0; b < rows.sequences; ++b)
          if (options.scalar_position[b] != -1)
            require_position("scalar_position", b, options.scalar_position[b], positions);
      const at::Tensor place = ids_on_device(options.scalar_position, rows.device);
      // One that is no position stands behind them all.
      const at::Tensor known = place.masked_fill((place < 0).bitwise_or(place >= positions), positions);
      reward = reward + at::zeros({positions + 1}, reward.options())
                            .index_add_(0, known, scalar.view({-1}))
                            .narrow(0, 0, positions)
                            .view_as(reward);
    }
  }
  return reward.clamp(-options.clamp, options.clamp);
}

inline at::Tensor kl_by_operations(kl_kind kind, const at::Tensor& log_ratio, kl_clamps clamps) {
  const tensor_column checked(log_ratio, "log_ratio");
  const at::NoGradGuard no_graph;
  return result_like(kl_estimate(kind, tensor_number(log_ratio.detach().to(at::kDouble)), clamps).tensor(), log_ratio);
}

/// log(p / q) from the logarithms, 0 where both probabilities are 0.
inline at::Tensor log_ratio_of(const at::Tensor& log_p, const at::Tensor& log_q) {
  return (log_p - log_q).masked_fill(log_p.eq(-infinity).bitwise_and(log_q.eq(-infinity)), 0);
}

inline at::Tensor token_rewards_by_operations(const at::Tensor& score, const at::Tensor& old_log_prob,
                                              const at::Tensor& reference_log_prob, const at::Tensor& mask,
                                              const token_reward_options& options) {
  const tensor_column scores(score, "score"), old_ones(old_log_prob, "old_log_prob"),
      reference(reference_log_prob, "reference_log_prob");
  const at::NoGradGuard no_graph;
  const tensor_layout layout(score, mask);
  check(options, scores, old_ones, reference, layout);
  if (score.numel() == 0) return result_like(score, score);
  const device_rows rows(layout, score.device());
  const at::Tensor log_ratio = old_ones.empty() ? at::Tensor()
                                                : log_ratio_of(rows.numbers("old_log_prob", old_ones),
                                                               rows.numbers("reference_log_prob", reference));
  return result_like(token_rewards_on_device(rows.numbers("score", scores), log_ratio, rows, options), score);
}

}  // namespace emend::detail
