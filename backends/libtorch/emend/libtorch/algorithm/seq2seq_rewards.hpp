#pragma once

#include <emend/libtorch/algorithm/rows.hpp>
#include <emend/libtorch/algorithm/results.hpp>
#include <emend/libtorch/head/statistics.hpp>
#include <emend/reward/seq2seq_rewards.hpp>
#include <emend/libtorch/tensor/layout.hpp>

#include <ATen/ops/full.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

namespace emend {

/// `seq2seq_rewards` as tensors: per token of the responses' shape, per sequence of its leading dimensions.
struct seq2seq_reward_tensors {
  at::Tensor score, arg_max, log_prob, divergence, sequence_score, copy_log_likelihood;
};

namespace detail {

// By ATen's operations, in double, on the device where the tensors lie: nothing comes back to the host.

/// scores [B, T], 0 where not counted, over their deviation about their mean, which stays. counted: [B, T] bool, or
/// undefined: all.
inline at::Tensor over_deviation(const at::Tensor& score, const at::Tensor& counted,
                                 const seq2seq_reward_options& options) {
  const at::Tensor count = counted.defined() ? counted.sum().to(at::kDouble)
                                             : at::full({}, static_cast<double>(score.numel()), score.options());
  const at::Tensor divisor = options.is_unbiased ? count - 1 : count,
                   distance = (score - score.sum() / count.clamp_min(1)).square();
  const at::Tensor squares = (counted.defined() ? distance.masked_fill(counted.bitwise_not(), 0) : distance).sum();
  const at::Tensor variance = at::where(divisor > 0, squares / divisor, at::zeros_like(squares)),
                   deviation = (variance + options.whiten_epsilon).sqrt();
  return at::where(deviation > 0, score / deviation, score);
}

/// `extract_rewards` from statistics [B, T] of its rows, with arg_max. Numbers of tokens in double.
struct device_rewards {
  at::Tensor score, divergence, sequence_score, copy_log_likelihood;

  /// response: ids [B, T]; is_match: [B, T], whether each is the model's choice; log_prob, max_log_prob: [B, T];
  /// reference: [B, T], of dense.
  device_rewards(const at::Tensor& response, const at::Tensor& is_match, const at::Tensor& log_prob,
                 const at::Tensor& max_log_prob, const at::Tensor& reference, const device_rows& rows,
                 const seq2seq_reward_options& options) {
    const at::Tensor length = rows.lengths().to(at::kDouble), some = length.clamp_min(1);
    const at::Tensor differs =
        rows.counted.defined() ? is_match.bitwise_not().bitwise_and(rows.counted) : is_match.bitwise_not();
    const at::Tensor has_diverged = differs.cumsum(1) > 0, before = has_diverged.bitwise_not();
    divergence = (rows.counted.defined() ? before.bitwise_and(rows.counted) : before).sum(1);
    const divergence_reward reward{options.mode, options.positive, options.negative,
                                   options.clip, options.neutral,  options.is_neutral_positive};
    const tensor_number of_token =
        reward(tensor_condition(is_match), tensor_condition(has_diverged), tensor_number(log_prob),
               tensor_number(max_log_prob), reference.defined() ? tensor_number(reference) : tensor_number(0));
    score = rows.only_counted(of_token.is_constant() ? at::full_like(log_prob, static_cast<double>(of_token))
                                                     : of_token.tensor());
    if (options.has_truncation_penalty) {
      const at::Tensor is_end = (response.unsqueeze(-1) == ids_on_device(options.end_ids, rows.device)).any(-1);
      score = score - options.negative * rows.is_last().bitwise_and(is_end.bitwise_not()).to(at::kDouble);
    }
    if (options.normalise == reward_normalisation::per_length) score = score / some;
    if (options.normalise == reward_normalisation::whiten) score = over_deviation(score, rows.counted, options);
    sequence_score = (score.sum(1, true) / some).squeeze(1);
    copy_log_likelihood = (rows.only_counted(log_prob).sum(1, true) / some).squeeze(1);
  }
};

inline seq2seq_reward_tensors rewards_by_operations(const at::Tensor& x, const at::Tensor& response,
                                                    const at::Tensor& mask, const seq2seq_reward_options& options) {
  const at::NoGradGuard no_graph;
  const tensor_layout layout(response, mask);
  check(options, layout.tokens());
  const tensor_column counted(mask, "mask");
  const statistics_options wanted{.mask = counted, .transform = options.transform, .with_arg_max = true};
  const statistics_tensors of_rows = statistics_on_device({x.detach()}, response, wanted, at::kDouble);
  const device_rows rows(layout, x.device());
  const auto in_rows = [&](const at::Tensor& values) { return values.view({rows.sequences, rows.length}); };
  const at::Tensor ids = response.detach().to(at::TensorOptions().dtype(at::kLong).device(x.device())).contiguous();
  const at::Tensor reference = options.mode == reward_mode::dense
                                   ? rows.numbers("reference_log_prob", options.reference_log_prob)
                                   : at::Tensor();
  const device_rewards got(in_rows(ids), in_rows(of_rows.is_arg_max), in_rows(of_rows.log_prob),
                           in_rows(of_rows.max_log_prob), reference, rows, options);
  const auto shape = response.sizes();
  const auto numbers = [&](const at::Tensor& values) { return values.to(at::kFloat).view(shape); };
  // As as_tensor has it.
  const auto of_sequences = [&](const at::Tensor& values) {
    if (values.numel() == response.numel()) return values.view(shape);
    return shape.size() > 1 ? values.view(shape.slice(0, shape.size() - 1)) : values;
  };
  return {numbers(got.score),
          of_rows.arg_max.view(shape),
          numbers(of_rows.log_prob),
          of_sequences(got.divergence),
          of_sequences(got.sequence_score.to(at::kFloat)),
          of_sequences(got.copy_log_likelihood.to(at::kFloat))};
}

}  // namespace detail

}  // namespace emend
