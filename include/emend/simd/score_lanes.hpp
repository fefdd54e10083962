#pragma once

#include <emend/base/storage.hpp>
#include <emend/simd/double_lanes.hpp>

#include <cstdint>
#include <type_traits>

namespace emend::detail {

/// 32 bytes of numbers side by side; A is float or double. As with `double_lanes`, the arithmetic is the same on every
/// set.
template <class A>
struct score_lanes {
  static constexpr index count = 32 / static_cast<index>(sizeof(A));
  using integer = std::conditional_t<sizeof(A) == 4, std::int32_t, std::int64_t>;
  typedef A numbers __attribute__((vector_size(32)));
  typedef integer flags __attribute__((vector_size(32)));
  typedef std::make_unsigned_t<integer> bits __attribute__((vector_size(32)));
};

/// Sum of the lanes, each as double, in one order.
template <class A>
[[gnu::always_inline]] inline double sum_of_lanes(const typename score_lanes<A>::numbers& x) {
  double_lanes sum;
  if constexpr (sizeof(A) == 4)
    sum = double_lanes{static_cast<double>(x[0]), static_cast<double>(x[1]), static_cast<double>(x[2]),
                       static_cast<double>(x[3])} +
          double_lanes{static_cast<double>(x[4]), static_cast<double>(x[5]), static_cast<double>(x[6]),
                       static_cast<double>(x[7])};
  else
    sum = x;
  return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

/// Largest of the lanes.
template <class A>
[[gnu::always_inline]] inline A largest_of_lanes(const typename score_lanes<A>::numbers& x) {
  typedef A half_numbers __attribute__((vector_size(16)));
  half_numbers low, high;
  __builtin_memcpy(&low, &x, sizeof low);
  __builtin_memcpy(&high, reinterpret_cast<const char*>(&x) + sizeof low, sizeof high);
  low = high > low ? high : low;
  // Shuffles: of comparisons of single numbers compilers make branches.
  if constexpr (sizeof(A) == 4) {
    high = __builtin_shufflevector(low, low, 2, 3, 0, 1);
    low = high > low ? high : low;
    high = __builtin_shufflevector(low, low, 1, 0, 3, 2);
  } else {
    high = __builtin_shufflevector(low, low, 1, 0);
  }
  low = high > low ? high : low;
  return low[0];
}

}  // namespace emend::detail
