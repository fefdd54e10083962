#pragma once

#include <emend/carriers/dual.hpp>
#include <emend/core/column.hpp>

namespace emend {

/// The waist: what a loss sees of one row of V scores x and its target.
///
///   log_z       = log sum_j exp(x_j)
///   score       = x[target]
///   log_prob    = score - log_z
///   entropy     = log_z - sum_j p_j x_j,            p_j = exp(x_j - log_z)                              [nats]
///   log_sum_squares = log sum_j p_j^2               (-log of the effective number of choices)
///   next_log_z  = log_z of the linked row, 0 where there is no link
///   t(column)   = the column's entry for this token, a constant; t.number(column) the same as a plain number
/// R is double, or a dual number over (log_z, score, entropy, log_sum_squares, next_log_z). Over LibTorch there is a
/// token of a tensor's dual, which is every token of a call at once: see `tensor_dual`.
template <class R>
struct token {
  R log_prob, log_z, score, entropy, log_sum_squares, next_log_z;
  index position = 0;  ///< which term of the call this is

  /// Throws std::invalid_argument if the column has no entry for this token.
  R operator()(const column& values) const { return R(number(values)); }
  double number(const column& values) const {
    if (position >= values.size())
      detail::fail("a column read by the loss", "an entry for token " + std::to_string(position),
                   std::to_string(values.size()) + " entries");
    return values[position];
  }
};

namespace detail {

/// Order of the variables of a token's dual number.
enum statistic { of_log_z, of_score, of_entropy, of_log_sum_squares, of_next_log_z, statistic_count };

}  // namespace detail

/// A count as a number that losses calculate with; tensor_number.hpp has the same for the counts of every token at
/// once.
constexpr double as_number(index n) { return static_cast<double>(n); }

/// The dual number over a token's five independent statistics.
using token_dual = dual<double, detail::statistic_count>;

/// A loss per token: any callable of a token, the same expression for values and for dual numbers.
///
/// Valid expressions, with `l` a const L:
///   l(token<double>) -> double
///   l(token<token_dual>) -> token_dual (or a constant)
/// A model: `[&](const auto& t) { return -t(advantage) * t.log_prob; }`.
/// Optional members of L:
///   l.check(index n)    throws std::invalid_argument if a column of l has not n entries; called once before any work
///   l.metrics(token<double>) -> std::array<double, M>, averaged over the evaluated tokens in the same pass
///   L::uses_entropy = false, L::uses_log_sum_squares = true   what must be computed; without them entropy is, the
///                        other is not (it reads as NaN)
/// What the compiler cannot check: that l has no state that changes between calls; how often it is called, and for
/// which tokens together, is not its business.
template <class L>
concept token_loss = requires(const L& l, const token<double>& value, const token<token_dual>& derivative) {
  { l(value) } -> std::convertible_to<double>;
  { l(derivative) } -> std::convertible_to<token_dual>;
};

}  // namespace emend
