#pragma once

#include <emend/base/storage.hpp>
#include <emend/core/token.hpp>

namespace emend::cuda {

// What one thread of a block does with its share of a row, and what the block makes of the shares. Formulas alone: the
// same text is compiled for the device (loss_kernel.cuh), where many threads run it, and for the host, where the tests
// do. Powers are of 2, the unit of which a device has one instruction.

/// One evaluation of N rows on a device: pointers of the device, strides in elements. Row i is batch entry i / tokens,
/// token i % tokens.
template <class T>
struct row_problem {
  const T* scores = nullptr;
  T* gradient =
      nullptr;  ///< the shape of the scores, its own strides; the scores' own memory; or null: the value alone
  index rows = 0, vocab = 0, tokens = 1;
  index first = 0;  ///< the position, of which the loss asks its columns, of row 0
  index batch_stride = 0, token_stride = 0, vocab_stride = 1;
  index gradient_batch_stride = 0, gradient_token_stride = 0, gradient_vocab_stride = 1;
  const std::int64_t* targets =
      nullptr;  ///< [rows]; a counted one outside [0, vocab) makes value and statistics NaN and its row's gradient 0
  bool has_ignore_id = false;
  index ignore_id = 0;            ///< a target that stands for "none": its row is as a masked one
  const bool* mask = nullptr;     ///< [rows] or null
  const float* weight = nullptr;  ///< [rows] or null
  double normaliser = 1;
  double multiplier = 1;     ///< logit_scale / temperature
  double* values = nullptr;  ///< [rows] receives weight loss / normaliser, 0 where masked
  double *log_prob = nullptr, *log_z = nullptr, *entropy = nullptr;  ///< [rows] or null

  /// Whether a row has a part in anything, its weight apart.
  constexpr bool is_counted(index row) const {
    return (!mask || mask[row]) && !(has_ignore_id && targets[row] == ignore_id);
  }
  constexpr index offset(index row) const { return (row / tokens) * batch_stride + (row % tokens) * token_stride; }
  constexpr index gradient_offset(index row) const {
    return (row / tokens) * gradient_batch_stride + (row % tokens) * gradient_token_stride;
  }
};

namespace detail {

template <class A>
constexpr A exp2_of(A x) {
#if defined(__CUDA_ARCH__)
  if constexpr (sizeof(A) == sizeof(float)) {
    float power;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x));
    return power;
  } else {
    return ::exp2(x);
  }
#else
  if constexpr (sizeof(A) == sizeof(float))
    return __builtin_exp2f(x);
  else
    return __builtin_exp2(x);
#endif
}

/// NaN if one of them is.
template <class A>
constexpr A larger_of(A a, A b) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  if constexpr (sizeof(A) == sizeof(float)) {
    float larger;
    asm("max.NaN.f32 %0, %1, %2;" : "=f"(larger) : "f"(a), "f"(b));
    return larger;
  }
#endif
  return a != a || a >= b ? a : b;
}

/// 2^x of it is 0, and so is the product of both.
template <class A>
inline constexpr A lowest_power = sizeof(A) == sizeof(float) ? A(-150) : A(-1100);

/// x, but not below the lowest power; NaN becomes that.
template <class A>
constexpr A at_least_lowest(A x) {
  if constexpr (sizeof(A) == sizeof(float))
    return __builtin_fmaxf(x, lowest_power<A>);
  else
    return __builtin_fmax(x, lowest_power<A>);
}

inline constexpr double log2_of_e = 1.4426950408889634, log_of_2 = 0.6931471805599453;

}  // namespace detail

/// Sums over the scores x_j that a thread has seen, relative to the largest of them; of none, of -inf alone too, the
/// top is -inf.
///   sum = sum_j 2^d_j,   weighted = sum_j 2^d_j d_j,   squares = sum_j 2^2 d_j,   d_j = (x_j - top) scale,   scale =
///   multiplier log2 e
/// A is float or double. NaN and +inf end up in the top. Every member of one row is called with the same scale. Without
/// HasSquares the squares are not summed.
template <class A, bool HasSquares = true>
struct row_share {
  A top = -__builtin_inff(), sum = 0, weighted = 0, squares = 0;

