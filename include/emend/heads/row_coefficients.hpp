#pragma once

#include <emend/heads/reference.hpp>
#include <emend/heads/row_sums.hpp>

namespace emend::detail {

/// What the kernels make a row's gradient from: `multiplier` takes the block's values to z; `slope` takes the gradient
/// of z to that of the scores. A: the kernels' arithmetic.
template <class A>
row_gradient<A> row_coefficients(const row_statistics& row, const row_adjoint& g, double multiplier, double slope) {
  const double log2_z = row.log_z * log2_e, reference = __builtin_rint(log2_z);
  const double scale = __builtin_exp2(reference - log2_z);
  const A center = static_cast<A>(row.log_z / multiplier);
  row_gradient<A> result;
  result.multiplier = static_cast<A>(multiplier * log2_e);
  result.reference = static_cast<A>(reference);
  result.lowest = static_cast<A>((reference - (sizeof(A) == 4 ? 127 : 1023)) / (multiplier * log2_e));
  result.center = center;
  // The rounding of the multiplier shifts every exponent by about the same amount; the scale takes it back.
  const double shift = static_cast<double>(center) * (multiplier * log2_e - static_cast<double>(result.multiplier));
  const double p = scale * __builtin_exp2(shift);
  double constant = g.log_z;
  if (g.entropy != 0) constant -= g.entropy * (multiplier * static_cast<double>(center) - row.log_z + row.entropy);
  if (g.log_sum_squares != 0) constant -= 2 * g.log_sum_squares;
  result.constant = static_cast<A>(slope * p * constant);
  result.linear = static_cast<A>(slope * p * -g.entropy * multiplier);
  result.quadratic = g.log_sum_squares == 0
                         ? A(0)
                         : static_cast<A>(slope * p * p * 2 * g.log_sum_squares * __builtin_exp(-row.log_sum_squares));
  result.terms = g.log_sum_squares != 0 ? 2 : g.entropy != 0 ? 1 : 0;
  return result;
}

/// The same for powers that were kept and carry their own reference.
template <class A>
row_gradient<A> saved_coefficients(const row_statistics& row, const row_adjoint& g, double multiplier) {
  row_gradient<A> result{};
  const A center = static_cast<A>(row.log_z / multiplier);
  double constant = g.log_z;
  if (g.entropy != 0) constant -= g.entropy * (multiplier * static_cast<double>(center) - row.log_z + row.entropy);
  result.center = center;
  result.lowest = static_cast<A>((row.log_z * log2_e - (sizeof(A) == 4 ? 127 : 1023)) / (multiplier * log2_e));
  result.constant = static_cast<A>(multiplier * constant);
  result.linear = static_cast<A>(multiplier * -g.entropy * multiplier);
  result.terms = g.entropy != 0 ? 1 : 0;
  return result;
}

}  // namespace emend::detail
