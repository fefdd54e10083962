#pragma once

#include <emend/carriers/real.hpp>
#include <emend/core/moments.hpp>
#include <emend/core/output_column.hpp>
#include <emend/simd/double_lanes.hpp>

namespace emend {

/// Where `epsilon` enters the divisor.
///   variance   sqrt(variance + epsilon)      TRL, verl, ROLL, NeMo (GAE), trlx, NeMo-Aligner, OpenAI
///   deviation  sqrt(variance) + epsilon      AReaL, alpaca_farm
///   floor      sqrt(max(variance, epsilon))  OpenRLHF, NeMo (REINFORCE++)
enum class epsilon_place { variance, deviation, floor };

/// What is written where a token is not counted.
///   zero         0                                                      TRL, NeMo (GAE)
///   transformed  what the value there becomes                           verl (GAE), OpenRLHF
///   as_of_zero   what a value of 0 would become                         AReaL
enum class uncounted_value { zero, transformed, as_of_zero };

/// Options of `whiten`. All positions instead of the counted ones (trlx, alpaca_farm, OpenAI): a layout without a mask.
struct whiten_options {
  bool is_unbiased =
      true;  ///< variance over n - 1: TRL, verl, ROLL, NeMo (GAE); over n: OpenRLHF, AReaL, alpaca_farm, OpenAI
  double epsilon = 1e-8;  ///< 1e-5 AReaL
  epsilon_place place = epsilon_place::variance;
  double count_epsilon = 0;     ///< added to n under the mean: 1e-8 verl, ROLL
  bool is_scaled = true;        ///< false: only the mean is taken off (OpenRLHF, no_advantage_std_norm)
  bool is_mean_removed = true;  ///< false: scaled about the mean, which stays ("shift_mean" false)
  uncounted_value uncounted = uncounted_value::zero;
  moments given = {};  ///< of the whole batch, merged over micro-batches or ranks; count 0: those of `values`
};

namespace detail {

/// x -> (x - center) * scale + offset, of numbers R: double, or another carrier's, whose functions calls without
/// `emend::` find.
template <class R>
struct basic_whitening {
  R center = 0, scale = 1, offset = 0;

