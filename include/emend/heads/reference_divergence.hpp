#pragma once

#include <emend/heads/divergence_sums.hpp>
#include <emend/heads/reference.hpp>

namespace emend::detail {

/// What the divergence of one pair of rows comes to, in double whatever the storage.
struct divergence_row {
  double value = not_a_number;    ///< [nats]
  double entropy = not_a_number;  ///< of the student [nats]
  double student_log2_z = 0, teacher_log2_z = 0;
  double student_to_mixture = 0;  ///< KL(p || m) of the Jensen-Shannon divergence
  bool has_gradient = true;       ///< false: all zeros
};

/// log((1-b) p + b q) from the logarithms of p and q, which may be -inf; b in (0, 1).
inline double log_mixture(double log_p, double log_q, double b) {
  const double first = __builtin_log1p(-b) + log_p, second = __builtin_log(b) + log_q;
  const double largest = first > second ? first : second, smallest = first > second ? second : first;
  if (largest == -infinity) return largest;
  return largest + __builtin_log1p(__builtin_exp(smallest - largest));
}

/// a log(a / c) from the logarithms of a and c: 0 where a is 0, infinite where only c is.
inline double divergence_term(double log_a, double log_c) {
  if (log_a == -infinity) return 0;
  if (log_c == -infinity) return infinity;
  return __builtin_exp(log_a) * (log_a - log_c);
}

/// The slow, obviously right divergence: the definitions, step by step, in double. It serves the tests, and the rows
/// that the kernels do not take. `x(j)`, `y(j)`: scores of student and teacher. A score of -inf adds nothing; a
/// probability that double rounds to 0 is still above 0.
class reference_divergence {
 public:
  template <class X, class Y>
  reference_divergence(const X& x, const Y& y, index vocab, divergence_kind kind, double mixture)
      : kind_(kind),
        mixture_(mixture),
        student_(reference_statistics(x, vocab)),
        teacher_(reference_statistics(y, vocab)) {
    row_.entropy = student_.entropy;
    row_.has_gradient = false;
    const bool is_empty = student_.log_z == -infinity || teacher_.log_z == -infinity;
    if (is_empty || student_.arg_max < 0 || teacher_.arg_max < 0) {
      row_.has_gradient = !is_empty;
      return;
    }
    double student_part = 0, teacher_part = 0;
    for (index j = 0; j < vocab; ++j) {
      const double log_p = student_log(x(j)), log_q = teacher_log(y(j));
      const double log_m = kind == divergence_kind::jensen_shannon ? log_mixture(log_p, log_q, mixture) : 0;
      if (kind != divergence_kind::forward_kl)
        student_part += divergence_term(log_p, kind == divergence_kind::reverse_kl ? log_q : log_m);
      if (kind != divergence_kind::reverse_kl)
        teacher_part += divergence_term(log_q, kind == divergence_kind::forward_kl ? log_p : log_m);
    }
    row_.student_to_mixture = student_part;
    row_.value = kind == divergence_kind::forward_kl   ? teacher_part
                 : kind == divergence_kind::reverse_kl ? student_part
                                                       : mixture * teacher_part + (1 - mixture) * student_part;
    row_.has_gradient = kind == divergence_kind::forward_kl || row_.value < infinity;
  }

  const divergence_row& row() const { return row_; }

  /// Gradient with respect to the student's score x_j, 0 where that is -inf.
  double gradient(double x, double y) const {
    if (!row_.has_gradient || x == -infinity) return 0;
    const double log_p = student_log(x), log_q = teacher_log(y), p = __builtin_exp(log_p), q = __builtin_exp(log_q);
    if (kind_ == divergence_kind::forward_kl) return p - q;
    if (p == 0) return 0;
    if (kind_ == divergence_kind::reverse_kl) return p * (log_p - log_q - row_.value);
    const double log_m = log_mixture(log_p, log_q, mixture_);
    return (1 - mixture_) * p * (log_p - log_m - row_.student_to_mixture);
  }

 private:
  double student_log(double x) const { return log_probability(x, student_); }
  double teacher_log(double y) const { return log_probability(y, teacher_); }
  /// -inf for a score of -inf alone: a distance that overflows is as far as double reaches.
  static double log_probability(double z, const row_statistics& row) {
    const double log_p = (z - row.log_z) - row.log_z_tail;
    return log_p == -infinity && z != -infinity ? -__DBL_MAX__ : log_p;
  }

  divergence_kind kind_;
  double mixture_;
  row_statistics student_, teacher_;
  divergence_row row_;
};

}  // namespace emend::detail
