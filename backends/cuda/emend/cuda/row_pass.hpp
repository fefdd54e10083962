#pragma once

#include <emend/core/storage.hpp>
#include <emend/core/token.hpp>

namespace emend::cuda {

// What one thread of a block does with its share of a row, and what the block makes of the shares. Formulas alone: the same text is
// compiled for the device (kernels.cuh), where many threads run it, and for the host, where the tests do.

/// Sums over the scores that a thread has seen, relative to the largest of them; of none, of -inf alone too, the top is -inf.
///   sum = sum_j exp(x_j - top),   weighted = sum_j exp(x_j - top) (x_j - top),   squares = sum_j exp(x_j - top)^2
/// A is float or double. NaN and +inf end up in the top.
template <class A>
struct row_share {
  A top = -__builtin_inff(), sum = 0, weighted = 0, squares = 0;

  /// The same sums relative to `to`, if that is above the top, or NaN.
  constexpr void raise(A to) {
    if (to <= top || top != top) return;
    const bool is_first = !(top > -__builtin_inff());
    const A down = top - to, factor = exp_of(down);
    top = to;
    if (is_first) return;
    weighted = factor == 0 ? A(0) : factor * (weighted + down * sum);
    sum *= factor;
    squares *= factor * factor;
  }
  constexpr void add(A x) {
    if (x == -__builtin_inff()) return;
    raise(x);
    const A d = x - top, e = exp_of(d);
    sum += e;
    weighted += e == 0 ? A(0) : e * d;
    squares += e * e;
  }
  constexpr void merge(row_share other) {
    raise(other.top);
    other.raise(top);
    sum += other.sum;
    weighted += other.weighted;
    squares += other.squares;
  }

  static constexpr A exp_of(A x) {
    if constexpr (sizeof(A) == sizeof(float)) return __builtin_expf(x);
    else return __builtin_exp(x);
  }
};

/// The share of the thread `first` of `threads`: scores first, first + threads, ..
template <class T, class A = arithmetic<T>>
constexpr row_share<A> share_of(const T* x, index vocab, index vocab_stride, A multiplier, index first, index threads) {
  row_share<A> share;
  for (index j = first; j < vocab; j += threads) share.add(multiplier * static_cast<A>(x[j * vocab_stride]));
  return share;
}

/// What the gradient pass of a row needs: with p = exp(x - top - log_sum),
///   g_j = p (constant + linear log p + quadratic p) + [j = target] own,   0 where p = 0
template <class A>
struct row_slope {
  A top = 0, log_sum = 0, constant = 0, linear = 0, quadratic = 0, own = 0;
  index target = -1;

  constexpr A at(A x, index j) const {
    const A log_p = (x - top) - log_sum, p = row_share<A>::exp_of(log_p);
    A g = p == 0 || x == -__builtin_inff() ? A(0) : p * (constant + linear * log_p + quadratic * p);
    if (j == target && x != -__builtin_inff()) g += own;
    return g;
  }
};

/// Writes the thread's share of the gradient, `scale` the slope of the multiplier. x and out may be the same memory.
template <class T, class A = arithmetic<T>>
constexpr void write_share(const T* x, index x_stride, T* out, index out_stride, index vocab, A multiplier, const row_slope<A>& slope,
                           index first, index threads) {
  for (index j = first; j < vocab; j += threads)
    out[j * out_stride] = static_cast<T>(multiplier * slope.at(multiplier * static_cast<A>(x[j * x_stride]), j));
}

/// Value of one token's loss and, through its dual numbers, what the gradient pass is to do.
template <class A>
struct row_result {
  double value = 0, log_prob = 0, log_z = 0, entropy = 0;
  row_slope<A> slope;
};

/// share: of the whole row; score: that of the target, multiplied; factor: weight / normaliser.
template <class A, class Loss>
constexpr row_result<A> evaluate_row(const Loss& loss, const row_share<A>& share, double score, index target, index position, double factor) {
  row_result<A> result;
  const double top = static_cast<double>(share.top), unknown = __builtin_nan("");
  const bool is_empty = share.top == -__builtin_inff(), is_number = share.top < __builtin_inff();
  const double log_sum = is_empty ? -__builtin_inf() : __builtin_log(static_cast<double>(share.sum));
  result.log_z = is_empty ? -__builtin_inf() : is_number ? top + log_sum : unknown;
  result.entropy = is_empty ? 0 : is_number ? log_sum - static_cast<double>(share.weighted) / static_cast<double>(share.sum) : unknown;
  const double log_squares = is_empty ? -__builtin_inf() : is_number ? __builtin_log(static_cast<double>(share.squares)) - 2 * log_sum : unknown;
  result.log_prob = score == -__builtin_inf() ? score : is_number ? (score - top) - log_sum : unknown;
  using R = token_dual;
  token<R> t{R(result.log_prob), R::variable(result.log_z, emend::detail::of_log_z), R::variable(score, emend::detail::of_score),
             R::variable(result.entropy, emend::detail::of_entropy), R::variable(log_squares, emend::detail::of_log_sum_squares), R(0.0), position};
  t.log_prob.derivative[emend::detail::of_score] = 1;
  t.log_prob.derivative[emend::detail::of_log_z] = -1;
  const R value = loss(t);
  result.value = factor * value.value;
  const auto scaled = [&](int of) { return value.derivative[of] == 0 ? 0 : factor * value.derivative[of]; };
  if (is_empty) return result;
  const double entropy = scaled(emend::detail::of_entropy), squares = scaled(emend::detail::of_log_sum_squares);
  result.slope.top = share.top;
  result.slope.log_sum = static_cast<A>(log_sum);
  result.slope.constant = static_cast<A>(scaled(emend::detail::of_log_z) - (entropy == 0 ? 0 : entropy * result.entropy) - 2 * squares);
  result.slope.linear = static_cast<A>(-entropy);
  result.slope.quadratic = squares == 0 ? A(0) : static_cast<A>(2 * squares * __builtin_exp(-log_squares));
  result.slope.own = static_cast<A>(scaled(emend::detail::of_score));
  result.slope.target = target;
  return result;
}

}  // namespace emend::cuda
