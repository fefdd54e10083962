#pragma once

#include <emend/heads/row_sums.hpp>

namespace emend {

/// Which divergence of two distributions over the vocabulary: p of the student, q of the teacher.
///   forward_kl      KL(q || p) = sum_j q_j log(q_j / p_j)       covers the teacher's modes
///   reverse_kl      KL(p || q) = sum_j p_j log(p_j / q_j)       seeks one of them (TRL's default for on-policy
///   distillation) jensen_shannon  b KL(q || m) + (1-b) KL(p || m),  m = (1-b) p + b q,  b the option `mixture`
/// At b = 0 and b = 1 jensen_shannon is forward_kl and reverse_kl, as in TRL: these are its limits after a division by
/// b and by 1-b, not its own, which are 0.
enum class divergence_kind { forward_kl, reverse_kl, jensen_shannon };

}  // namespace emend

namespace emend::detail {

/// Running sums over a row of student scores and the row of teacher scores beside it, in powers of two, each relative
/// to a reference of its own: with the exponents u_j of the student and v_j of the teacher
///   student.sum = sum_j 2^u_j,  teacher.sum = sum_j 2^v_j,  weighted = sum_j u_j 2^u_j,
///   cross = sum_j (v_j - u_j) 2^v_j (forward) or sum_j (u_j - v_j) 2^u_j (reverse)
/// Each lane of a register has a sum of its own until `row_sums::total`.
template <class A>
struct pair_sums {
  static constexpr int lanes = row_sums<A>::lanes;
  struct side {
    double sum[lanes] = {};
    double reference = -infinity;
    A kernel_reference = 0, kernel_center = 0;
    bool has_reference = false;
  };
  side student, teacher;
  double weighted[lanes] = {}, cross[lanes] = {};
  bool needs_reference_path = false;  ///< a magnitude that the kernels do not take, or an infinite divergence
};

/// What the forward pass over a pair of rows leaves for the gradient, block by block, padded to whole register groups:
///   first: 2^u;  second: 2^v (forward), else u - v, and of Jensen-Shannon, once its mixture is taken, log2(p / m);
///   third: 2^v (Jensen-Shannon alone)
template <class A>
struct saved_pair {
  A* first;
  A* second;
  A* third;
  double* student_reference;  ///< exact reference of each block, -inf where it had none
  double* teacher_reference;
};

/// Gradient of a pair of rows, in terms of saved powers moved to the whole row's log_z: with p the student's and q the
/// teacher's probabilities, and l the saved log2 of a ratio
///   difference:  g_j = scale (p_j - q_j)
///   product:     g_j = scale p_j (constant + ln 2 (l_j + offset of the block))
struct pair_gradient {
  double scale, constant;
  double student_log2_z, teacher_log2_z;
  bool is_ratio_complete;  ///< l needs no offset
};

/// sum_j p_j log2(p_j / m_j) and sum_j q_j log2(q_j / m_j) of a mixture m = (1-b) p + b q.
struct mixture_sums {
  double student = 0, teacher = 0;
};

}  // namespace emend::detail
