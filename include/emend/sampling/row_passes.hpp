#pragma once

#include <emend/simd/row_powers.hpp>

namespace emend::detail {

// Passes over one row of scores, 32 bytes at a time. A is float or double.

/// maxima[b] = largest score of block b. Returns whether every score is below infinity: false for NaN and +inf.
template <class A>
[[gnu::always_inline]] inline bool block_maxima_loop(const A* x, index n, A* maxima) {
  using lanes_of = score_lanes<A>;
  typename lanes_of::flags is_bad{};
  bool is_tail_bad = false;
  const A infinite = static_cast<A>(__builtin_inf());
  for (index first = 0; first < n; first += score_block) {
    A largest = -infinite;
    if (first + score_block <= n) {
      typename lanes_of::numbers best, v;
      __builtin_memcpy(&best, x + first, sizeof best);
      is_bad |= ~(best < infinite);
      for (index i = lanes_of::count; i < score_block; i += lanes_of::count) {
        __builtin_memcpy(&v, x + first + i, sizeof v);
        is_bad |= ~(v < infinite);
        best = v > best ? v : best;
      }
      largest = largest_of_lanes<A>(best);
    } else {
      for (index i = first; i < n; ++i) {
        is_tail_bad |= !(x[i] < infinite);
        largest = x[i] > largest ? x[i] : largest;
      }
    }
    maxima[first / score_block] = largest;
  }
  for (index k = 0; k < lanes_of::count; ++k) is_tail_bad |= is_bad[k] != 0;
  return !is_tail_bad;
}

/// sums[b] = sum over block b.
template <class A>
[[gnu::always_inline]] inline void block_sums_loop(const A* powers, index n, double* sums) {
  using lanes_of = score_lanes<A>;
  for (index first = 0; first < n; first += score_block) {
    double total = 0;
    if (first + score_block <= n) {
      typename lanes_of::numbers sum{}, v;
      for (index i = 0; i < score_block; i += lanes_of::count) {
        __builtin_memcpy(&v, powers + first + i, sizeof v);
        sum += v;
      }
      total += sum_of_lanes<A>(sum);
    } else {
      for (index i = first; i < n; ++i) total += static_cast<double>(powers[i]);
    }
    sums[first / score_block] = total;
  }
}

/// Sums of the weights of all keys that are at least low, and of those that are at least high.
struct weight_sums {
  double from_low = 0, from_high = 0;
};
template <class A>
[[gnu::always_inline]] inline weight_sums weights_from_loop(const A* keys, const A* weights, index n, A low, A high) {
  using lanes_of = score_lanes<A>;
  using numbers = typename lanes_of::numbers;
  using flags = typename lanes_of::flags;
  weight_sums total;
  for (index first = 0; first < n; first += score_block) {
    if (first + score_block <= n) {
      numbers from_low{}, from_high{}, key, weight;
      for (index i = 0; i < score_block; i += lanes_of::count) {
        __builtin_memcpy(&key, keys + first + i, sizeof key);
        __builtin_memcpy(&weight, weights + first + i, sizeof weight);
        from_low += (numbers)((flags)weight & (key >= low));
        from_high += (numbers)((flags)weight & (key >= high));
      }
      total.from_low += sum_of_lanes<A>(from_low);
      total.from_high += sum_of_lanes<A>(from_high);
    } else {
      for (index i = first; i < n; ++i) {
        if (keys[i] >= low) total.from_low += static_cast<double>(weights[i]);
        if (keys[i] >= high) total.from_high += static_cast<double>(weights[i]);
      }
    }
  }
  return total;
}

/// Lowest and highest of n keys, n at least 1.
template <class A>
[[gnu::always_inline]] inline void key_range_loop(const A* keys, index n, A& low, A& high) {
  using lanes_of = score_lanes<A>;
  low = high = keys[0];
  index i = 0;
  if (n >= lanes_of::count) {
    typename lanes_of::numbers least, most, key;
    __builtin_memcpy(&least, keys, sizeof least);
    most = least;
    for (i = lanes_of::count; i + lanes_of::count <= n; i += lanes_of::count) {
      __builtin_memcpy(&key, keys + i, sizeof key);
      least = key < least ? key : least;
      most = key > most ? key : most;
    }
    for (index k = 0; k < lanes_of::count; ++k) {
      low = least[k] < low ? least[k] : low;
      high = most[k] > high ? most[k] : high;
    }
  }
  for (; i < n; ++i) {
    low = keys[i] < low ? keys[i] : low;
    high = keys[i] > high ? keys[i] : high;
  }
}

/// numbers[i] = (high - keys[i]) scale, rounded down, at most buckets - 1. keys at most high, and no lower than buckets
/// / scale below it but for rounding.
template <class A>
[[gnu::always_inline]] inline void bucket_numbers_loop(const A* keys, index n, A high, A scale, std::int32_t buckets,
                                                       std::int32_t* numbers) {
  for (index i = 0; i < n; ++i) {
    const auto b = static_cast<std::int32_t>((high - keys[i]) * scale);
    numbers[i] = b < buckets ? b : buckets - 1;
  }
}

/// powers[i] = 0 where x[i] is below `bound`; sums[b] is what is left of block b.
template <class A>
[[gnu::always_inline]] inline void clear_below_loop(const A* x, index n, A bound, A* powers, double* sums) {
  using lanes_of = score_lanes<A>;
  using numbers = typename lanes_of::numbers;
  for (index first = 0; first < n; first += score_block) {
    double total = 0;
    if (first + score_block <= n) {
      numbers sum{};
      for (index i = first; i < first + score_block; i += lanes_of::count) {
        numbers v, e;
        __builtin_memcpy(&v, x + i, sizeof v);
        __builtin_memcpy(&e, powers + i, sizeof e);
        e = (numbers)((typename lanes_of::flags)e & (v >= bound));
        __builtin_memcpy(powers + i, &e, sizeof e);
        sum += e;
      }
      total += sum_of_lanes<A>(sum);
    } else {
      for (index i = first; i < n; ++i) {
        if (!(x[i] >= bound)) powers[i] = 0;
        total += static_cast<double>(powers[i]);
      }
    }
    sums[first / score_block] = total;
  }
}

/// x becomes (x - largest) factor, also where the distance of two doubles is above the largest double. A: the type of
/// the scores. Number: double or double_lanes.
template <class A, class Number>
[[gnu::always_inline]] inline void scale_distance(Number& x, const Number& largest, double factor) {
  if constexpr (sizeof(A) == 4)
    x = (x - largest) * factor;
  else
    x = (x * 0.5 - largest * 0.5) * factor * 2.0;
}

/// sum_i powers[i] (x[i] - largest) factor over the powers that are not 0, in one order of four sums.
template <class A>
[[gnu::always_inline]] inline double weighted_distances_loop(const A* x, const A* powers, index n, A largest,
                                                             double factor) {
  const double_lanes most = double_lanes{} + static_cast<double>(largest);
  double_lanes sum{};
  const auto add = [&](const A* scores, const A* weights) __attribute__((always_inline)) {
    double_lanes score, weight;
    load_lanes(scores, score);
    load_lanes(weights, weight);
    scale_distance<A>(score, most, factor);
    sum += (double_lanes)((flag_lanes)(weight * score) & (weight != 0.0));
  };
  index i = 0;
  for (; i + lanes <= n; i += lanes) add(x + i, powers + i);
  if (i < n) {
    A scores[lanes] = {}, weights[lanes] = {};
    for (index k = 0; i + k < n; ++k) scores[k] = x[i + k], weights[k] = powers[i + k];
    add(scores, weights);
  }
  return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

/// keys[i] = -|(x[i] - largest) factor - center|, and the lowest finite A where that is less.
template <class A>
[[gnu::always_inline]] inline void nearness_keys_loop(const A* x, index n, A largest, double factor, double center,
                                                      A* keys) {
  constexpr double least = sizeof(A) == 4 ? -3.4028234663852886e38 : -1.7976931348623157e308;
  const double_lanes most = double_lanes{} + static_cast<double>(largest), lowest = double_lanes{} + least;
  const auto key_of = [&](const A* scores, A* to) __attribute__((always_inline)) {
    double_lanes distance;
    load_lanes(scores, distance);
    scale_distance<A>(distance, most, factor);
    distance -= center;
    const double_lanes key = distance < 0.0 ? distance : -distance;
    store_lanes<A>(key > lowest ? key : lowest, to);
  };
  index i = 0;
  for (; i + lanes <= n; i += lanes) key_of(x + i, keys + i);
  if (i < n) {
    A scores[lanes] = {}, last[lanes];
    for (index k = 0; i + k < n; ++k) scores[k] = x[i + k];
    key_of(scores, last);
    for (index k = 0; i + k < n; ++k) keys[i + k] = last[k];
  }
}

template <class A>
double weighted_distances(const A* x, const A* powers, index n, A largest, double factor) {
  return simd::with_fixed_lanes(
      [=]() __attribute__((always_inline)) { return weighted_distances_loop(x, powers, n, largest, factor); });
}
template <class A>
void nearness_keys(const A* x, index n, A largest, double factor, double center, A* keys) {
  simd::with_fixed_lanes(
      [=]() __attribute__((always_inline)) { nearness_keys_loop(x, n, largest, factor, center, keys); });
}
template <class A>
bool block_maxima(const A* x, index n, A* maxima) {
  return simd::with_fixed_lanes([=]() __attribute__((always_inline)) { return block_maxima_loop(x, n, maxima); });
}
template <class A>
void block_sums(const A* powers, index n, double* sums) {
  simd::with_fixed_lanes([=]() __attribute__((always_inline)) { block_sums_loop(powers, n, sums); });
}
template <class A>
weight_sums weights_from(const A* keys, const A* weights, index n, A low, A high) {
  return simd::with_fixed_lanes(
      [=]() __attribute__((always_inline)) { return weights_from_loop(keys, weights, n, low, high); });
}
template <class A>
void key_range(const A* keys, index n, A& low, A& high) {
  simd::with_fixed_lanes([=, &low, &high]() __attribute__((always_inline)) { key_range_loop(keys, n, low, high); });
}
template <class A>
void bucket_numbers(const A* keys, index n, A high, A scale, std::int32_t buckets, std::int32_t* numbers) {
  simd::with_fixed_lanes(
      [=]() __attribute__((always_inline)) { bucket_numbers_loop(keys, n, high, scale, buckets, numbers); });
}
template <class A>
void clear_below(const A* x, index n, A bound, A* powers, double* sums) {
  simd::with_fixed_lanes([=]() __attribute__((always_inline)) { clear_below_loop(x, n, bound, powers, sums); });
}

}  // namespace emend::detail
