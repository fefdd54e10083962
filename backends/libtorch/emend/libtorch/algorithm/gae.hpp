#pragma once

#include <emend/advantage/gae.hpp>
#include <emend/libtorch/algorithm/rows.hpp>
#include <emend/libtorch/algorithm/results.hpp>
#include <emend/libtorch/tensor/layout.hpp>

#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <utility>

namespace emend {

/// `advantages` as tensors.
struct advantage_tensors {
  at::Tensor advantage, returns;
};

namespace detail {

// By ATen's operations, in double, on the device where the tensors lie: nothing comes back to the host.

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

}  // namespace detail

}  // namespace emend
