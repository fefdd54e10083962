#pragma once

#include <emend/cuda/row_pass.hpp>

#include <cuda_runtime_api.h>

namespace emend::cuda {

/// One evaluation of N rows on a device: pointers of the device, strides in elements. Row i is batch entry i / tokens, token i % tokens.
template <class T>
struct row_problem {
  const T* scores = nullptr;
  T* gradient = nullptr;  ///< the shape of the scores, its own strides; the scores' own memory; or null: the value alone
  index rows = 0, vocab = 0, tokens = 1;
  index batch_stride = 0, token_stride = 0, vocab_stride = 1;
  index gradient_batch_stride = 0, gradient_token_stride = 0, gradient_vocab_stride = 1;
  const std::int64_t* targets = nullptr;  ///< [rows]; a counted one outside [0, vocab) makes the value NaN and its row's gradient 0
  const bool* mask = nullptr;             ///< [rows] or null
  const float* weight = nullptr;          ///< [rows] or null
  double normaliser = 1;
  double multiplier = 1;                  ///< logit_scale / temperature
  double* values = nullptr;               ///< [rows] receives weight loss / normaliser, 0 where masked
  double *log_prob = nullptr, *entropy = nullptr;  ///< [rows] or null

  constexpr index offset(index row) const { return (row / tokens) * batch_stride + (row % tokens) * token_stride; }
  constexpr index gradient_offset(index row) const { return (row / tokens) * gradient_batch_stride + (row % tokens) * gradient_token_stride; }
};

namespace detail {

template <class A>
__device__ row_share<A> shuffled(const row_share<A>& share, int distance) {
  constexpr unsigned all = 0xffffffff;
  return {__shfl_xor_sync(all, share.top, distance), __shfl_xor_sync(all, share.sum, distance), __shfl_xor_sync(all, share.weighted, distance),
          __shfl_xor_sync(all, share.squares, distance)};
}

/// One block a row, the rows of the grid in turn: a pass for the sums, the loss by one thread, a pass for the gradient. The second pass finds
/// the row in the cache of the device. The order of the sums is fixed by the number of threads, so that equal calls have equal bits.
template <int Threads, class T, class Loss>
__global__ void __launch_bounds__(Threads) loss_kernel(const row_problem<T> p, const Loss loss) {
  using A = arithmetic<T>;
  constexpr int warps = Threads / 32;
  __shared__ row_share<A> of_warp[warps];
  __shared__ row_slope<A> slope;
  const A multiplier = static_cast<A>(p.multiplier);
  for (index row = blockIdx.x; row < p.rows; row += gridDim.x) {
    const T* x = p.scores + p.offset(row);
    T* out = p.gradient ? p.gradient + p.gradient_offset(row) : nullptr;
    const index target = p.targets[row];
    const double weight = p.weight ? static_cast<double>(p.weight[row]) : 1;
    const bool is_counted = (!p.mask || p.mask[row]) && weight != 0, is_wrong = is_counted && (target < 0 || target >= p.vocab);
    if (!is_counted || is_wrong) {
      for (index j = threadIdx.x; out && j < p.vocab; j += Threads) out[j * p.gradient_vocab_stride] = T(A(0));
      if (threadIdx.x == 0) {
        p.values[row] = is_wrong ? __builtin_nan("") : 0;
        if (p.log_prob) p.log_prob[row] = 0;
        if (p.entropy) p.entropy[row] = 0;
      }
      continue;
    }
    row_share<A> share = share_of<T, A>(x, p.vocab, p.vocab_stride, multiplier, threadIdx.x, Threads);
    for (int distance = 16; distance > 0; distance /= 2) share.merge(shuffled(share, distance));
    if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = share;
    __syncthreads();
    if (threadIdx.x == 0) {
      for (int w = 1; w < warps; ++w) share.merge(of_warp[w]);
      const double score = p.multiplier * static_cast<double>(static_cast<A>(x[target * p.vocab_stride]));
      const row_result<A> result = evaluate_row(loss, share, score, target, row, weight / p.normaliser);
      p.values[row] = result.value;
      if (p.log_prob) p.log_prob[row] = result.log_prob;
      if (p.entropy) p.entropy[row] = result.entropy;
      slope = result.slope;
    }
    __syncthreads();
    if (out) write_share<T, A>(x, p.vocab_stride, out, p.gradient_vocab_stride, p.vocab, multiplier, slope, threadIdx.x, Threads);
    // The next row's sums must not overtake this one's slope.
    __syncthreads();
  }
}

}  // namespace detail

/// Runs the loss over the rows on a stream; returns at once, with what the launch said. Values, statistics and the gradient are written on
/// the device: nothing comes back to the host.
///   values_i = weight_i loss(token_i) / normaliser,   gradient = d (sum_i values_i) / d scores
/// Loss: callable on a token of dual numbers, constexpr, trivially copyable; its columns are `device_column`s. `device_policy` makes one of
/// the library's policy losses.
/// Cost: the scores are read from memory once where a row fits the cache, the gradient written once.
template <class T, class Loss>
cudaError_t launch_loss(const row_problem<T>& p, const Loss& loss, cudaStream_t stream) {
  static_assert(std::is_trivially_copyable_v<Loss>, "emend: a loss on a device must be trivially copyable; its columns are device_column");
  if (p.rows == 0) return cudaSuccess;
  constexpr index most_blocks = index{1} << 30;
  const auto blocks = static_cast<unsigned>(p.rows < most_blocks ? p.rows : most_blocks);
  if (p.vocab <= 2048) detail::loss_kernel<128><<<blocks, 128, 0, stream>>>(p, loss);
  else detail::loss_kernel<512><<<blocks, 512, 0, stream>>>(p, loss);
  return cudaGetLastError();
}

}  // namespace emend::cuda
