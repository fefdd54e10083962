#pragma once

// Every kernel over bare pointers of a device, for sources that nvcc compiles with -std=c++20 --expt-relaxed-constexpr.
#include <emend/cuda/launch_loss.cuh>
#include <emend/cuda/scale_kernel.cuh>
#include <emend/cuda/token_kernels.cuh>
