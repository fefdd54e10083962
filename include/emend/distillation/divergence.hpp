#pragma once

#include <emend/core/output_column.hpp>
#include <emend/core/executor.hpp>
#include <emend/evaluation/with_source.hpp>
#include <emend/heads/divergence_rows.hpp>
#include <emend/simd/streaming.hpp>

namespace emend {

/// Options of `divergence` and its kin, for N rows. Every field may be left out.
struct divergence_options {
  column mask = {};       ///< [N]; 0: the row is not read, its gradient 0
  column weight = {};     ///< [N], default 1: what comes down from above; a row of weight 0 is as a masked one
  double normaliser = 1;  ///< an explicit count, so that parts of a batch add up to the whole
  double mixture = 0.5;   ///< b of jensen_shannon, in [0, 1]: the teacher's share of the mixture (TRL's beta)
  score_transform student_transform = {}, teacher_transform = {};
  output_column per_token = {};  ///< receives the divergence of each row, [N], 0 where not evaluated [nats]
  output_column entropy = {};    ///< receives the student's entropy of each row, [N], 0 likewise [nats]
  instruction_set instructions = instruction_set::best;
};

/// What `divergence_into` and `divergence_value` return.
struct divergence_sum {
  double value = 0;
  index evaluated = 0;
  operator double() const { return value; }
};

/// What `divergence` returns.
template <class G>
struct divergence_evaluation {
  double value = 0;
  G gradient;
  std::vector<double> per_token = {}, entropy = {};  ///< [N], 0 where not evaluated [nats]
  index evaluated = 0;
};

namespace detail {

inline void check(const divergence_options& options, index rows, index vocab) {
  if (options.mask.is_given()) require_length("mask", options.mask.size(), rows);
  if (options.weight.is_given()) require_length("weight", options.weight.size(), rows);
  require_positive("normaliser", options.normaliser);
  options.per_token.check("per_token", rows);
  options.entropy.check("entropy", rows);
  if (!(options.mixture >= 0 && options.mixture <= 1))
    fail("mixture", "a number in [0, 1]", std::to_string(options.mixture));
  check_transform(options.student_transform, rows, "student_transform.");
  check_transform(options.teacher_transform, rows, "teacher_transform.");
  if (vocab < 1 && rows > 0) fail("student", "a vocabulary of at least 1", std::to_string(vocab));
}

/// Whether `out` shares memory with the teacher's scores, which are never to be overwritten.
template <class T, class U>
void check_apart(score_view<const U> teacher, score_view<T> out) {
  if constexpr (std::is_same_v<T, U>) {
    if (out.rows() > 0 && teacher.data == out.data)
      fail("gradient", "memory apart from the teacher's scores", "theirs");
    check_overlap<T>(teacher, out);
  }
}

/// The divergence of each row, summed in one order for any number of threads.
struct divergence_values {
  std::vector<double> of_row, entropy_of_row;
};

/// Every row of the batch. Each is worked on whole by one thread: the same bits for any executor.
template <class T, class U, class E>
divergence_sum run_divergence(divergence_kind kind, score_view<const T> student, score_view<const U> teacher,
                              const divergence_options& options, const score_view<T>* out, E& executor) {
  const index rows = student.rows();
  check_shape("teacher", teacher.rows(), teacher.vocab, rows, student.vocab);
  check(options, rows, student.vocab);
  const divergence_head<T, U> head(student, options.student_transform, teacher, options.teacher_transform, kind,
                                   options.mixture, options.instructions);
  constexpr index cached_bytes = index{8} << 20;
  const bool is_streaming =
      out && out->data != student.data && rows * student.vocab * static_cast<index>(sizeof(T)) > cached_bytes;

  const scratch_lease<divergence_values> lease;
  std::vector<double>& values = lease->of_row;
  values.assign(static_cast<std::size_t>(rows), 0);
  std::vector<double>& entropies = lease->entropy_of_row;
  if (options.entropy) entropies.assign(static_cast<std::size_t>(rows), 0);
  const auto factor = [&](index i) {
    if (options.mask.is_given() && options.mask[i] == 0) return 0.0;
    return (options.weight.is_given() ? options.weight[i] : 1) / options.normaliser;
  };
  executor.for_each_chunk(rows, [&](index begin, index end) {
    const scratch_lease<divergence_scratch<typename divergence_head<T, U>::A>> work;
    head(begin, end, factor, out, is_streaming, *work, [&](index i, const divergence_row& row) {
      values[static_cast<std::size_t>(i)] = row.value;
      if (options.entropy) entropies[static_cast<std::size_t>(i)] = row.entropy;
    });
    if (is_streaming) simd::finish_streaming();
  });
  divergence_sum result;
  for (index i = 0; i < rows; ++i) {
    const double f = factor(i);
    if (f == 0) continue;
    result.value += f * values[static_cast<std::size_t>(i)];
    ++result.evaluated;
  }
  options.per_token.write(values);
  if (options.entropy) options.entropy.write(entropies);
  return result;
}

template <class X, class Y, class G, class E>
divergence_sum run_divergence(divergence_kind kind, const X& student, const Y& teacher,
                              const divergence_options& options, G* gradient, E& executor) {
  divergence_sum result;
  visit_scores("student", student, [&]<class T>(score_view<const T> x) {
    visit_scores("teacher", teacher, [&]<class U>(score_view<const U> y) {
      if (!gradient) {
        result = run_divergence<T, U>(kind, x, y, options, nullptr, executor);
        return;
      }
      visit_gradient("gradient", *gradient, [&]<class V>(score_view<V> out) {
        if constexpr (std::is_same_v<V, T>) {
          check_shape("gradient", out.rows(), out.vocab, x.rows(), x.vocab);
          check_overlap<T>(x, out);
          check_apart<T, U>(y, out);
          result = run_divergence<T, U>(kind, x, y, options, &out, executor);
        } else {
          fail("gradient", "the storage type of the student's scores", "another one");
        }
      });
    });
  });
  return result;
}

}  // namespace detail

/// Exact divergence of two distributions over the whole vocabulary, token by token, and its gradient with respect to
/// the student's scores: knowledge distillation, or the distance from a reference policy; nothing is sampled.
///   value = (1 / normaliser) sum_i weight_i D(p_i, q_i),   p = softmax of the student's row, q of the teacher's
///   forward_kl: dD/dz_j = p_j - q_j;  reverse_kl: p_j (log(p_j / q_j) - D);
///   jensen_shannon: (1-b) p_j (log(p_j / m_j) - KL(p || m)),  m = (1-b) p + b q
/// student, teacher: [N, V] or [B, T, V], any scores in memory, of any mix of storage types and strides; D in nats.
/// Scores of -inf have probability 0, which adds nothing, and gradient 0. Where the student has none and the teacher
/// has some, forward_kl is +inf and its gradient still p - q; where the teacher has none and the student has some,
/// reverse_kl is +inf and its gradient 0. A row with NaN or +inf, on either side, has a NaN value and gradient. A row
/// of nothing but -inf is no distribution: value NaN, gradient 0. Masked rows are not read. Throws
/// std::invalid_argument on shapes or lengths that do not fit, or a bad option, before anything is written. Cost: both
/// rows read once and the gradient written once, two exponentials a score pair, for Jensen-Shannon a logarithm more;
/// rows that are not contiguous along the vocabulary, or of two storage types, are gathered first; a soft cap costs a
/// tangent a score. The same bits for any executor.
/// Hinton et al. 2015 (forward), Gu et al. 2024 (reverse), Agarwal et al. 2024, eq. 1 (generalised Jensen-Shannon).
template <host_scores X, host_scores Y, executor E = const sequential>
divergence_evaluation<gradient_type<X>> divergence(divergence_kind kind, const X& student, const Y& teacher,
                                                   const divergence_options& options = {},
                                                   E&& executor = sequential{}) {
  divergence_evaluation<gradient_type<X>> result{.gradient = backend<X>::like(student)};
  divergence_options with_columns = options;
  with_columns.per_token = &result.per_token;
  with_columns.entropy = &result.entropy;
  const divergence_sum sum =
      detail::run_divergence(kind, student, teacher, with_columns, __builtin_addressof(result.gradient), executor);
  options.per_token.write(result.per_token);
  options.entropy.write(result.entropy);
  result.value = sum.value;
  result.evaluated = sum.evaluated;
  return result;
}

/// As `divergence`, into a gradient that exists already: no allocation after the first call of a size. It may be the
/// student's scores themselves (in place), but must not overlap them otherwise, nor the teacher's.
template <host_scores X, host_scores Y, gradient_target<X> G, executor E = const sequential>
divergence_sum divergence_into(divergence_kind kind, const X& student, const Y& teacher,
                               const divergence_options& options, G& gradient, E&& executor = sequential{}) {
  return detail::run_divergence(kind, student, teacher, options, __builtin_addressof(gradient), executor);
}

/// As `divergence`, the value alone: no gradient is computed.
template <host_scores X, host_scores Y, executor E = const sequential>
divergence_sum divergence_value(divergence_kind kind, const X& student, const Y& teacher,
                                const divergence_options& options = {}, E&& executor = sequential{}) {
  return detail::run_divergence(kind, student, teacher, options, static_cast<gradient_type<X>*>(nullptr), executor);
}

namespace detail {

template <class X, class Y>
constexpr void refuse_pair() {
  static_assert(
      host_scores<X> && host_scores<Y>,
      "emend: a divergence needs two blocks of scores in memory. Include the backend of these types (for Eigen: "
      "<emend/eigen.hpp>; evaluate an expression with .eval() first) or specialise emend::backend<X>; see "
      "backends/README.md");
}

}  // namespace detail

/// Last resorts for types that are no scores in memory: say the remedy.
template <class X, class Y, class... Rest>
  requires(!host_scores<X> || !host_scores<Y>)
void divergence(divergence_kind, const X&, const Y&, const divergence_options& = {}, Rest&&...) {
  detail::refuse_pair<X, Y>();
}
template <class X, class Y, class... Rest>
  requires(!host_scores<X> || !host_scores<Y>)
void divergence_value(divergence_kind, const X&, const Y&, const divergence_options& = {}, Rest&&...) {
  detail::refuse_pair<X, Y>();
}
template <class X, class Y, class G, class... Rest>
  requires(!host_scores<X> || !host_scores<Y>)
void divergence_into(divergence_kind, const X&, const Y&, const divergence_options&, G&, Rest&&...) {
  detail::refuse_pair<X, Y>();
}

}  // namespace emend
