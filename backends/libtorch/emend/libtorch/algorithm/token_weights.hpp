#pragma once

#include <emend/libtorch/algorithm/rows.hpp>
#include <emend/libtorch/algorithm/results.hpp>
#include <emend/losses/aggregation.hpp>
#include <emend/libtorch/tensor/layout.hpp>

#include <ATen/ops/full.h>
#include <ATen/ops/ones_like.h>

namespace emend::detail {

// By ATen's operations, in double, on the device where the tensors lie: nothing comes back to the host.

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

inline at::Tensor token_weights_by_operations(const at::Tensor& mask, aggregation how,
                                              const aggregation_options& options) {
  const at::NoGradGuard no_graph;
  check(options, how);
  const tensor_layout layout(mask, mask);
  if (mask.numel() == 0) return result_like(mask, mask);
  return result_like(token_weights_on_device(device_rows(layout, mask.device()), how, options), mask);
}

}  // namespace emend::detail
