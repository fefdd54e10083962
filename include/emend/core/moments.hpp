#pragma once

#include <emend/core/layout.hpp>
#include <emend/simd/double_lanes.hpp>

namespace emend {

/// Count, mean and spread of a set of numbers, in a form that adds up over micro-batches and ranks.
///   squares = sum_i (x_i - mean)^2
struct moments {
  double count = 0;
  double mean = 0;
  double squares = 0;

  constexpr double sum() const { return count * mean; }
  /// squares / (count - 1), or / count if biased; 0 where the divisor is not above 0: one number has no spread.
  constexpr double variance(bool is_unbiased = true) const {
    const double divisor = is_unbiased ? count - 1 : count;
    return divisor > 0 ? squares / divisor : 0;
  }
  double deviation(bool is_unbiased = true) const { return __builtin_sqrt(variance(is_unbiased)); }

  /// Takes in one number.
  constexpr void add(double x) {
    count += 1;
    const double step = x - mean;
    mean += step / count;
    squares += step * (x - mean);
  }
  /// Takes in the numbers of another set. Chan, Golub, LeVeque 1983.
  constexpr void merge(const moments& other) {
    if (other.count == 0) return;
    if (count == 0) {
      *this = other;  // to the last bit
      return;
    }
    const double total = count + other.count, step = other.mean - mean;
    mean += step * other.count / total;
    squares += other.squares + step * step * count * other.count / total;
    count = total;
  }
};

namespace detail {

/// Throws std::invalid_argument on a NaN or an infinity among some moments.
inline void require_finite_moments(const char* argument, double count, double mean, double squares) {
  for (const double x : {count, mean, squares})
    if (x - x != 0) fail(argument, "finite numbers", std::to_string(x));
}

/// Sums side by side: an addition waits for the one before it.
inline constexpr index moment_sums = 4;

/// The moments of the counted entries of a run, in one pass about one of them. Equal numbers then have no spread,
/// exactly; and as the pivot is one of n numbers, n (mean - pivot)^2 is at most n times the squares: what cancels is a
/// factor n of the rounding, not more.
template <bool IsMasked, class T, class F>
[[gnu::always_inline]] inline void moments_of_run_loop(const T* x, const F* flags, index size, index count,
                                                       double pivot, moments& result) {
  double_lanes sums[moment_sums] = {}, squares[moment_sums] = {};
  index i = 0;
  for (; i + moment_sums * lanes <= size; i += moment_sums * lanes)
    for (index k = 0; k < moment_sums; ++k) {
      double_lanes v;
      load_lanes(x + i + k * lanes, v);
      v -= pivot;
      if constexpr (IsMasked) clear_unflagged(flags + i + k * lanes, v);
      sums[k] += v;
      squares[k] += v * v;
    }
  const double_lanes sum = (sums[0] + sums[1]) + (sums[2] + sums[3]),
                     square = (squares[0] + squares[1]) + (squares[2] + squares[3]);
  double total = (sum[0] + sum[1]) + (sum[2] + sum[3]),
         total_square = (square[0] + square[1]) + (square[2] + square[3]);
  for (; i < size; ++i) {
    if (IsMasked && flags[i] == 0) continue;
    const double v = static_cast<double>(x[i]) - pivot;
    total += v;
    total_square += v * v;
  }
  result.count = static_cast<double>(count);
  result.mean = pivot + total / result.count;
  result.squares = total_square - total * (total / result.count);
}
template <class T, class F>
[[gnu::always_inline]] inline void moments_of_run_loop(const T* x, const F* flags, index size, index count,
                                                       double pivot, moments& result) {
  if (count == size)
    moments_of_run_loop<false>(x, flags, size, count, pivot, result);
  else
    moments_of_run_loop<true>(x, flags, size, count, pivot, result);
}

/// The moments of the entries of a run whose flags are set, `count` of them, at least one. Flags as `load_flags` takes
/// them.
template <class T, class F>
moments moments_of_run(const T* x, const F* flags, index size, index count) {
  moments result;
  index first = 0;
  while (count < size && flags[first] == 0) ++first;
  const auto pivot = static_cast<double>(x[first]);
  simd::with_fixed_lanes(
      [=, &result]() __attribute__((always_inline)) { moments_of_run_loop(x, flags, size, count, pivot, result); });
  return result;
}

/// The moments of the counted entries among positions first .. last-1.
inline moments moments_of_range(const column& values, const column& mask, index first, index last) {
  const float* const in_place = values.contiguous<float>();
  const signed char* const bytes = mask.contiguous_bytes();
  double x[run_length];
  long long flags[run_length] = {};
  moments result;
  for (index begin = first; begin < last; begin += run_length) {
    const index size = last - begin < run_length ? last - begin : run_length;
    index count = size;
    if (mask.is_given()) count = bytes ? count_bytes(bytes + begin, size) : mask.read_flags(begin, size, flags);
    if (count == 0) continue;
    if (!in_place) values.read(begin, size, x);
    const auto merge = [&](const auto* of_run) {
      result.merge(in_place ? moments_of_run(in_place + begin, of_run, size, count)
                            : moments_of_run(x, of_run, size, count));
    };
    if (bytes)
      merge(bytes + begin);
    else
      merge(flags);
  }
  return result;
}

}  // namespace detail

/// The moments of all entries of a column.
inline moments moments_of(column values) { return detail::moments_of_range(values, {}, 0, values.size()); }

/// The moments of the counted tokens of a batch.
/// values: [layout.tokens()]; uncounted ones are not used. Throws std::invalid_argument if the length does not fit.
/// Cost: one pass; allocates nothing for padded and ragged layouts.
template <layout_argument L>
moments moments_of(column values, const L& layout) {
  detail::require_length("values", values.size(), layout.tokens());
  std::vector<char> storage;
  return detail::moments_of_range(values, detail::counted_positions(layout, storage), 0, layout.tokens());
}

}  // namespace emend
