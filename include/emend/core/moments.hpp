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
  /// Takes in the numbers of another set. Chan, Golub, LeVeque 1983, eq. 2.1.
  void merge(const moments& other) {
    if (other.count == 0) return;
    const double total = count + other.count, step = other.mean - mean;
    mean += step * other.count / total;
    squares += other.squares + step * step * count * other.count / total;
    count = total;
  }
};

namespace detail {

/// The moments of the counted entries of a run: two passes over numbers that are in cache.
inline moments moments_of_run(const double* x, const double* is_counted, index size) {
  constexpr index lanes = 8;
  double count[lanes] = {}, sum[lanes] = {}, squares[lanes] = {};
  const auto each = [&](auto&& f) {
    index i = 0;
    for (; i + lanes <= size; i += lanes)
      for (index lane = 0; lane < lanes; ++lane) f(i + lane, lane);
    for (; i < size; ++i) f(i, index{0});
  };
  each([&](index i, index lane) {
    count[lane] += is_counted[i] != 0 ? 1.0 : 0.0;
    sum[lane] += is_counted[i] != 0 ? x[i] : 0.0;
  });
  moments result;
  double total = 0;
  for (index lane = 0; lane < lanes; ++lane) result.count += count[lane], total += sum[lane];
  if (result.count == 0) return result;
  const double mean = total / result.count;
  each([&](index i, index lane) {
    const double step = is_counted[i] != 0 ? x[i] - mean : 0.0;
    squares[lane] += step * step;
  });
  result.mean = mean;
  for (double of_lane : squares) result.squares += of_lane;
  return result;
}

/// The moments of the counted entries among positions first .. last-1.
inline moments moments_of_range(const column& values, const column& mask, index first, index last) {
  double x[run_length], is_counted[run_length];
  moments result;
  for (index begin = first; begin < last; begin += run_length) {
    const index size = last - begin < run_length ? last - begin : run_length;
    values.read(begin, size, x);
    read_mask(mask, begin, size, is_counted);
    result.merge(moments_of_run(x, is_counted, size));
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
