#pragma once

#include <emend/advantage/gae.hpp>
#include <emend/advantage/group_relative.hpp>
#include <emend/advantage/returns.hpp>
#include <emend/advantage/whitening.hpp>
#include <emend/libtorch/algorithm/gae.hpp>
#include <emend/libtorch/algorithm/seq2seq_rewards.hpp>
#include <emend/libtorch/algorithm/token_rewards.hpp>
#include <emend/libtorch/algorithm/token_weights.hpp>
#include <emend/libtorch/algorithm/whitening.hpp>
#include <emend/libtorch/algorithm/results.hpp>
#include <emend/libtorch/algorithm/forest.hpp>
#include <emend/libtorch/algorithm/groups.hpp>
#include <emend/libtorch/head/scores.hpp>
#include <emend/libtorch/tensor/column.hpp>
#include <emend/libtorch/head/statistics.hpp>
#include <emend/libtorch/tensor/threads.hpp>
#include <emend/losses/aggregation.hpp>
#include <emend/reward/seq2seq_rewards.hpp>
#include <emend/reward/token_rewards.hpp>
#include <emend/sequence_match/attention_mask.hpp>
#include <emend/libtorch/tensor/as_tensor.hpp>
#include <emend/libtorch/tensor/layout.hpp>

#include <ATen/ops/empty.h>

