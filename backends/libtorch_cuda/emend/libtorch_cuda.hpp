#pragma once

// Tensors on a device of CUDA through kernels of our own; nothing comes back to the host, which does not wait. For
// sources that nvcc compiles.
#include <emend/libtorch_cuda/linear_loss.hpp>
#include <emend/libtorch_cuda/loss.hpp>
#include <emend/libtorch_cuda/tensor_algorithms.hpp>
