#pragma once

#include <emend/base/aligned_allocator.hpp>
#include <emend/core/backend.hpp>
#include <emend/core/strided_block.hpp>

#include <ATen/TensorUtils.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_strided.h>

#include <string>

namespace emend {

namespace detail {

/// Throws std::invalid_argument unless x is a dense tensor of a storage type of scores, on whatever device.
inline void require_score_tensor(const char* argument, const at::Tensor& x) {
  if (!x.defined()) fail(argument, "a tensor", "an undefined one");
  const at::ScalarType type = x.scalar_type();
  if (type != at::kFloat && type != at::kDouble && type != at::kBFloat16 && type != at::kHalf)
    fail(argument, "float, double, bfloat16 or half", c10::toString(type));
  if (x.layout() != at::kStrided || x.is_neg())
    fail(argument, "a dense tensor", x.is_neg() ? "a negated view" : "another layout");
  if (x.dim() == 0) fail(argument, "at least one dimension, the vocabulary", "a scalar");
}

inline void require_host_tensor(const char* argument, const at::Tensor& x) {
  require_score_tensor(argument, x);
  if (!x.is_cpu())
    fail(argument, "a tensor in this process's memory; emend::loss takes any device, device_scores wraps them",
         x.device().str());
}

/// x as [batch, tokens, vocab], its own memory wherever two strides describe the leading dimensions, else a contiguous
/// copy.
inline at::Tensor in_three_dimensions(const at::Tensor& x) {
  const index dimensions = x.dim(), vocab = x.size(-1);
  if (dimensions == 3) return x;
  if (dimensions == 2) return x.unsqueeze(0);
  if (dimensions == 1) return x.unsqueeze(0).unsqueeze(0);
  index outer = 1;
  if (x.numel() == 0) {
    for (index d = 0; d + 1 < dimensions; ++d) outer *= x.size(d);
    return x.reshape({1, outer, vocab});
  }
  for (index d = 0; d + 1 < dimensions; outer *= x.size(d), ++d) {
    const std::vector<std::int64_t> shape{outer, x.numel() / outer / vocab, vocab};
    if (at::detail::computeStride(x.sizes(), x.strides(), at::IntArrayRef(shape))) return x.view(shape);
  }
  return x.contiguous().view({1, x.numel() / vocab, vocab});
}

/// Throws std::invalid_argument unless the gradient is of the rows, vocabulary, dtype and device of x, and can be
/// written to.
inline void require_gradient_tensor(const at::Tensor& x, const at::Tensor& gradient) {
  require_score_tensor("gradient", gradient);
  if (gradient.scalar_type() != x.scalar_type()) fail("gradient", "the storage type of the scores", "another one");
  if (gradient.device() != x.device()) fail("gradient", "the device of the scores", gradient.device().str());
  if (gradient.size(-1) != x.size(-1) || gradient.numel() != x.numel())
    fail("gradient", "the shape of the scores", "another one");
}
/// The memory of a gradient as [batch, tokens, vocab].
inline at::Tensor writable(const at::Tensor& gradient) {
  for (index d = 0; d < gradient.dim(); ++d)
    if (gradient.stride(d) == 0 && gradient.size(d) > 1)
      fail("gradient", "a tensor whose elements are apart", "an expanded one");
  const at::Tensor block = in_three_dimensions(gradient.detach());
  if (gradient.numel() > 0 && block.const_data_ptr() != gradient.const_data_ptr())
    fail("gradient", "leading dimensions that two strides describe", "others; copy it into contiguous memory first");
  gradient.unsafeGetTensorImpl()->bump_version();
  return block;
}

/// f(T*) with the storage type of a dtype that require_score_tensor has passed.
template <class F>
void with_storage_of(at::ScalarType type, F&& f) {
  if (type == at::kFloat)
    f(static_cast<float*>(nullptr));
  else if (type == at::kDouble)
    f(static_cast<double*>(nullptr));
  else if (type == at::kBFloat16)
    f(static_cast<bfloat16*>(nullptr));
  else
    f(static_cast<float16*>(nullptr));
}

}  // namespace detail

/// Scores in a tensor of LibTorch in this process's memory: the last dimension is the vocabulary, those before it are
/// tokens; any strides, expanded tensors included; float, double, bfloat16, half. The gradient is a tensor of the same
/// shape, dtype and device. Leading dimensions that two strides do not describe (only beyond three dimensions) are read
/// through a contiguous copy, and cannot be written to: a gradient made for them is contiguous. Throws
/// std::invalid_argument on another device (see `device_scores`), dtype or layout. Autograd sees a write as any
/// in-place operation: what it had saved of the tensor is then refused.
template <>
struct backend<at::Tensor> {
  static at::Tensor like(const at::Tensor& x) {
    detail::require_score_tensor("scores", x);
    at::Tensor made = x.is_non_overlapping_and_dense() ? at::empty_strided(x.sizes(), x.strides(), x.options())
                                                       : at::empty(x.sizes(), x.options());
    // It must be one that can be written to.
    if (made.dim() > 3 && detail::in_three_dimensions(made).const_data_ptr() != made.const_data_ptr())
      made = at::empty(x.sizes(), x.options());
    // To touch new memory page by page costs more than to fill it.
    if (made.is_cpu()) detail::advise_huge_pages(made.mutable_data_ptr(), made.nbytes());
    return made;
  }

  template <class F>
  static void visit(const at::Tensor& x, F&& f) {
    detail::require_host_tensor("scores", x);
    const at::Tensor block = detail::in_three_dimensions(x.detach());
    detail::with_storage_of(x.scalar_type(), [&]<class T>(T*) {
      f(strided_block("scores", static_cast<const T*>(block.const_data_ptr()), block.sizes(), block.strides()));
    });
  }

  template <class F>
  static void visit(at::Tensor& x, F&& f) {
    detail::require_host_tensor("gradient", x);
    const at::Tensor block = detail::writable(x);
    detail::with_storage_of(x.scalar_type(), [&]<class T>(T*) {
      f(strided_block("gradient", static_cast<T*>(block.mutable_data_ptr()), block.sizes(), block.strides()));
    });
  }
};

static_assert(host_scores<at::Tensor>);

}  // namespace emend
