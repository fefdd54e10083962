#pragma once

#include <emend/base/index.hpp>
#include <emend/heads/row_sums.hpp>

namespace emend::detail {

/// Statistics of one row, in double whatever the storage.
struct row_statistics {
  double log_z = not_a_number, entropy = not_a_number, log_sum_squares = not_a_number, mean_score = not_a_number;
  double max_score = not_a_number;
  double log_z_tail = 0;  ///< what log_z lost to its own rounding, where its magnitude is huge
  index arg_max = -1;
  index left_out = -1;  ///< an id that log_z leaves out, and whose gradient is that of the targets alone; -1: none
  bool needs_reference_path = false;  ///< the gradient, too, is the slow head's
};

/// log_prob = score - log_z; -inf where the target is outside the support, an all -inf row included.
inline double log_prob_of(double score, const row_statistics& row) {
  return score == -infinity ? -infinity : (score - row.log_z) - row.log_z_tail;
}

/// The slow, obviously right head: the definitions, step by step, in double. It serves the tests, and the rows whose
/// magnitudes the kernels do not take. `z(j)` is the j-th score. A row with NaN or +inf has NaN everywhere and arg_max
/// -1; a row of nothing but -inf has log_z -inf, entropy 0, log_sum_squares -inf and arg_max 0.
template <class Score>
row_statistics reference_statistics(const Score& z, index vocab) {
  row_statistics row;
  row.needs_reference_path = true;
  double maximum = -infinity, plain = 0;
  index arg_max = 0;
  for (index j = 0; j < vocab; ++j) {
    const double x = z(j);
    if (!(x < infinity)) return row;
    if (x > maximum) maximum = x, arg_max = j;
    plain += x;
  }
  row.arg_max = arg_max;
  row.max_score = maximum;
  row.mean_score = plain / static_cast<double>(vocab);
  row.log_z = row.log_sum_squares = -infinity;
  row.entropy = 0;
  if (maximum == -infinity) return row;
  double sum = 0;
  for (index j = 0; j < vocab; ++j) sum += __builtin_exp(z(j) - maximum);
  row.log_z = maximum + __builtin_log(sum);
  row.log_z_tail = (maximum - row.log_z) + __builtin_log(sum);
  double entropy = 0, squares = 0;
  for (index j = 0; j < vocab; ++j) {
    // log p from the differences, not from log_z: at a large maximum the sum with it would round.
    const double log_p = (z(j) - maximum) - __builtin_log(sum), p = __builtin_exp(log_p);
    if (p > 0) entropy -= p * log_p;
    squares += p * p;
  }
  row.entropy = entropy;
  row.log_sum_squares = __builtin_log(squares);
  return row;
}

/// Derivatives of a loss with respect to the statistics of one row.
struct row_adjoint {
  double log_z = 0, entropy = 0, log_sum_squares = 0;
  bool is_zero() const { return log_z == 0 && entropy == 0 && log_sum_squares == 0; }
};

/// Gradient with respect to z_j, the target's own term left out:
///   p (g_log_z - g_entropy (log p + H)) + 2 g_squares (p^2 / sum p^2 - p),  0 where p = 0
/// id: that of z.
inline double reference_gradient(double z, index id, const row_statistics& row, const row_adjoint& g) {
  if (id == row.left_out) return 0;
  const double log_p = (z - row.log_z) - row.log_z_tail, p = __builtin_exp(log_p);
  if (p == 0 || z == -infinity) return 0;
  double slope = g.log_z;
  if (g.entropy != 0) slope -= g.entropy * (log_p + row.entropy);
  if (g.log_sum_squares != 0) slope += 2 * g.log_sum_squares * (__builtin_exp(log_p - row.log_sum_squares) - 1);
  return p * slope;
}

}  // namespace emend::detail
