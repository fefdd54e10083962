#pragma once

#include <emend/base/storage.hpp>

#include <cuda_runtime.h>

namespace emend::cuda {

namespace detail {

template <class T, class Factor>
__global__ void scale_kernel(T* values, index count, const Factor* factor) {
  using A = arithmetic<T>;
  const A by = static_cast<A>(*factor);
  if (by == 1) return;
  for (index i = static_cast<index>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += static_cast<index>(gridDim.x) * blockDim.x)
    values[i] = static_cast<T>(by * static_cast<A>(values[i]));
}

}  // namespace detail

/// values_i *= *factor for `count` neighbours, all pointers of the device. Cost: a launch where the factor is 1, which
/// the host need not know for that; else one read and one write.
template <class T, class Factor>
cudaError_t launch_scale(T* values, index count, const Factor* factor, cudaStream_t stream) {
  constexpr index threads = 256, most_blocks = 1024;
  if (count == 0) return cudaSuccess;
  const index blocks = (count + threads - 1) / threads;
  detail::scale_kernel<<<static_cast<unsigned>(blocks < most_blocks ? blocks : most_blocks), threads, 0, stream>>>(
      values, count, factor);
  return cudaGetLastError();
}

}  // namespace emend::cuda
