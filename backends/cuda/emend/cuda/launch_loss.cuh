#pragma once

#include <emend/cuda/device_policy.hpp>
#include <emend/cuda/loss_kernel.cuh>

namespace emend::cuda {

namespace detail {

/// Scores and gradient are rows of neighbours that lie alike in their packets of 16 bytes.
template <class T>
bool is_packed(const row_problem<T>& p) {
  if (p.vocab_stride != 1 || p.vocab > index{1} << 30) return false;
  if (!p.gradient) return true;
  constexpr index size = packet<T>::size;
  const auto lies_alike = [](index a, index b, index count) { return count <= 1 || (a - b) % size == 0; };
  return p.gradient_vocab_stride == 1 &&
         (reinterpret_cast<std::uintptr_t>(p.scores) - reinterpret_cast<std::uintptr_t>(p.gradient)) % 16 == 0 &&
         lies_alike(p.token_stride, p.gradient_token_stride, p.tokens) &&
         lies_alike(p.batch_stride, p.gradient_batch_stride, (p.rows + p.tokens - 1) / p.tokens);
}

/// What a kernel may use on the current device, and is allowed to from then on.
struct kernel_limits {
  index shared_bytes = 0;
  bool has_clusters = false;
};
template <class Kernel>
cudaError_t limits_of(Kernel* kernel, kernel_limits& limits) {
  int device = 0, bytes = 0;
  cudaFuncAttributes attributes;
  if (const cudaError_t error = cudaGetDevice(&device)) return error;
  if (const cudaError_t error = cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device))
    return error;
  if (const cudaError_t error = cudaFuncGetAttributes(&attributes, kernel)) return error;
  limits = {bytes - static_cast<index>(attributes.sharedSizeBytes), attributes.ptxVersion >= 90};
  // All that there is, at every call: one that lowered it would be in the way of another thread's launch.
  return cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                              static_cast<int>(limits.shared_bytes));
}

template <class T, class Loss, class Kernel>
cudaError_t launch_rows(Kernel* kernel, int threads, const row_problem<T>& p, const Loss& loss, cudaStream_t stream,
                        int blocks = 1, index bytes = 0) {
  constexpr index most_rows = index{1} << 26;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(p.rows < most_rows ? p.rows : most_rows) * static_cast<unsigned>(blocks));
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = static_cast<std::size_t>(bytes);
  config.stream = stream;
  cudaLaunchAttribute cluster;
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim = {static_cast<unsigned>(blocks), 1, 1};
  config.attrs = &cluster;
  config.numAttrs = blocks > 1 ? 1 : 0;
  const cudaError_t error = cudaLaunchKernelEx(&config, kernel, p, loss);
  const cudaError_t last = cudaGetLastError();  // which forgets it, so that nobody else finds it
  return error != cudaSuccess ? error : last;
}

/// `launch_loss` of what goes to the device.
template <class T, class Loss>
cudaError_t launch_form(const row_problem<T>& p, const Loss& loss, cudaStream_t stream) {
  // Blocks that a multiprocessor holds: by their registers the kernels' second number, by resident_bytes three, of the
  // 228 KiB that Hopper has.
  constexpr index short_row = 2048, resident_bytes = 76000;
  if (p.rows == 0) return cudaSuccess;
  if (!is_packed(p)) return launch_rows(loss_kernel<256, 4, row_way::strided, T, Loss>, 256, p, loss, stream);
  const index packets = p.vocab / packet<T>::size;
  if (p.gradient && p.vocab <= short_row)
    return launch_rows(loss_kernel<128, 8, row_way::staged, T, Loss>, 128, p, loss, stream, 1, packets * 16);
  if (p.gradient) {
    const auto kernel = loss_kernel < 256, sizeof(T) == sizeof(double) ? 2 : 4, row_way::staged, T, Loss > ;
    kernel_limits limits;
    if (const cudaError_t error = limits_of(kernel, limits)) return error;
    const auto bytes = [&](int blocks) { return (packets + blocks - 1) / blocks * 16; };
    int blocks = 1;
    while (limits.has_clusters && blocks < most_row_blocks && bytes(blocks) > resident_bytes) blocks *= 2;
    if (bytes(blocks) <= limits.shared_bytes) {
      const cudaError_t error = launch_rows(kernel, 256, p, loss, stream, blocks, bytes(blocks));
      // A part of a device may have no room for so many blocks side by side.
      if (blocks == 1 || error != cudaErrorInvalidClusterSize) return error;
    }
  }
  return launch_rows(loss_kernel<128, 8, row_way::packed, T, Loss>, 128, p, loss, stream);
}

}  // namespace detail

/// Runs the loss over the rows on a stream; returns at once, with what the launch said. Values, statistics and the
/// gradient are written on the device: nothing comes back to the host.
///   values_i = weight_i loss(token_i) / normaliser,   gradient = d (sum_i values_i) / d scores
/// Loss: a `device_loss`: callable on a token of dual numbers, constexpr, trivially copyable; its columns are
/// `device_column`s. `device_policy` makes one of the library's policy losses; throws std::invalid_argument if its
/// policy holds columns of the host. Cost: the scores are read from memory once and the
/// gradient written once, where rows are of neighbouring scores that lie like the gradient's within 16 bytes, and fit
/// the shared memory of a block, or of up to 8 together on devices with clusters (sm_90); else the gradient reads them
/// again.
template <class T, class Loss>
cudaError_t launch_loss(const row_problem<T>& p, const Loss& loss, cudaStream_t stream) {
  detail::require_device_loss<Loss>();
  if constexpr (device_loss<Loss>)
    return detail::launch_form(p, detail::on_device(loss), stream);
  else
    return cudaErrorInvalidValue;
}

}  // namespace emend::cuda
