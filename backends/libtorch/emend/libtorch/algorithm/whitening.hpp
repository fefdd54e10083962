#pragma once

#include <emend/advantage/whitening.hpp>
#include <emend/libtorch/algorithm/rows.hpp>
#include <emend/libtorch/algorithm/results.hpp>
#include <emend/libtorch/tensor/layout.hpp>

#include <ATen/ops/full.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

namespace emend::detail {

// By ATen's operations, in double, on the device where the tensors lie: nothing comes back to the host.

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

}  // namespace emend::detail