  constexpr basic_whitening() = default;
  /// count, mean, squares: as `moments`.
  constexpr basic_whitening(const R& count, const R& mean, const R& squares, const whiten_options& options) {
    const auto is_empty = count == 0;
    // A mean that is low by its epsilon shifts the deviations that are squared, too.
    const R with_epsilon = count + options.count_epsilon;
    center = select(is_empty, R(0), mean * count / with_epsilon);
    const R shift = mean - center;
    R variance = (squares + count * shift * shift) / with_epsilon;
    if (options.is_unbiased) variance = select(count > 1, variance * (count / (count - 1)), R(0));
    R divisor = 0;
    switch (options.place) {
      case epsilon_place::variance:
        divisor = sqrt(R(variance + options.epsilon));
        break;
      case epsilon_place::deviation:
        divisor = sqrt(variance) + options.epsilon;
        break;
      case epsilon_place::floor:
        divisor = sqrt(select(variance > options.epsilon, variance, R(options.epsilon)));
        break;
    }
    // Squares that overflow have no deviation: NaN shows, where a scale of 0 would not.
    scale = select(divisor > 0, 1 / divisor, R(0)) + (squares - squares);
    if (!options.is_scaled) scale = 1;
    scale = select(is_empty, R(1), scale);
    offset = options.is_mean_removed ? R(0) : center;
  }
  constexpr basic_whitening(const moments& m, const whiten_options& options)
      : basic_whitening(m.count, m.mean, m.squares, options) {}
  constexpr R operator()(const R& x) const { return (x - center) * scale + offset; }
};
using whitening = basic_whitening<double>;

/// out_i = (x_i - center) scale + offset where the flag is set, `elsewhere` where it is not.
template <bool IsMasked, bool HasOther, class X, class F, class T>
[[gnu::always_inline]] inline void whiten_run_loop(const X* x, const F* flags, index size, const whitening& f,
                                                   double elsewhere, T* out) {
  const double_lanes zero = {0, 0, 0, 0}, other = zero + elsewhere, center = zero + f.center, scale = zero + f.scale,
                     offset = zero + f.offset;
  index i = 0;
  for (; i + lanes <= size; i += lanes) {
    double_lanes v;
    load_lanes(x + i, v);
    v = (v - center) * scale + offset;
    if constexpr (IsMasked) {
      // Differences in bits: cleared, they leave the other value.
      if constexpr (HasOther) v = (double_lanes)((flag_lanes)v ^ (flag_lanes)other);
      clear_unflagged(flags + i, v);
      if constexpr (HasOther) v = (double_lanes)((flag_lanes)v ^ (flag_lanes)other);
    }
    store_lanes(v, out + i);
  }
  for (; i < size; ++i) out[i] = static_cast<T>(!IsMasked || flags[i] != 0 ? f(static_cast<double>(x[i])) : elsewhere);
}
template <class X, class F, class T>
[[gnu::always_inline]] inline void whiten_run_loop(const X* x, const F* flags, index size, bool is_masked,
                                                   const whitening& f, double elsewhere, T* out) {
  if (!is_masked)
    whiten_run_loop<false, false>(x, flags, size, f, elsewhere, out);
  else if (elsewhere == 0)
    whiten_run_loop<true, false>(x, flags, size, f, elsewhere, out);
  else
    whiten_run_loop<true, true>(x, flags, size, f, elsewhere, out);
}

template <class X, class F, class T>
void whiten_run(const X* x, const F* flags, index size, bool is_masked, const whitening& f, double elsewhere, T* out) {
  simd::with_fixed_lanes(
      [=]() __attribute__((always_inline)) { whiten_run_loop(x, flags, size, is_masked, f, elsewhere, out); });
}

template <class T>
void whiten_range(const column& values, const column& mask, index first, index last, const whitening& f,
                  uncounted_value uncounted, T* out) {
  const float* const in_place = values.contiguous<float>();
  const double elsewhere = uncounted == uncounted_value::zero ? 0 : f(0);
  const bool has_mask = mask.is_given() && uncounted != uncounted_value::transformed;
  const signed char* const bytes = mask.contiguous_bytes();
  double x[run_length];
  long long flags[run_length] = {};
  for (index begin = first; begin < last; begin += run_length) {
    const index size = last - begin < run_length ? last - begin : run_length;
    const index counted = !has_mask ? size
                          : bytes   ? count_bytes(bytes + begin, size)
                                    : mask.read_flags(begin, size, flags);
    if (counted == 0) {
      for (index i = begin; i < begin + size; ++i) out[i] = static_cast<T>(elsewhere);
      continue;
    }
    if (!in_place) values.read(begin, size, x);
    const auto write = [&](const auto* of_run) {
      if (in_place)
        whiten_run(in_place + begin, of_run, size, counted != size, f, elsewhere, out + begin);
      else
        whiten_run(x, of_run, size, counted != size, f, elsewhere, out + begin);
    };
    if (bytes)
      write(bytes + begin);
    else
      write(flags);
  }
}

inline void check(const whiten_options& options) {
  require_not_negative("epsilon", options.epsilon);
  require_not_negative("count_epsilon", options.count_epsilon);
  require_not_negative("given.count", options.given.count);
  require_not_negative("given.squares", options.given.squares);
  require_finite_moments("given", options.given.count, options.given.mean, options.given.squares);
}

}  // namespace detail

/// `whiten` into memory of the caller's: out is a range, row, block or map of float or double, and may be the values
/// themselves. Allocates nothing for padded and ragged layouts, if the memory is contiguous; else a buffer of its size.
template <layout_argument L, detail::output_argument T>
void whiten_into(column values, const L& layout, const whiten_options& options, T&& out) {
  detail::require_length("values", values.size(), layout.tokens());
  detail::contiguous_output memory("out", out, layout.tokens());
  detail::check(options);
  std::vector<char> storage;
  const column mask = detail::counted_positions(layout, storage);
  const moments m =
      options.given.count > 0 ? options.given : detail::moments_of_range(values, mask, 0, layout.tokens());
  detail::whiten_range(values, mask, 0, layout.tokens(), detail::whitening(m, options), options.uncounted,
                       memory.data());
  memory.finish();
}

/// Values shifted and scaled to mean 0 and variance 1 over the counted tokens of a batch.
///   (x - mean) / sqrt(variance + epsilon)        and its variants, see the options
/// values: [layout.tokens()]. No counted token: zeros (verl and TRL raise). One: variance 0, hence 0, or the value
/// itself if the mean stays (TRL: NaN). Variance 0 with epsilon 0 gives 0. Values whose
/// squares overflow (about 1e154), a counted NaN and a counted infinity make every result NaN. Throws
/// std::invalid_argument on a length that does not fit. Cost: reads twice, writes once.
template <layout_argument L>
std::vector<double> whiten(column values, const L& layout, const whiten_options& options = {}) {
  std::vector<double> out(static_cast<std::size_t>(layout.tokens()));
  whiten_into(values, layout, options, out);
  return out;
}

/// `whiten` with the moments of each sequence for itself.
/// OpenRLHF (masked_normalize over a dimension): biased, epsilon the floor of the variance.
template <detail::contiguous_layout L>
std::vector<double> whiten_rows(column values, const L& layout, const whiten_options& options = {}) {
  detail::require_length("values", values.size(), layout.tokens());
  detail::check(options);
  std::vector<double> out(static_cast<std::size_t>(layout.tokens()), 0);
  for (index b = 0; b < layout.sequences(); ++b) {
    const moments m = detail::moments_of_range(values, layout.mask(), layout.first(b), layout.last(b));
    detail::whiten_range(values, layout.mask(), layout.first(b), layout.last(b), detail::whitening(m, options),
                         options.uncounted, out.data());
  }
  return out;
}

}  // namespace emend
