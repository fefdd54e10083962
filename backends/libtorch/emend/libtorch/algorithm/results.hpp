#pragma once

#include <ATen/core/Tensor.h>

namespace emend::detail {

inline bool is_on_device(const at::Tensor& x) { return x.defined() && !x.is_cpu(); }

/// Numbers in double as a result of `like`: of its shape, in float, or double where that is double.
inline at::Tensor result_like(const at::Tensor& numbers, const at::Tensor& like) {
  const at::Tensor result = numbers.to(like.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
  return (result.is_alias_of(like) ? result.clone() : result).view(like.sizes());
}

}  // namespace emend::detail
