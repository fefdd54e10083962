#pragma once

#include <emend/advantage/gae.hpp>
#include <emend/advantage/whitening.hpp>
#include <emend/libtorch/device_rows.hpp>
#include <emend/libtorch/tensor_statistics.hpp>
#include <emend/losses/aggregation.hpp>
#include <emend/reward/seq2seq_rewards.hpp>
#include <emend/reward/token_rewards.hpp>

#include <ATen/ops/full.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <utility>

namespace emend {

/// `advantages` as tensors.
struct advantage_tensors {
  at::Tensor advantage, returns;
};

/// `seq2seq_rewards` as tensors: per token of the responses' shape, per sequence of its leading dimensions.
struct seq2seq_reward_tensors {
  at::Tensor score, arg_max, log_prob, divergence, sequence_score, copy_log_likelihood;
};

namespace detail {

// The algorithms of tensor_algorithms.hpp by ATen's operations, in double, on the device where their tensors lie:
// nothing comes back to the host.

/// `gae`: advantages and returns, [B, T].
inline std::pair<at::Tensor, at::Tensor> gae_on_device(const at::Tensor& reward, const at::Tensor& value,
                                                       const device_rows& rows, const gae_options& options) {
  if (reward.numel() == 0) return {reward, reward};
  const at::Tensor given = rows.of_sequences("bootstrap", options.bootstrap);
  const at::Tensor bootstrap = given.defined() ? given : at::zeros({rows.sequences, 1}, reward.options());
  const double value_lambda = options.value_lambda < 0 ? options.lambda : options.value_lambda;
  at::Tensor lambda = at::full({rows.sequences, 1}, options.lambda, reward.options());
  if (options.length_adaptive_alpha > 0)
    lambda = (1 - 1 / (rows.lengths().to(at::kDouble) * options.length_adaptive_alpha)).clamp_min_(0);
  const at::Tensor r = rows.only_counted(reward), v = rows.only_counted(value);
  at::Tensor next = shifted(v, bootstrap), is_step;  // is_step: undefined where every token is one
  if (rows.counted.defined() && options.holes == hole_rule::carry) {
    is_step = rows.counted;
    next = at::cat({v, bootstrap}, 1).gather(1, rows.next_counted());
  } else if (rows.counted.defined()) {
    // A hole discounts, but what stands behind the last counted token must not discount the bootstrap.
    const at::Tensor is_last = rows.is_last();
    is_step = rows.counts() < rows.lengths();
    is_step.bitwise_or_(is_last);
    next = at::where(is_last, bootstrap, next);
  }
  const at::Tensor all = r + options.gamma * next - v,
                   delta = is_step.defined() ? all.masked_fill(is_step.bitwise_not(), 0) : all;
  const auto accumulated = [&](const at::Tensor& decay_of_row) {
    const at::Tensor decay = decay_of_row.expand_as(delta);
    return scan_backwards(is_step.defined() ? decay.masked_fill(is_step.bitwise_not(), 1) : decay, delta);
  };
  const at::Tensor advantage = accumulated(options.gamma * lambda);
  const bool is_coupled = options.length_adaptive_alpha <= 0 && value_lambda == options.lambda;
  const at::Tensor of_value = is_coupled ? advantage : accumulated(at::full_like(lambda, options.gamma * value_lambda));
  return {rows.only_counted(advantage), rows.only_counted(of_value + v)};
}

/// `whiten`, [B, T].
inline at::Tensor whiten_on_device(const at::Tensor& values, const device_rows& rows, const whiten_options& options) {
  if (values.numel() == 0) return values;
  tensor_number count(options.given.count), mean(options.given.mean), squares(options.given.squares);
  if (options.given.count == 0) {
    const at::Tensor number = rows.counted.defined()
                                  ? rows.counted.sum().to(at::kDouble)
                                  : at::full({}, static_cast<double>(values.numel()), values.options());
    // About one of the numbers, so that equal ones have no spread, exactly.
    const at::Tensor largest = rows.only_counted(values, -infinity).amax(),
                     pivot = largest.masked_fill(largest.isinf(), 0);
    const at::Tensor distance = rows.only_counted(values - pivot), step = distance.sum() / number.clamp_min(1);
    count = tensor_number(number);
    mean = tensor_number(step + pivot);
    squares = tensor_number(rows.only_counted((distance - step).square()).sum());
  }
  const basic_whitening<tensor_number> f(count, mean, squares, options);
  const at::Tensor whitened = f(tensor_number(values)).tensor();
  if (!rows.counted.defined() || options.uncounted == uncounted_value::transformed) return whitened;
  if (options.uncounted == uncounted_value::zero) return rows.only_counted(whitened);
  return at::where(rows.counted, whitened, f(tensor_number(at::zeros_like(values))).tensor());
}

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

/// `token_weights`, [B, T].
inline at::Tensor token_weights_on_device(const device_rows& rows, aggregation how,
                                          const aggregation_options& options) {
  const at::Tensor length = rows.lengths().to(at::kDouble);
  const at::Tensor is_entered = options.counts_empty_sequences ? at::ones_like(length) : (length > 0).to(at::kDouble);
  const auto given_or = [&](double given, const at::Tensor& counted) {
    return given > 0 ? at::full({}, given, length.options()) : counted.sum();
  };
  const at::Tensor tokens = given_or(options.counts.tokens, length) + options.token_epsilon,
                   sequences = given_or(options.counts.sequences, is_entered) + options.sequence_epsilon;
  at::Tensor each = at::ones_like(length);
  switch (how) {
    case aggregation::token_mean:
      each = each / tokens;
      break;
    case aggregation::token_sum:
      break;
    case aggregation::sequence_sum:
      each = each / sequences;
      break;
    case aggregation::per_example_mean:
      each = each / (length + options.length_epsilon) / sequences;
      break;
    case aggregation::sequence_sum_per_length:
      each = each / sequences / options.length;
      break;
  }
  return rows.only_counted(each.expand({rows.sequences, rows.length}));
}

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

// The same from tensors as users have them, [.., T], to results of their shape.

inline bool is_on_device(const at::Tensor& x) { return x.defined() && !x.is_cpu(); }

/// Numbers in double as a result of `like`: of its shape, in float, or double where that is double.
inline at::Tensor result_like(const at::Tensor& numbers, const at::Tensor& like) {
  const at::Tensor result = numbers.to(like.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
  return (result.is_alias_of(like) ? result.clone() : result).view(like.sizes());
}

inline advantage_tensors gae_by_operations(const at::Tensor& reward, const at::Tensor& value, const at::Tensor& mask,
                                           const gae_options& options) {
  const tensor_column rewards(reward, "reward"), values(value, "value");
  const at::NoGradGuard no_graph;
  const tensor_layout layout(reward, mask);
  require_length("value", static_cast<const column&>(values).size(), layout.tokens());
  check(options);
  const device_rows rows(layout, reward.device());
  if (reward.numel() == 0) return {result_like(reward, reward), result_like(reward, reward)};
  const auto [advantage, returns] =
      gae_on_device(rows.numbers("reward", rewards), rows.numbers("value", values), rows, options);
  return {result_like(advantage, reward), result_like(returns, reward)};
}

inline at::Tensor whiten_by_operations(const at::Tensor& values, const at::Tensor& mask,
                                       const whiten_options& options) {
  const tensor_column given(values, "values");
  const at::NoGradGuard no_graph;
  const tensor_layout layout(values, mask);
  check(options);
  if (values.numel() == 0) return result_like(values, values);
  const device_rows rows(layout, values.device());
  return result_like(whiten_on_device(rows.numbers("values", given), rows, options), values);
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

inline at::Tensor token_weights_by_operations(const at::Tensor& mask, aggregation how,
                                              const aggregation_options& options) {
  const at::NoGradGuard no_graph;
  check(options, how);
  const tensor_layout layout(mask, mask);
  if (mask.numel() == 0) return result_like(mask, mask);
  return result_like(token_weights_on_device(device_rows(layout, mask.device()), how, options), mask);
}

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
