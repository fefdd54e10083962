#pragma once

#include <emend/core/backend.hpp>
#include <emend/core/column.hpp>
#include <emend/core/id_column.hpp>
#include <emend/heads/reference.hpp>
#include <emend/heads/score_transform.hpp>

namespace emend {

/// Statistics and derivatives as a head gives and takes them; all arrays are in this process's memory.
using detail::row_adjoint;
using detail::row_statistics;

/// What a head that keeps its scores elsewhere is asked for.
struct head_request {
  id_column targets;              ///< [terms] id of each term
  id_column rows;                 ///< [terms] row of each term
  const std::uint8_t* is_active;  ///< [rows] 0: the row must not be read, its gradient is 0
  const score_transform& transform;
  const kept_ids& kept;
  bool with_extras;  ///< log_sum_squares, mean_score, arg_max and max_score are wanted, too
};

struct head_shape {
  index rows, vocab;
};

/// Scores that are not in this process's memory, or never stored: the head computes statistics and gradients itself.
///
/// Valid expressions, with B = backend<X>, `x` a const X, `r` a const head_request, `g` a gradient_type<X>:
///   B::like(x)                                             an owning gradient_type<X>
///   B::shape(x)                                            head_shape
///   B::forward(x, r, row_statistics* rows, double* scores)       rows: [rows]; scores: [terms], z of each target
///   B::backward(x, r, const row_statistics* rows, const row_adjoint* adjoints, const double* score_adjoints, g)
///       writes all of g: for every active row the gradient of reference.hpp plus score_adjoints at the targets, 0 else
/// Optional, for heads that would otherwise do work twice; used where the derivatives of a row follow from the row
/// itself:
///   B::fused(x, r, row_statistics* rows, double* scores, visit, const row_adjoint* adjoints, const double*
///   score_adjoints, g)
///       both in one pass: once rows[row] and the scores of the row's terms are there, calls visit(row), which writes
///       the row's entries of adjoints and score_adjoints; once for every active row
/// A model: a block of scores on a GPU, whose backward launches one kernel.
/// What the compiler cannot check: that the numbers are those of heads/reference.hpp; run the backend suite.
template <class X>
concept head_scores = requires(const std::remove_cvref_t<X>& x, const head_request& request, row_statistics* rows,
                               double* scores, gradient_type<X>& gradient) {
  { backend<std::remove_cvref_t<X>>::shape(x) } -> std::convertible_to<head_shape>;
  backend<std::remove_cvref_t<X>>::forward(x, request, rows, scores);
  backend<std::remove_cvref_t<X>>::backward(x, request, static_cast<const row_statistics*>(rows),
                                            static_cast<const row_adjoint*>(nullptr),
                                            static_cast<const double*>(scores), gradient);
};

}  // namespace emend
