#pragma once

#include <doctest/doctest.h>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>
#include <c10/cuda/CUDAFunctions.h>

#include <limits>

/// Largest difference, of NaN and infinities too.
inline double distance(const at::Tensor& a, const at::Tensor& b) {
  REQUIRE(a.sizes() == b.sizes());
  if (a.numel() == 0) return 0;
  const at::Tensor x = a.detach().cpu().to(at::kDouble), y = b.detach().cpu().to(at::kDouble);
  if (!x.isnan().equal(y.isnan())) return std::numeric_limits<double>::infinity();
  return at::where(x == y, at::zeros_like(x), (x - y).abs()).nan_to_num(0.0, 1e300).max().item().toDouble();
}

/// What runs while this lives and asks the device for a number, or waits for it, fails.
struct no_waiting {
  no_waiting() { c10::cuda::warning_state().set_sync_debug_mode(c10::cuda::SyncDebugMode::L_ERROR); }
  ~no_waiting() { c10::cuda::warning_state().set_sync_debug_mode(c10::cuda::SyncDebugMode::L_DISABLED); }
};