  /// The same sums relative to `to`, if that is above the top, or NaN.
  constexpr void raise(A to, A scale) {
    if (to <= top || top != top) return;
    const A down = detail::at_least_lowest((top - to) * scale), factor = detail::exp2_of(down);
    weighted = factor * (weighted + down * sum);
    sum *= factor;
    squares *= factor * factor;
    top = to;
  }
  /// Several scores at once: the top is raised but once.
  template <int N>
  constexpr void add(const A (&x)[N], A scale) {
    A largest = x[0];
    for (int k = 1; k < N; ++k) largest = detail::larger_of(largest, x[k]);
    raise(largest, scale);
    for (int k = 0; k < N; ++k) {
      const A d = detail::at_least_lowest((x[k] - top) * scale), e = detail::exp2_of(d);
      take(d, e);
    }
  }
  /// The same relative to the top as it is, which saves the look for a larger one. Where a score is far above it,
  /// infinite or NaN, the sums are of no use: see `is_near`.
  template <int N>
  constexpr void add_near(const A (&x)[N], A scale) {
    for (int k = 0; k < N; ++k) {
      const A d = detail::larger_of((x[k] - top) * scale, detail::lowest_power<A>);
      take(d, detail::exp2_of(d));
    }
  }
  /// Whether the top was near enough: no rounding of the differences shows then, and no sum of all threads' shares
  /// overflows.
  constexpr bool is_near() const { return sum < A(1 << 24); }
  constexpr void merge(row_share other, A scale) {
    raise(other.top, scale);
    other.raise(top, scale);
    sum += other.sum;
    weighted += other.weighted;
    squares += other.squares;
  }

 private:
  constexpr void take(A d, A e) {
    sum += e;
    weighted += e * d;
    if constexpr (HasSquares) squares += e * e;
  }
};

/// The share of the thread `first` of `threads`: scores first, first + threads, ..
template <class Share, class T, class A>
constexpr Share share_of(const T* x, index vocab, index vocab_stride, A scale, index first, index threads) {
  Share share;
  for (index j = first; j < vocab; j += threads) {
    const A one[1]{static_cast<A>(x[j * vocab_stride])};
    share.add(one, scale);
  }
  return share;
}

/// What the gradient pass of a row needs: with log2 p = (x - top) scale - log2_sum,
///   g_j = p (constant + linear log2 p + quadratic p),   0 where p = 0;   at the target, of_target
template <class A>
struct row_slope {
  A top = 0, scale = 0, log2_sum = 0, constant = 0, linear = 0, quadratic = 0, of_target = 0;
  index target = -1;

  /// Whether `at_number` may stand for `at`.
  constexpr bool is_number() const {
    return top - top == 0 && constant - constant == 0 && linear - linear == 0 && quadratic - quadratic == 0;
  }
  template <bool HasLinear, bool HasQuadratic>
  constexpr A at_number(A x) const {
    const A log2_p = detail::at_least_lowest((x - top) * scale - log2_sum), p = detail::exp2_of(log2_p);
    A slope = constant;
    if constexpr (HasLinear) slope += linear * log2_p;
    if constexpr (HasQuadratic) slope += quadratic * p;
    return p * slope;
  }
  /// Of any id but the target.
  constexpr A at(A x) const {
    const A log2_p = (x - top) * scale - log2_sum, p = detail::exp2_of(log2_p);
    return p == 0 ? A(0) : p * (constant + linear * log2_p + quadratic * p);
  }
  constexpr A at(A x, index j) const { return j == target ? of_target : at(x); }
};

