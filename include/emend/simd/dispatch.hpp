#pragma once

#include <emend/simd/instruction_set.hpp>

namespace emend::simd {

// A loop that is written once and compiled for every instruction set: an `always_inline` function without attributes
// of a set, called in a lambda that is `always_inline`, too:
//
//   simd::with_fixed_lanes([=]() __attribute__((always_inline)) { add_loop(x, y, n, out); });
//
// The lambda copies pointers and lengths: what it refers to is read again after each store that might have changed it.
// The set of the process decides which copy runs. Vectors stay within the loop: how they are passed between functions
// depends on the set.

namespace detail {

// A function of its own for every set: what it keeps on the stack must not slow down the caller, which chooses. The
// loop comes by reference and is copied here, member by member: a copy on the way would be read in other pieces than it
// was written in, and wait for them.
#if defined(__x86_64__)
template <class Loop>
[[gnu::target("avx2"), gnu::noinline]] auto call_with_avx2(const Loop& loop) {
  const Loop own = loop;
  return own();
}
template <class Loop>
[[gnu::target("avx2,fma"), gnu::noinline]] auto call_with_fused_avx2(const Loop& loop) {
  const Loop own = loop;
  return own();
}
#endif
#if defined(__aarch64__) && !defined(__clang__)
// Every such processor fuses a product and a sum, and GCC lets it wherever it sees both.
template <class Loop>
[[gnu::optimize("fp-contract=off"), gnu::noinline]] auto call_unfused(const Loop& loop) {
  const Loop own = loop;
  return own();
}
#else
template <class Loop>
[[gnu::noinline]] auto call_unfused(const Loop& loop) {
  const Loop own = loop;
  return own();
}
#endif
template <class Loop>
[[gnu::noinline]] auto call_with_any(const Loop& loop) {
  const Loop own = loop;
  return own();
}

}  // namespace detail

/// loop(), in the fixed arithmetic: sums and products are never contracted, so that every set gives the same bits.
template <class Loop>
[[gnu::always_inline]] inline auto with_fixed_lanes(const Loop& loop) {
#if defined(__x86_64__)
  if (emend::detail::uses_avx2()) return detail::call_with_avx2(loop);
#endif
  return detail::call_unfused(loop);
}

/// loop(), in the fast arithmetic: a product and the sum after it may be rounded once, so that the last bits depend on
/// the set.
template <class Loop>
[[gnu::always_inline]] inline auto with_fused_lanes(const Loop& loop) {
#if defined(__x86_64__)
  if (emend::detail::uses_avx2()) return detail::call_with_fused_avx2(loop);
#endif
  return detail::call_with_any(loop);
}

}  // namespace emend::simd
