#pragma once

#include <emend/base/index.hpp>
#include <emend/carriers/real.hpp>

namespace emend::detail {

/// What a pass over a row asks for beside log_z and entropy; each flag costs only when it is set.
enum row_feature : int { want_extras = 1, want_arg_max = 2 };

inline constexpr double log2_e = 1.44269504088896340736;
inline constexpr double ln_2 = 0.693147180559945309417;

/// The sums of a row with their lanes added: one cache line.
struct row_totals {
  double sum, weighted, squares, plain, reference;
  index arg_max;
  bool has_reference, needs_reference_path;
};

/// Running sums over the scores of one row, in powers of two relative to `reference`:
///   t_j = multiplier x_j log2(e) - reference,   sum = sum_j 2^t_j,  weighted = sum_j t_j 2^t_j,  squares = sum_j 4^t_j
/// `reference` is the exact value of what the kernel subtracts, kernel_reference the rounded one. Each lane of a
/// register has a sum of its own until `total`.
template <class A>
struct row_sums {
  static constexpr int lanes = 16;
  double sum[lanes] = {}, weighted[lanes] = {}, squares[lanes] = {};
  double plain = 0;  ///< sum of the scores themselves
  double reference = 0;
  A kernel_reference = 0, kernel_center = 0;  ///< reference in powers of two, and the score that it belongs to
  bool has_reference = false;
  bool is_clamped = false;            ///< a kernel that leaves out the clamp for scores of -inf has met one
  bool needs_reference_path = false;  ///< a magnitude that the kernels do not take; the slow head does the row
  A maximum = -__builtin_inff();
  index arg_max = -1;

  static double total(const double (&of)[lanes]) {
    double result = 0;
    for (double x : of) result += x;
    return result;
  }
  row_totals totals() const {
    return {total(sum), total(weighted), total(squares), plain,
            reference,  arg_max,         has_reference,  needs_reference_path};
  }
};

/// The powers 2^t_j of one row as its forward pass had them, for a gradient that follows while they are in cache.
/// Each block keeps the reference that it was computed with.
template <class A>
struct saved_powers {
  A* power;           ///< [V]
  double* reference;  ///< [V / least_saved_block + 2] exact reference of each block
};

/// Constant factor of the scores, split so that kernels in float lose nothing: high + low = multiplier log2(e).
template <class A>
struct row_multiplier {
  A high, low;
  explicit row_multiplier(double multiplier)
      : high(static_cast<A>(multiplier * log2_e)),
        low(static_cast<A>(multiplier * log2_e - static_cast<double>(high))) {}
};

/// Gradient of one row: with e_j = 2^(multiplier x_j - reference),
///   g_j = e_j (constant + linear (x_j - center) + quadratic e_j),  exactly 0 for x_j = -inf, and below `lowest` less
///   than any
/// normal number
template <class A>
struct row_gradient {
  A multiplier;
  A reference;  ///< an integer
  A lowest, center;
  A constant, linear, quadratic;
  int terms;  ///< 0 constant alone, 1 and linear, 2 and quadratic
};

/// A row whose gradient is to be written from its saved powers; empty where x is null.
template <class T, class A>
struct saved_row {
  const T* x = nullptr;
  T* out = nullptr;
  saved_powers<A> powers{};
  row_gradient<A> coefficients{};  ///< constant and linear are those of powers relative to log2_z
  double log2_z = 0;
};

}  // namespace emend::detail
