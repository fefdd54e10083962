#pragma once

// What the step over LibTorch of backends/README.md speaks of: two responses of three tokens over five ids.
#include <ATen/ops/arange.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/sin.h>

#include <emend/libtorch.hpp>

namespace snippets::libtorch_step {

inline at::Tensor numbers(at::IntArrayRef shape) {
  const auto count = c10::multiply_integers(shape);
  return at::sin(at::arange(1, count + 1, at::TensorOptions(at::kFloat)) * 1.7).reshape(shape);
}
inline at::Tensor model(const at::Tensor&) { return numbers({2, 3, 5}).requires_grad_(); }

inline const at::Tensor ids = at::arange(0, 6, at::TensorOptions(at::kLong)).reshape({2, 3}).remainder(5);
inline const at::Tensor old_log_prob = numbers({2, 3}) - 2, advantage = numbers({2, 3}), reward = numbers({2, 3}),
                        values = numbers({2, 3}), mask = at::ones({2, 3}, at::TensorOptions(at::kBool));
inline const at::Tensor hidden = numbers({2, 3, 4}).requires_grad_(), weight = numbers({5, 4}).requires_grad_();
inline const double count = 6;

}  // namespace snippets::libtorch_step
