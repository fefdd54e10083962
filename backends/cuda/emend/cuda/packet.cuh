#pragma once

#include <emend/base/storage.hpp>

#include <cuda_runtime.h>

#include <type_traits>

namespace emend::cuda::detail {

/// 16 bytes of scores, what a thread reads or writes at once.
template <class T>
struct packet {
  static constexpr int size = 16 / static_cast<int>(sizeof(T));
  uint4 words;

  __device__ void unpack(arithmetic<T> (&x)[size]) const {
    if constexpr (sizeof(T) == 2) {
      pair(words.x, x[0], x[1]);
      pair(words.y, x[2], x[3]);
      pair(words.z, x[4], x[5]);
      pair(words.w, x[6], x[7]);
    } else if constexpr (sizeof(T) == 4) {
      x[0] = __uint_as_float(words.x);
      x[1] = __uint_as_float(words.y);
      x[2] = __uint_as_float(words.z);
      x[3] = __uint_as_float(words.w);
    } else {
      x[0] = __hiloint2double(static_cast<int>(words.y), static_cast<int>(words.x));
      x[1] = __hiloint2double(static_cast<int>(words.w), static_cast<int>(words.z));
    }
  }
  static __device__ packet pack(const arithmetic<T> (&x)[size]) {
    if constexpr (sizeof(T) == 2)
      return {{pair(x[0], x[1]), pair(x[2], x[3]), pair(x[4], x[5]), pair(x[6], x[7])}};
    else if constexpr (sizeof(T) == 4)
      return {{__float_as_uint(x[0]), __float_as_uint(x[1]), __float_as_uint(x[2]), __float_as_uint(x[3])}};
    else
      return {{static_cast<unsigned>(__double2loint(x[0])), static_cast<unsigned>(__double2hiint(x[0])),
               static_cast<unsigned>(__double2loint(x[1])), static_cast<unsigned>(__double2hiint(x[1]))}};
  }

 private:
  static __device__ void pair(unsigned word, float& low, float& high) {
    if constexpr (std::is_same_v<T, bfloat16>) {
      low = __uint_as_float(word << 16);
      high = __uint_as_float(word & 0xffff0000u);
    } else {
      asm("{.reg .b16 l, h; mov.b32 {l, h}, %2; cvt.f32.f16 %0, l; cvt.f32.f16 %1, h;}"
          : "=f"(low), "=f"(high)
          : "r"(word));
    }
  }
  static __device__ unsigned pair(float low, float high) {
    unsigned word;
    if constexpr (std::is_same_v<T, bfloat16>) {
#if __CUDA_ARCH__ >= 800
      asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
#else
      word = unsigned{bfloat16(low).bits} | unsigned{bfloat16(high).bits} << 16;
#endif
    } else {
      asm("{.reg .b16 l, h; cvt.rn.f16.f32 l, %1; cvt.rn.f16.f32 h, %2; mov.b32 %0, {l, h};}"
          : "=r"(word)
          : "f"(low), "f"(high));
    }
    return word;
  }
};

/// A row of neighbouring scores: `head` of them up to a multiple of 16 bytes, `packets`, and what is left behind.
template <class T>
struct packed_row {
  int head = 0, packets = 0, tail = 0;
  __device__ packed_row(const T* x, index vocab) {
    constexpr int size = packet<T>::size, bytes = static_cast<int>(sizeof(T));
    const auto beyond = static_cast<int>(reinterpret_cast<std::uintptr_t>(x) & 15);
    const int all = static_cast<int>(vocab), before = (16 - beyond) / bytes % size;
    head = before < all ? before : all;
    packets = (all - head) / size;
    tail = all - head - packets * size;
  }
};

/// f(packet, its number) of this thread's packets from number `from` on, several on their way at a time.
template <int Threads, int AtOnce, class T, class F>
__device__ void for_each_packet(const packet<T>* in, int count, int from, F f) {
  int i = from + static_cast<int>(threadIdx.x);
  for (; i + (AtOnce - 1) * Threads < count; i += AtOnce * Threads) {
    packet<T> held[AtOnce];
#pragma unroll
    for (int k = 0; k < AtOnce; ++k) held[k] = in[i + k * Threads];
#pragma unroll
    for (int k = 0; k < AtOnce; ++k) f(held[k], i + k * Threads);
  }
  for (; i < count; i += Threads) f(in[i], i);
}

}  // namespace emend::cuda::detail
