#pragma once

#include "vector_case.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>

namespace golden {

/// An array of a case as a leaf of autograd.
inline at::Tensor tensor_of(const array& values, bool is_double) {
  const at::Tensor x = at::empty({values.rows(), values.columns()}, at::TensorOptions().dtype(at::kDouble));
  std::copy(values.data.begin(), values.data.end(), static_cast<double*>(x.mutable_data_ptr()));
  return x.to(is_double ? at::kDouble : at::kFloat).requires_grad_();
}

/// The entries of a tensor of any dtype and device.
inline std::vector<double> numbers_of(const at::Tensor& x) {
  const at::Tensor wide = x.detach().cpu().to(at::kDouble).contiguous();
  const double* first = static_cast<const double*>(wide.const_data_ptr());
  return {first, first + wide.numel()};
}

}  // namespace golden
