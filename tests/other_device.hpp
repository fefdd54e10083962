#pragma once

#include <ATen/Context.h>
#include <ATen/core/Tensor.h>

#include <cstdio>
#include <cstdlib>

/// The other device of tests over LibTorch: the host itself, which may play one, or what the environment's
/// EMEND_TEST_DEVICE names: cuda, cuda:1.
inline at::Device other_device() {
  static const at::Device device = [] {
    const char* const name = std::getenv("EMEND_TEST_DEVICE");
    const at::Device named = name ? at::Device(name) : at::Device(at::kCPU);
    if (named.is_cuda() && !at::globalContext().hasCUDA()) {
      std::puts("skipped: no device of CUDA");
      std::exit(0);
    }
    return named;
  }();
  return device;
}
/// The tensor on the other device; autograd finds its way back.
inline at::Tensor there(const at::Tensor& x) { return x.defined() ? x.to(other_device()) : x; }
