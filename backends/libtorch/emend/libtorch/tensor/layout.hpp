#pragma once

#include <emend/core/layout.hpp>
#include <emend/libtorch/tensor/column.hpp>

namespace emend {

namespace detail {

struct mask_holder {
  tensor_column held;
};

}  // namespace detail

/// `padded` of a tensor's shape: the last dimension is a sequence's length, those before it count sequences.
/// values: [.., T]; mask: its shape, 0 where a position does not count, or undefined.
/// Throws std::invalid_argument on a scalar, or a mask of another shape.
class tensor_layout : detail::mask_holder, public padded {
 public:
  explicit tensor_layout(const at::Tensor& values, const at::Tensor& mask = {})
      : mask_holder{tensor_column(mask, "mask")}, padded(sequences_of(values), length_of(values), held) {
    if (mask.defined() && mask.sizes() != values.sizes())
      detail::fail("mask", "the shape of the values", "another one");
  }

 private:
  static index length_of(const at::Tensor& values) {
    if (!values.defined() || values.dim() == 0) detail::fail("values", "a tensor of at least one dimension", "none");
    return values.size(-1);
  }
  static index sequences_of(const at::Tensor& values) {
    length_of(values);
    index count = 1;
    for (index d = 0; d + 1 < values.dim(); ++d) count *= values.size(d);
    return count;
  }
};
static_assert(detail::contiguous_layout<tensor_layout>);

}  // namespace emend
