#pragma once

#include <emend/base/index.hpp>

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <span>
#include <type_traits>
#include <vector>

namespace emend {

/// Numbers that the library gave, as a tensor on the device of `like`.
///   double         float, or double where `like` is double
///   index          int64
///   char, uint8_t  bool
/// Of like's shape where the entries fit it, of its leading dimensions where they fit those (one number a sequence),
/// else [n]. From the host to a device they are copied. Cost: one pass.
template <class T>
at::Tensor as_tensor(std::span<const T> values, const at::Tensor& like) {
  constexpr bool is_flag = sizeof(T) == 1, is_id = std::is_integral_v<T> && !is_flag;
  const at::ScalarType type = is_flag                             ? at::kBool
                              : is_id                             ? at::kLong
                              : like.scalar_type() == at::kDouble ? at::kDouble
                                                                  : at::kFloat;
  const auto size = static_cast<std::int64_t>(values.size());
  at::Tensor result = at::empty({size}, at::TensorOptions().dtype(type));
  void* data = result.mutable_data_ptr();
  const auto write = [&]<class U>(U* out) {
    for (std::size_t i = 0; i < values.size(); ++i) out[i] = static_cast<U>(values[i]);
  };
  if (is_flag)
    write(static_cast<bool*>(data));
  else if (is_id)
    write(static_cast<std::int64_t*>(data));
  else if (type == at::kDouble)
    write(static_cast<double*>(data));
  else
    write(static_cast<float*>(data));
  if (like.numel() == size)
    result = result.view(like.sizes());
  else if (like.dim() > 1 && like.numel() == size * like.size(-1))
    result = result.view(like.sizes().slice(0, static_cast<std::size_t>(like.dim()) - 1));
  return result.to(like.device());
}
template <class T>
at::Tensor as_tensor(const std::vector<T>& values, const at::Tensor& like) {
  return as_tensor(std::span<const T>(values), like);
}

}  // namespace emend
