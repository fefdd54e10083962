#pragma once

#include <emend/core/layout.hpp>

namespace emend {

/// Count, mean and spread of a set of numbers, in a form that adds up over micro-batches and ranks.
///   squares = sum_i (x_i - mean)^2
struct moments {
  double count = 0;
  double mean = 0;
  double squares = 0;

  double sum() const { return count * mean; }
  /// squares / (count - 1), or / count if biased; 0 where the divisor is not above 0: one number has no spread.
  double variance(bool is_unbiased = true) const {
    const double divisor = is_unbiased ? count - 1 : count;
    return divisor > 0 ? squares / divisor : 0;
  }
  double deviation(bool is_unbiased = true) const { return __builtin_sqrt(variance(is_unbiased)); }

  /// Takes in one number.
  void add(double x) {
    count += 1;
    const double step = x - mean;
    mean += step / count;
    squares += step * (x - mean);
  }
  /// Takes in the numbers of another set. Chan, Golub, LeVeque 1983.
  void merge(const moments& other) {
    if (other.count == 0) return;
    const double total = count + other.count, step = other.mean - mean;
    mean += step * other.count / total;
    squares += other.squares + step * step * count * other.count / total;
    count = total;
  }
};

namespace detail {

/// Sums side by side: an addition waits for the one before it.
inline constexpr index moment_sums = 4;

/// The moments of the counted entries of a run, about its first: equal numbers then have no spread, exactly. Two passes
/// over numbers that are in cache; size is a multiple of moment_sums * lanes.
[[gnu::always_inline]] inline void moments_of_run_loop(const double* x, const long long* flags, index size, double pivot,
                                                       moments& result) {
  flag_lanes count = {0, 0, 0, 0};
  double_lanes sums[moment_sums] = {}, squares[moment_sums] = {};
  for (index i = 0; i < size; i += moment_sums * lanes)
    for (index k = 0; k < moment_sums; ++k) {
      double_lanes v;
      flag_lanes flag;
      __builtin_memcpy(&v, x + i + k * lanes, sizeof v);
      __builtin_memcpy(&flag, flags + i + k * lanes, sizeof flag);
      count -= flag;
      sums[k] += (double_lanes)((flag_lanes)(v - pivot) & flag);
    }
  result.count = static_cast<double>((count[0] + count[1]) + (count[2] + count[3]));
  if (result.count == 0) return;
  const double_lanes sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  const double mean = pivot + ((sum[0] + sum[1]) + (sum[2] + sum[3])) / result.count;
  for (index i = 0; i < size; i += moment_sums * lanes)
    for (index k = 0; k < moment_sums; ++k) {
      double_lanes v;
      flag_lanes flag;
      __builtin_memcpy(&v, x + i + k * lanes, sizeof v);
      __builtin_memcpy(&flag, flags + i + k * lanes, sizeof flag);
      const double_lanes step = (double_lanes)((flag_lanes)(v - mean) & flag);
      squares[k] += step * step;
    }
  const double_lanes square = (squares[0] + squares[1]) + (squares[2] + squares[3]);
  result.mean = mean;
  result.squares = (square[0] + square[1]) + (square[2] + square[3]);
}

#if defined(__x86_64__)
[[gnu::target("avx2")]] inline void moments_of_run_avx2(const double* x, const long long* flags, index size, double pivot,
                                                        moments& result) {
  moments_of_run_loop(x, flags, size, pivot, result);
}
#endif

/// x and flags have room for a multiple of moment_sums * lanes.
inline moments moments_of_run(double* x, long long* flags, index size) {
  moments result;
  index first = 0;
  while (first < size && flags[first] == 0) ++first;
  if (first == size) return result;
  for (; size % (moment_sums * lanes) != 0; ++size) x[size] = 0, flags[size] = 0;
#if defined(__x86_64__)
  if (has_avx2()) {
    moments_of_run_avx2(x, flags, size, x[first], result);
    return result;
  }
#endif
  moments_of_run_loop(x, flags, size, x[first], result);
  return result;
}

/// The moments of the counted entries among positions first .. last-1.
inline moments moments_of_range(const column& values, const column& mask, index first, index last) {
  double x[run_length];
  long long flags[run_length];
  moments result;
  for (index begin = first; begin < last; begin += run_length) {
    const index size = last - begin < run_length ? last - begin : run_length;
    values.read(begin, size, x);
    read_mask(mask, begin, size, flags);
    result.merge(moments_of_run(x, flags, size));
  }
  return result;
}

}  // namespace detail

/// The moments of all entries of a column.
inline moments moments_of(column values) { return detail::moments_of_range(values, {}, 0, values.size()); }

/// The moments of the counted tokens of a batch.
/// values: [layout.tokens()]; uncounted ones are not used. Throws std::invalid_argument if the length does not fit.
/// Cost: one pass; allocates nothing for padded and ragged layouts.
template <sequence_layout L>
moments moments_of(column values, const L& layout) {
  detail::require_length("values", values.size(), layout.tokens());
  std::vector<char> storage;
  return detail::moments_of_range(values, detail::counted_positions(layout, storage), 0, layout.tokens());
}

}  // namespace emend