/// Writes the thread's share of the gradient. x and out may be the same memory.
template <class T, class A = arithmetic<T>>
constexpr void write_share(const T* x, index x_stride, T* out, index out_stride, index vocab, const row_slope<A>& slope,
                           index first, index threads) {
  for (index j = first; j < vocab; j += threads)
    out[j * out_stride] = static_cast<T>(slope.at(static_cast<A>(x[j * x_stride]), j));
}

/// Value of one token's loss and, through its dual numbers, what the gradient pass is to do.
template <class A>
struct row_result {
  double value = 0, log_prob = 0, log_z = 0, entropy = 0;
  row_slope<A> slope;
};

/// Whether a loss on a device asks for the sum of squares: unless it says that it does not.
template <class Loss>
inline constexpr bool asks_for_squares = true;
template <class Loss>
  requires(!Loss::uses_log_sum_squares)
inline constexpr bool asks_for_squares<Loss> = false;

/// share: of the whole row; stored: the target's score; factor: weight / normaliser.
template <class A, bool HasSquares, class Loss>
constexpr row_result<A> evaluate_row(const Loss& loss, const row_share<A, HasSquares>& share, double stored,
                                     index target, index position, double multiplier, double factor) {
  row_result<A> result;
  const double top = multiplier * static_cast<double>(share.top), unknown = __builtin_nan("");
  const bool is_empty = share.top == -__builtin_inff(), is_number = share.top < __builtin_inff();
  const double log_sum = is_empty ? -__builtin_inf() : __builtin_log(static_cast<double>(share.sum));
  const double score = multiplier * stored;
  result.log_z = is_empty ? -__builtin_inf() : is_number ? top + log_sum : unknown;
  result.entropy =
      is_empty    ? 0
      : is_number ? log_sum - detail::log_of_2 * static_cast<double>(share.weighted) / static_cast<double>(share.sum)
                  : unknown;
  const double log_squares = !HasSquares ? unknown
                             : is_empty  ? -__builtin_inf()
                             : is_number ? __builtin_log(static_cast<double>(share.squares)) - 2 * log_sum
                                         : unknown;
  result.log_prob = score == -__builtin_inf() ? score : is_number ? (score - top) - log_sum : unknown;
  using R = token_dual;
  token<R> t{R(result.log_prob),
             R::variable(result.log_z, emend::detail::of_log_z),
             R::variable(score, emend::detail::of_score),
             R::variable(result.entropy, emend::detail::of_entropy),
             R::variable(log_squares, emend::detail::of_log_sum_squares),
             R(0.0),
             position};
  t.log_prob.derivative[emend::detail::of_score] = 1;
  t.log_prob.derivative[emend::detail::of_log_z] = -1;
  const R value = loss(t);
  result.value = factor * value.value;
  result.slope.scale = static_cast<A>(multiplier * detail::log2_of_e);
  if (is_empty) return result;
  const auto scaled = [&](int of) {
    return value.derivative[of] == 0 ? 0 : factor * multiplier * value.derivative[of];
  };
  const double entropy = scaled(emend::detail::of_entropy), squares = scaled(emend::detail::of_log_sum_squares);
  result.slope.top = share.top;
  result.slope.log2_sum = static_cast<A>(log_sum * detail::log2_of_e);
  result.slope.constant =
      static_cast<A>(scaled(emend::detail::of_log_z) - (entropy == 0 ? 0 : entropy * result.entropy) - 2 * squares);
  result.slope.linear = static_cast<A>(-entropy * detail::log_of_2);
  result.slope.quadratic = squares == 0 ? A(0) : static_cast<A>(2 * squares * __builtin_exp(-log_squares));
  result.slope.of_target = score == -__builtin_inf() ? A(0)
                                                     : result.slope.at(static_cast<A>(stored)) +
                                                           static_cast<A>(scaled(emend::detail::of_score));
  result.slope.target = target;
  return result;
}

}  // namespace emend::cuda