namespace emend {

// The algorithms that a step of training calls, from tensors to tensors: each is the one of the same name over columns,
// which its own header describes. Shapes are [sequences, length] (any leading dimensions), masks of that shape or
// undefined; results have the shape and device of the first argument, in float, or double where that is double. On
// another device than the host, which must know double, they are done there, in double, by ATen's operations
// (algorithm/), and nothing comes back but for group_relative, whose few numbers a sequence do; columns of
// options may lie there, too (tensor_column). A position or an id that only the device knows is not checked: each says
// what it counts as. What is not here is called with `tensor_column` and `tensor_layout`, and its result made a tensor
// by `as_tensor`.

/// As `gae`. reward, value: [.., T]; mask: the same or undefined.
inline advantage_tensors gae(const at::Tensor& reward, const at::Tensor& value, const at::Tensor& mask,
                             const gae_options& options = {}) {
  detail::require_shape_of("value", value, reward);
  if (detail::is_on_device(reward)) return detail::gae_by_operations(reward, value, mask, options);
  const advantages got =
      gae(tensor_column(reward, "reward"), tensor_column(value, "value"), tensor_layout(reward, mask), options);
  return {as_tensor(got.advantage, reward), as_tensor(got.returns, reward)};
}

/// As `discounted_returns`. reward: [.., T]; mask: the same or undefined.
inline at::Tensor discounted_returns(const at::Tensor& reward, const at::Tensor& mask,
                                     const return_options& options = {}) {
  if (detail::is_on_device(reward))
    return detail::gae_by_operations(
               reward, at::zeros_like(reward), mask,
               {.gamma = options.gamma, .lambda = 1, .holes = options.holes, .bootstrap = options.bootstrap})
        .returns;
  return as_tensor(discounted_returns(tensor_column(reward, "reward"), tensor_layout(reward, mask), options), reward);
}

/// As `whiten`. values: [.., T]; mask: the same or undefined.
inline at::Tensor whiten(const at::Tensor& values, const at::Tensor& mask, const whiten_options& options = {}) {
  if (detail::is_on_device(values)) return detail::whiten_by_operations(values, mask, options);
  return as_tensor(whiten(tensor_column(values, "values"), tensor_layout(values, mask), options), values);
}

/// As `group_relative`. reward: [B]; group: [B] ids of the prompts, or undefined: one group. Cost: on a device
/// quadratic in B.
inline group_relative_tensors group_relative(const at::Tensor& reward, const at::Tensor& group,
                                             const group_relative_options& options = {}) {
  detail::require_shape_of("group", group, reward);
  if (detail::is_on_device(reward)) return detail::group_relative_by_operations(reward, group, options);
  const tensor_column rewards(reward, "reward"), ids(group, "group");
  const group_relative_advantages got =
      group_relative(static_cast<const column&>(rewards), static_cast<const id_column&>(ids), options);
  return {as_tensor(got.advantage, reward), as_tensor(got.baseline, reward), as_tensor(got.deviation, reward)};
}

/// `kl_estimate` of every entry. log_ratio: any shape.
inline at::Tensor kl_estimate(kl_kind kind, const at::Tensor& log_ratio, kl_clamps clamps = {}) {
  if (detail::is_on_device(log_ratio)) return detail::kl_by_operations(kind, log_ratio, clamps);
  const tensor_column ratios(log_ratio, "log_ratio");
  const column& given = ratios;
  std::vector<double> result(static_cast<std::size_t>(given.size()));
  for (index i = 0; i < given.size(); ++i) result[static_cast<std::size_t>(i)] = kl_estimate(kind, given[i], clamps);
  return as_tensor(result, log_ratio);
}

/// As `token_rewards`. score: [.., T]; old_log_prob, reference_log_prob: the same, both undefined: no divergence. On a
/// device a scalar_position outside the batch counts as none.
inline at::Tensor token_rewards(const at::Tensor& score, const at::Tensor& old_log_prob,
                                const at::Tensor& reference_log_prob, const at::Tensor& mask,
                                const token_reward_options& options = {}) {
  detail::require_shape_of("old_log_prob", old_log_prob, score);
  detail::require_shape_of("reference_log_prob", reference_log_prob, score);
  if (detail::is_on_device(score))
    return detail::token_rewards_by_operations(score, old_log_prob, reference_log_prob, mask, options);
  return as_tensor(
      token_rewards(tensor_column(score, "score"), tensor_column(old_log_prob, "old_log_prob"),
                    tensor_column(reference_log_prob, "reference_log_prob"), tensor_layout(score, mask), options),
      score);
}

/// As `token_weights`, of the mask's shape; in float.
inline at::Tensor token_weights(const at::Tensor& mask, aggregation how = aggregation::token_mean,
                                const aggregation_options& options = {}) {
  if (detail::is_on_device(mask)) return detail::token_weights_by_operations(mask, how, options);
  return as_tensor(token_weights(tensor_layout(mask, mask), how, options), mask);
}

/// As `extract_rewards`. x: [B, T, V] on any device; response: [B, T]; mask: the same or undefined. On a device a
/// response id outside the vocabulary has log-probability NaN and is not the model's choice; there temperatures of each
/// row go through the host.
inline seq2seq_reward_tensors extract_rewards(const at::Tensor& x, const at::Tensor& response, const at::Tensor& mask,
                                              const seq2seq_reward_options& options = {}) {
  detail::require_score_tensor("scores", x);
  detail::require_shape("response", response, x.sizes().slice(0, static_cast<std::size_t>(x.dim()) - 1));
  if (detail::is_on_device(x) && !options.transform.temperatures.is_given() && response.numel() > 0)
    return detail::rewards_by_operations(x, response, mask, options);
  const tensor_column ids(response, "response");
  const tensor_layout layout(response, mask);
  const device_scores on_device{x.detach()};
  const seq2seq_rewards got = x.is_cpu()
                                  ? extract_rewards(on_device.scores, id_column(ids), layout, options, torch_threads{})
                                  : extract_rewards(on_device, id_column(ids), layout, options);
  const auto tensor = [&](const auto& column) { return as_tensor(column, response); };
  return {tensor(got.score),      tensor(got.arg_max),        tensor(got.log_prob),
          tensor(got.divergence), tensor(got.sequence_score), tensor(got.copy_log_likelihood)};
}

/// The attention mask of a packed forest, bool [N, N], on the device of parent: see `write_attention_mask`. parent: [N]
/// ids; on a device one that is not earlier counts as none.
inline at::Tensor attention_mask(const at::Tensor& parent) {
  if (detail::is_on_device(parent)) return detail::attention_mask_by_operations(parent);
  const tensor_column parents(parent, "parent");
  const id_column& ids = parents;
  const at::Tensor mask = at::empty({ids.size(), ids.size()}, at::TensorOptions().dtype(at::kBool));
  write_attention_mask(ids, static_cast<unsigned char*>(mask.mutable_data_ptr()));
  return mask.to(parent.device());
}

/// Position of each node of a packed forest, its number of ancestors; int64 [N], on the device of parent. parent: [N],
/// -1 or an earlier node. Throws std::invalid_argument on a parent that is not earlier; on a device it counts as none.
inline at::Tensor position_ids(const at::Tensor& parent) {
  if (detail::is_on_device(parent)) return detail::positions_by_operations(parent);
  const tensor_column parents(parent, "parent");
  const id_column& ids = parents;
  detail::parent_list list;
  const index* const parent_of = list.read(ids);
  std::vector<index> position(static_cast<std::size_t>(ids.size()), 0);
  for (std::size_t i = 0; i < position.size(); ++i)
    if (parent_of[i] >= 0) position[i] = position[static_cast<std::size_t>(parent_of[i])] + 1;
  return as_tensor(position, parent);
}

}  // namespace emend
