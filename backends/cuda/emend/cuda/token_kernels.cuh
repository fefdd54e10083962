#pragma once

#include <emend/cuda/ancestor_row.hpp>
#include <emend/cuda/gae_row.hpp>
#include <emend/cuda/packet.cuh>
#include <emend/cuda/reward_row.hpp>
#include <emend/cuda/sample_row.hpp>
#include <emend/cuda/whitening_pass.hpp>

#include <cuda_runtime_api.h>

namespace emend::cuda {

/// The threads of a block as a team; on the host a team of one.
struct device_team {
#if defined(__CUDA_ARCH__)
  __device__ static index rank() { return threadIdx.x; }
  __device__ static index size() { return blockDim.x; }
  __device__ static constexpr index lanes() { return 32; }
  __device__ static void sync() { __syncthreads(); }
  template <class N>
  __device__ static N sum_lanes(N x) {
    for (int distance = 16; distance > 0; distance /= 2) x += __shfl_xor_sync(0xffffffff, x, distance);
    return x;
  }
  template <class N>
  __device__ static N max_lanes(N x) {
    for (int distance = 16; distance > 0; distance /= 2) {
      const N other = __shfl_xor_sync(0xffffffff, x, distance);
      x = x < other ? other : x;
    }
    return x;
  }
  __device__ static std::uint32_t take(std::uint32_t* memory) { return atomicAdd(memory, 1u); }
  template <class T, class F>
  __device__ static void for_each_score(const T* x, index count, index stride, F f) {
    using A = arithmetic<T>;
    const auto one = [&](index j) {
      const A number[1]{static_cast<A>(x[j * stride])};
      f(number, j);
    };
    if (stride != 1 || count > index{1} << 30) {
      for (index j = threadIdx.x; j < count; j += blockDim.x) one(j);
      return;
    }
    const detail::packed_row<T> parts(x, count);
    using packet = detail::packet<T>;
    if (static_cast<int>(threadIdx.x) < parts.head) one(index{threadIdx.x});
    const packet* const in = reinterpret_cast<const packet*>(x + parts.head);
    const int step = static_cast<int>(blockDim.x);
    const auto all = [&](const packet& of, int i) {
      A numbers[packet::size];
      of.unpack(numbers);
      f(numbers, index{parts.head} + index{i} * packet::size);
    };
    int i = static_cast<int>(threadIdx.x);
    for (; i + step < parts.packets; i += 2 * step) {
      const packet a = in[i], b = in[i + step];
      all(a, i);
      all(b, i + step);
    }
    if (i < parts.packets) all(in[i], i);
    if (static_cast<int>(threadIdx.x) < parts.tail) one(count - parts.tail + index{threadIdx.x});
  }
#else
  static index rank() { return 0; }
  static index size() { return 1; }
  static constexpr index lanes() { return 1; }
  static void sync() {}
  template <class N>
  static N sum_lanes(N x) {
    return x;
  }
  template <class N>
  static N max_lanes(N x) {
    return x;
  }
  static std::uint32_t take(std::uint32_t* memory) { return (*memory)++; }
  template <class T, class F>
  static void for_each_score(const T* x, index count, index stride, F f) {
    for (index j = 0; j < count; ++j) {
      const arithmetic<T> number[1]{static_cast<arithmetic<T>>(x[j * stride])};
      f(number, j);
    }
  }
#endif
};

namespace detail {

// All of them templates, so that several sources of a program may include this.
template <class Team>
__global__ void __launch_bounds__(gae_threads) gae_kernel(const gae_problem p) {
  __shared__ unsigned char memory[sizeof(gae_memory)] alignas(gae_memory);
  Team team;
  for (index row = blockIdx.x; row < p.rows; row += gridDim.x)
    gae_row(team, *reinterpret_cast<gae_memory*>(memory), p, row);
}

template <class Team>
__global__ void __launch_bounds__(whiten_threads) whiten_moments_kernel(const whiten_problem p, moments* of_part) {
  __shared__ unsigned char memory[sizeof(whiten_memory)] alignas(whiten_memory);
  Team team;
  for (index part = blockIdx.x; part < whiten_parts(p.count); part += gridDim.x) {
    const moments found = moments_of_part(team, *reinterpret_cast<whiten_memory*>(memory), p, part);
    if (threadIdx.x == 0) of_part[part] = found;
  }
}
template <class Team>
__global__ void __launch_bounds__(whiten_threads)
    whiten_factor_kernel(const whiten_problem p, const moments* of_part, emend::detail::whitening* factor) {
  __shared__ unsigned char memory[sizeof(whiten_memory)] alignas(whiten_memory);
  Team team;
  const emend::detail::whitening found = whitening_of(team, *reinterpret_cast<whiten_memory*>(memory), p, of_part);
  if (threadIdx.x == 0) *factor = found;
}
template <class Team>
__global__ void __launch_bounds__(whiten_threads)
    whiten_kernel(const whiten_problem p, const emend::detail::whitening* factor) {
  const emend::detail::whitening f = *factor;
  for (index i = static_cast<index>(blockIdx.x) * blockDim.x + threadIdx.x; i < p.count;
       i += static_cast<index>(gridDim.x) * blockDim.x)
    p.out[i] = whitened(p, f, i);
}

template <class T>
__global__ void __launch_bounds__(sample_threads) sample_kernel(const sample_problem<T> p) {
  __shared__ sample_memory memory;
  device_team team;
  for (index row = blockIdx.x; row < p.rows; row += gridDim.x) sample_row(team, memory, p, row);
}

template <class T>
__global__ void ancestor_kernel(const ancestor_problem p, T* out, T allowed, T forbidden) {
  device_team team;
  for (index node = blockIdx.x; node < p.nodes; node += gridDim.x) {
    ancestor_row(team, p, out, allowed, forbidden, node);
    team.sync();
  }
}

template <class T>
__global__ void __launch_bounds__(reward_threads) choice_kernel(const reward_problem<T> p) {
  using memory_type = choice_memory<arithmetic<T>>;
  __shared__ unsigned char memory[sizeof(memory_type)] alignas(memory_type);
  device_team team;
  for (index token = blockIdx.x; token < p.sequences * p.tokens; token += gridDim.x)
    choice_row(team, *reinterpret_cast<memory_type*>(memory), p, token);
}
template <class T>
__global__ void __launch_bounds__(reward_threads) reward_kernel(const reward_problem<T> p) {
  __shared__ unsigned char memory[sizeof(reward_memory)] alignas(reward_memory);
  device_team team;
  for (index sequence = blockIdx.x; sequence < p.sequences; sequence += gridDim.x)
    reward_row(team, *reinterpret_cast<reward_memory*>(memory), p, sequence);
}

constexpr unsigned blocks_for(index work) {
  return static_cast<unsigned>(work < (index{1} << 30) ? work : index{1} << 30);
}

}  // namespace detail

// Each runs on a stream and returns at once, with what the launch said; nothing comes back to the host. Problems as
// their headers say.

/// `gae` of every row. Cost: the inputs once; for a length-adaptive lambda and holes that discount the mask twice.
inline cudaError_t launch_gae(const gae_problem& p, cudaStream_t stream) {
  if (p.rows == 0 || p.tokens == 0) return cudaSuccess;
  detail::gae_kernel<device_team><<<detail::blocks_for(p.rows), gae_threads, 0, stream>>>(p);
  return cudaGetLastError();
}

/// Memory on the device that `launch_whiten` needs beside the problem's, in bytes.
constexpr index whiten_scratch_bytes(index count) {
  return static_cast<index>(sizeof(emend::detail::whitening) + sizeof(moments)) * (whiten_parts(count) + 1);
}
/// `whiten` of all values. scratch: whiten_scratch_bytes of device memory, aligned to 8. Cost: two readings, one
/// writing.
inline cudaError_t launch_whiten(const whiten_problem& p, void* scratch, cudaStream_t stream) {
  if (p.count == 0) return cudaSuccess;
  auto* const factor = static_cast<emend::detail::whitening*>(scratch);
  auto* const of_part = reinterpret_cast<moments*>(factor + 1);
  const unsigned parts = detail::blocks_for(whiten_parts(p.count));
  if (p.options.given.count == 0)
    detail::whiten_moments_kernel<device_team><<<parts, whiten_threads, 0, stream>>>(p, of_part);
  detail::whiten_factor_kernel<device_team><<<1, whiten_threads, 0, stream>>>(p, of_part, factor);
  detail::whiten_kernel<device_team><<<parts, whiten_threads, 0, stream>>>(p, factor);
  return cudaGetLastError();
}

/// A draw of every row. Cost: the row two to three times, where what is left of it are at most `sample_candidates` ids;
/// else, and for top_k above sample_threads, up to forty times. Returns cudaErrorInvalidValue for 2^24 ids or more.
template <class T>
cudaError_t launch_sample(const sample_problem<T>& p, cudaStream_t stream) {
  if (p.rows == 0) return cudaSuccess;
  // The sums of more ids would not fit 64 bits.
  if (p.vocab >= index{1} << 24) return cudaErrorInvalidValue;
  detail::sample_kernel<<<detail::blocks_for(p.rows), sample_threads, 0, stream>>>(p);
  return cudaGetLastError();
}

/// The mask of a packed forest, out(i, j) = allowed where node i attends to node j, and its positions. out: null for
/// the positions alone.
template <class T>
cudaError_t launch_ancestors(const ancestor_problem& p, T* out, T allowed, T forbidden, cudaStream_t stream) {
  if (p.nodes == 0) return cudaSuccess;
  detail::ancestor_kernel<<<detail::blocks_for(p.nodes), 128, 0, stream>>>(p, out, allowed, forbidden);
  return cudaGetLastError();
}

/// `extract_rewards`; its scores are not whitened. Cost: one reading of the counted rows.
template <class T>
cudaError_t launch_rewards(const reward_problem<T>& p, cudaStream_t stream) {
  if (p.sequences == 0) return cudaSuccess;
  if (p.tokens > 0) detail::choice_kernel<<<detail::blocks_for(p.sequences * p.tokens), reward_threads, 0, stream>>>(p);
  detail::reward_kernel<<<detail::blocks_for(p.sequences), reward_threads, 0, stream>>>(p);
  return cudaGetLastError();
}

}  // namespace emend::cuda
