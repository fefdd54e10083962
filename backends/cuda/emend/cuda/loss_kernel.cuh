#pragma once

#include <emend/cuda/packet.cuh>
#include <emend/cuda/row_pass.hpp>

#include <cooperative_groups.h>
#include <cuda_pipeline_primitives.h>

namespace emend::cuda {

namespace detail {

template <class A, bool HasSquares>
__device__ row_share<A, HasSquares> shuffled(const row_share<A, HasSquares>& share, int distance) {
  constexpr unsigned all = 0xffffffff;
  row_share<A, HasSquares> other;
  other.top = __shfl_xor_sync(all, share.top, distance);
  other.sum = __shfl_xor_sync(all, share.sum, distance);
  other.weighted = __shfl_xor_sync(all, share.weighted, distance);
  if constexpr (HasSquares) other.squares = __shfl_xor_sync(all, share.squares, distance);
  return other;
}

/// The sums of a block's threads, known to the threads of its first warp. The order of the sums is that of the threads'
/// numbers.
template <int Threads, class Share, class A>
__device__ Share joined(Share share, Share (&of_warp)[Threads / 32], A scale) {
  constexpr int warps = Threads / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  for (int distance = 16; distance > 0; distance /= 2) share.merge(shuffled(share, distance), scale);
  if (lane == 0) of_warp[threadIdx.x / 32] = share;
  __syncthreads();
  if (threadIdx.x < 32) {
    share = lane < warps ? of_warp[lane] : Share{};
    for (int distance = warps / 2; distance > 0; distance /= 2) share.merge(shuffled(share, distance), scale);
  }
  return share;
}

/// The blocks that work on one row together, 1 but on devices with clusters.
inline constexpr int most_row_blocks = 8;
struct row_blocks {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  __device__ static int count() { return static_cast<int>(cooperative_groups::this_cluster().num_blocks()); }
  __device__ static int rank() { return static_cast<int>(cooperative_groups::this_cluster().block_rank()); }
  template <class X>
  __device__ static X* of(X* mine, int rank) {
    return cooperative_groups::this_cluster().map_shared_rank(mine, static_cast<unsigned>(rank));
  }
  /// Of the barrier's two halves the first; a start has nothing to show to the others, for which they would have to
  /// wait.
  __device__ static void start() { asm volatile("barrier.cluster.arrive.relaxed.aligned;"); }
  __device__ static void arrive() { cooperative_groups::cluster_group::barrier_arrive(); }
  __device__ static void wait() { cooperative_groups::cluster_group::barrier_wait(); }
#else
  __device__ static int count() { return 1; }
  __device__ static int rank() { return 0; }
  template <class X>
  __device__ static X* of(X* mine, int) {
    return mine;
  }
  __device__ static void start() {}
  __device__ static void arrive() {}
  __device__ static void wait() {}
#endif
};

template <class Share, int Warps>
struct share_memory {
  Share of_warp[Warps], of_block[2][most_row_blocks];
};

/// strided: score by score. packed: in packets; the gradient pass reads the row again, from the device's cache where it
/// is still there. staged: in packets that are kept in shared memory between the passes, of one block or of several.
enum class row_way { strided, packed, staged };

/// A row at a time: the sums, the loss by one thread, the gradient. The order of the sums is fixed by how the row lies,
/// by its length and type, and by whether there is a gradient, so that equal calls have equal bits; in another layout,
/// or without the gradient, the last bits may be others.
template <int Threads, int Resident, row_way Way, class T, class Loss>
__global__ void __launch_bounds__(Threads, Resident) loss_kernel(const row_problem<T> p, const Loss loss) {
  using A = arithmetic<T>;
  constexpr int size = packet<T>::size;
  using share_type = row_share<A, asks_for_squares<Loss>>;
  __shared__ share_memory<share_type, Threads / 32> shares;
  __shared__ row_slope<A> slope;
  extern __shared__ uint4 staged_words[];
  packet<T>* const staged = reinterpret_cast<packet<T>*>(staged_words);
  const int thread = static_cast<int>(threadIdx.x);
  const int blocks = Way == row_way::staged ? row_blocks::count() : 1,
            rank = Way == row_way::staged ? row_blocks::rank() : 0;
  const A scale = static_cast<A>(p.multiplier * log2_of_e);
  int turn = 0;
  // A block's memory may be written to by another once both have started.
  bool has_met = blocks == 1;
  if (!has_met) row_blocks::start();
  for (index row = blockIdx.x / static_cast<unsigned>(blocks); row < p.rows;
       row += gridDim.x / static_cast<unsigned>(blocks)) {
    const T* const x = p.scores + p.offset(row);
    T* const out = p.gradient ? p.gradient + p.gradient_offset(row) : nullptr;
    const index target = p.targets[row];
    const double weight = p.weight ? static_cast<double>(p.weight[row]) : 1;
    const bool is_counted = p.is_counted(row) && weight != 0,
               is_wrong = is_counted && (target < 0 || target >= p.vocab);
    const packed_row<T> parts(x, Way == row_way::strided ? 0 : p.vocab);
    const int of_each = (parts.packets + blocks - 1) / blocks, first = rank * of_each, left = parts.packets - first,
              mine = left < 0         ? 0
                     : left < of_each ? left
                                      : of_each;
    const packet<T>* const in = reinterpret_cast<const packet<T>*>(x + parts.head) + first;
    packet<T>* const written = reinterpret_cast<packet<T>*>(out + parts.head) + first;
    // The scores before and behind the packets, of the first block.
    const auto each_end = [&](auto f) {
      if (rank != 0) return;
      if (thread < parts.head) f(index{thread});
      if (thread < parts.tail) f(p.vocab - parts.tail + thread);
    };
    if (!is_counted || is_wrong) {
      if (Way == row_way::strided) {
        for (index j = thread; out && j < p.vocab; j += Threads) out[j * p.gradient_vocab_stride] = T(A(0));
      } else if (out) {
        for (int i = thread; i < mine; i += Threads) written[i] = {};
        each_end([&](index j) { out[j] = T(A(0)); });
      }
      if (thread == 0 && rank == 0) {
        const double nothing = is_wrong ? __builtin_nan("") : 0;
        p.values[row] = nothing;
        if (p.log_prob) p.log_prob[row] = nothing;
        if (p.log_z) p.log_z[row] = nothing;
        if (p.entropy) p.entropy[row] = nothing;
      }
      continue;
    }
    // Early, for it is waited for by one thread alone.
    const double score = thread == 0 ? static_cast<double>(static_cast<A>(x[target * p.vocab_stride])) : 0;
    share_type share;
    const auto add = [&](const packet<T>& of) {
      A numbers[size];
      of.unpack(numbers);
      share.add(numbers, scale);
    };
    const auto add_near = [&](const packet<T>& of) {
      A numbers[size];
      of.unpack(numbers);
      share.add_near(numbers, scale);
    };
    if constexpr (Way == row_way::strided) {
      share = share_of<share_type>(x, p.vocab, p.vocab_stride, scale, thread, Threads);
    } else {
      if constexpr (Way == row_way::staged) {
        const int half = (mine / 2 + Threads - 1) / Threads * Threads;
        int i = thread;
        for (; i < half && i < mine; i += Threads) __pipeline_memcpy_async(&staged[i], &in[i], 16);
        __pipeline_commit();
        for (; i < mine; i += Threads) __pipeline_memcpy_async(&staged[i], &in[i], 16);
        __pipeline_commit();
        __pipeline_wait_prior(1);
        // A first packet with a finite score gives the reference that the others are near.
        for (i = thread; i < half && i < mine; i += Threads) {
          if (share.top == -__builtin_inff())
            add(staged[i]);
          else
            add_near(staged[i]);
        }
        __pipeline_wait_prior(0);
        for (; i < mine; i += Threads) {
          if (share.top == -__builtin_inff())
            add(staged[i]);
          else
            add_near(staged[i]);
        }
        if (!share.is_near()) {
          share = {};
          for (i = thread; i < mine; i += Threads) add(staged[i]);
        }
      } else {
        if (thread < mine) add(in[thread]);
        for_each_packet<Threads, 4>(in, mine, Threads, [&](const packet<T>& of, int) { add_near(of); });
        if (!share.is_near()) {
          share = {};
          for_each_packet<Threads, 1>(in, mine, 0, [&](const packet<T>& of, int) { add(of); });
        }
      }
      each_end([&](index j) {
        const A one[1]{static_cast<A>(x[j])};
        share.add(one, scale);
      });
    }
    share = joined<Threads>(share, shares.of_warp, scale);
    if constexpr (Way == row_way::staged) {
      if (blocks > 1) {
        if (!has_met) row_blocks::wait();
        has_met = true;
        if (thread < blocks) *row_blocks::of(&shares.of_block[turn][rank], thread) = share;
        row_blocks::arrive();
        row_blocks::wait();
        if (thread == 0) {
          share = shares.of_block[turn][0];
          for (int b = 1; b < blocks; ++b) share.merge(shares.of_block[turn][b], scale);
        }
        // Two sets in turn: a block may begin the next row while another still reads this one's.
        turn ^= 1;
      }
    }
    if (thread == 0) {
      const row_result<A> result =
          evaluate_row(loss, share, score, target, p.first + row, p.multiplier, weight / p.normaliser);
      if (rank == 0) {
        p.values[row] = result.value;
        if (p.log_prob) p.log_prob[row] = result.log_prob;
        if (p.log_z) p.log_z[row] = result.log_z;
        if (p.entropy) p.entropy[row] = result.entropy;
      }
      slope = result.slope;
    }
    __syncthreads();
    if (out) {
      const row_slope<A> by = slope;
      if constexpr (Way == row_way::strided) {
        write_share<T, A>(x, p.vocab_stride, out, p.gradient_vocab_stride, p.vocab, by, thread, Threads);
      } else {
        const auto write = [&](auto at) {
          const auto of_packet = [&](const packet<T>& of, int i) {
            A numbers[size];
            of.unpack(numbers);
#pragma unroll
            for (int k = 0; k < size; ++k) numbers[k] = at(numbers[k]);
            written[i] = packet<T>::pack(numbers);
          };
          if constexpr (Way == row_way::staged)
            for (int i = thread; i < mine; i += Threads) of_packet(staged[i], i);
          else
            for_each_packet<Threads, 2>(in, mine, 0, of_packet);
        };
        if (!by.is_number())
          write([&](A x) { return by.at(x); });
        else if (by.quadratic != 0)
          write([&](A x) { return by.template at_number<true, true>(x); });
        else if (by.linear != 0)
          write([&](A x) { return by.template at_number<true, false>(x); });
        else
          write([&](A x) { return by.template at_number<false, false>(x); });
        // The target's own, by the thread that has written its packet.
        const index place = target - parts.head - index{first} * size;
        if (place >= 0 && place < index{mine} * size && static_cast<int>(place) / size % Threads == thread)
          out[target] = static_cast<T>(by.of_target);
        each_end([&](index j) { out[j] = static_cast<T>(by.at(static_cast<A>(x[j]), j)); });
      }
    }
    // The next row's sums must not overtake this one's slope.
    __syncthreads();
  }
  if (!has_met) row_blocks::wait();
}

}  // namespace detail

}  // namespace emend::cuda
