#pragma once

#include <emend/libtorch/tensor/column.hpp>
#include <emend/libtorch/tensor/token.hpp>
#include <emend/libtorch/tensor/layout.hpp>

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>

#include <tuple>

namespace emend::detail {

// Rows of tokens on a device, and recursions over them, in double and by operations of which nothing comes back.

/// Rows of tokens, [B, T], and which of them count.
struct device_rows {
  index sequences, length;
  at::Device device;
  at::Tensor counted;  ///< [B, T] bool, or undefined: all

  explicit device_rows(const tensor_layout& layout, const at::Device& where)
      : sequences(layout.sequences()),
        length(layout.sequences() == 0 ? 0 : layout.tokens() / layout.sequences()),
        device(where) {
    if (layout.mask().is_given())
      counted = (column_on_device(layout.mask(), {0, layout.tokens(), device}) != 0).view({sequences, length});
  }

  /// A column of a number a token, [B, T] in double; undefined if it is empty.
  at::Tensor numbers(const char* argument, const column& values) const {
    if (!values.is_given()) return {};
    require_length(argument, values.size(), sequences * length);
    return column_on_device(values, {0, sequences * length, device}).view({sequences, length});
  }
  /// A column of a number a sequence, [B, 1] in double; undefined if it is empty.
  at::Tensor of_sequences(const char* argument, const column& values) const {
    if (!values.is_given()) return {};
    require_length(argument, values.size(), sequences);
    return column_on_device(values, {0, sequences, device}).view({sequences, 1});
  }
  /// values where a token counts, `other` elsewhere, whatever stood there.
  at::Tensor only_counted(const at::Tensor& values, double other = 0) const {
    return counted.defined() ? values.masked_fill(counted.bitwise_not(), other) : values;
  }
  /// Number of counted tokens of each row, [B, 1] in int64.
  at::Tensor lengths() const {
    if (counted.defined()) return counted.sum(1, true);
    return at::full({sequences, 1}, length, at::TensorOptions().dtype(at::kLong).device(device));
  }
  /// Counted tokens up to each one, itself included, [B, T] in int64.
  at::Tensor counts() const {
    if (counted.defined()) return counted.cumsum(1);
    return at::arange(1, length + 1, at::TensorOptions().dtype(at::kLong).device(device)).expand({sequences, length});
  }
  /// The counted token after each one, T where there is none, [B, T] in int64. Some do not count.
  at::Tensor next_counted() const {
    const at::Tensor places =
        at::arange(length, at::TensorOptions().dtype(at::kLong).device(device)).expand({sequences, length});
    const at::Tensor nearest = std::get<0>(places.masked_fill(counted.bitwise_not(), length).flip(1).cummin(1)).flip(1);
    return at::cat({nearest.narrow(1, 1, length - 1), at::full({sequences, 1}, length, places.options())}, 1);
  }
  /// The last counted token of each row, [B, T] bool.
  at::Tensor is_last() const {
    const at::Tensor last = counts() == lengths();
    return counted.defined() ? last.bitwise_and(counted) : last;
  }
};

/// x_t = term_t + decay_t x_{t+1} along the last dimension, x beyond the end being 0.
inline at::Tensor scan_backwards(at::Tensor decay, at::Tensor term) {
  const index length = term.size(-1);
  // After a step, a place holds what it is of the `reach` terms from itself on, and the product of their decays.
  for (index reach = 1; reach < length; reach *= 2) {
    const index within = length - reach;
    const auto near = [&](const at::Tensor& x) { return x.narrow(-1, 0, within); };
    const auto far = [&](const at::Tensor& x) { return x.narrow(-1, reach, within); };
    const auto with_end = [&](const at::Tensor& begin, const at::Tensor& x) {
      return at::cat({begin, x.narrow(-1, within, reach)}, -1);
    };
    term = with_end(near(term) + near(decay) * far(term), term);
    decay = with_end(near(decay) * far(decay), decay);
  }
  return term;
}

/// What follows each token, [B, T], of values [B, T]: the next one, and at the end `behind`, [B, 1].
inline at::Tensor shifted(const at::Tensor& values, const at::Tensor& behind) {
  return at::cat({values.narrow(1, 1, values.size(1) - 1), behind}, 1);
}

}  // namespace emend::detail
