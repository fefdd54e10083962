#pragma once

#include <emend/carriers/real.hpp>
#include <emend/core/executor.hpp>
#include <emend/evaluation/refusals.hpp>
#include <emend/evaluation/with_source.hpp>
#include <emend/heads/reference_divergence.hpp>

namespace emend {

/// What becomes of the probability outside the k ids of a row.
///   bucket        one further outcome, log(1 - sum_k p_k) = log(-expm1(logsumexp_k log p_k)), on both sides (TRL)
///   renormalised  both distributions over the k ids alone (TRL); costs k scores a row, not the vocabulary
///   dropped       the sum over the k ids as they are (verl); no divergence: it may be negative
enum class top_k_tail { bucket, renormalised, dropped };

/// The k ids of each row, the teacher's best or the student's: row i has ids[offsets[i]] .. ids[offsets[i+1]-1], each
/// once, with the teacher's log-probabilities of them under its whole vocabulary. An id twice in a row, or
/// log-probabilities whose exponentials add up to more than 1 (by the rounding of 16-bit numbers, 1.1), are refused.
struct top_k {
  id_column offsets;        ///< [N+1]
  id_column ids;            ///< [M], M = offsets[N]
  column teacher_log_prob;  ///< [M] [nats]
};

/// Options of `top_k_divergence` and its kin. Every field may be left out.
struct top_k_options {
  divergence_kind kind = divergence_kind::forward_kl;
  top_k_tail tail = top_k_tail::bucket;
  double mixture = 0.5;            ///< b of jensen_shannon, in [0, 1]
  bool is_clamped = false;         ///< verl: a row below 0, as `dropped` makes most, is 0 and has no gradient
  column mask = {};                ///< [N]; 0: the row is not read, its gradient 0
  column weight = {};              ///< [N], default 1
  double normaliser = 1;           ///< an explicit count, so that parts of a batch add up to the whole
  score_transform transform = {};  ///< of the student's scores
  double smallest_tail = 1e-7;     ///< a bucket below it, which rounding makes, has this probability, and no gradient
  output_column per_token = {};    ///< receives the divergence of each row, [N], 0 where not evaluated [nats]
  instruction_set instructions = instruction_set::best;
};

/// What `top_k_divergence_into` and `top_k_divergence_value` return.
struct top_k_sum {
  double value = 0;
  index evaluated = 0;
  operator double() const { return value; }
};

/// What `top_k_divergence` returns.
template <class G>
struct top_k_evaluation {
  double value = 0;
  G gradient;
  std::vector<double> per_token = {};
  index evaluated = 0;
};

namespace detail {

/// Divergence of a few outcomes, and its derivative with respect to each student log-probability as if it stood alone.
/// An infinite reverse divergence has no derivative: all 0.
inline double small_divergence(divergence_kind kind, double mixture, const std::vector<double>& log_p,
                               const std::vector<double>& log_q, std::vector<double>& derivative) {
  if (kind == divergence_kind::jensen_shannon && mixture == 0) kind = divergence_kind::forward_kl;
  if (kind == divergence_kind::jensen_shannon && mixture == 1) kind = divergence_kind::reverse_kl;
  derivative.assign(log_p.size(), 0);
  double total = 0;
  for (std::size_t k = 0; k < log_p.size(); ++k) {
    const double p = emend::exp(log_p[k]), q = emend::exp(log_q[k]);
    if (kind == divergence_kind::forward_kl) {
      total += divergence_term(log_q[k], log_p[k]);
      derivative[k] = -q;
    } else if (kind == divergence_kind::reverse_kl) {
      total += divergence_term(log_p[k], log_q[k]);
      if (p != 0) derivative[k] = p * (log_p[k] - log_q[k] + 1);
    } else {
      const double log_m = log_mixture(log_p[k], log_q[k], mixture);
      total += mixture * divergence_term(log_q[k], log_m);
      derivative[k] = (1 - mixture) * divergence_term(log_p[k], log_m);
      total += derivative[k];
    }
  }
  if (kind == divergence_kind::reverse_kl && total == infinity) derivative.assign(log_p.size(), 0);
  return total;
}

/// log sum_k exp(x_k)
inline double log_sum(const std::vector<double>& x) {
  double maximum = -infinity, sum = 0;
  for (double v : x) maximum = emend::max(maximum, v);
  if (!(maximum > -infinity)) return maximum;
  for (double v : x) sum += emend::exp(v - maximum);
  return maximum + emend::log(sum);
}

/// Whether all probabilities are 0.
inline bool is_none(const std::vector<double>& log_probs) {
  for (const double x : log_probs)
    if (x != -infinity) return false;
  return true;
}

/// One row's outcomes, kept between rows.
struct top_k_row {
  std::vector<double> log_p, log_q, derivative;

  /// Divergence of the row; afterwards `derivative` is that with respect to the k log-probabilities of the student.
  double evaluate(const top_k_options& options) {
    const std::size_t count = log_p.size();
    if (options.tail == top_k_tail::renormalised) {
      if (count > 0 && (is_none(log_p) || is_none(log_q))) {
        derivative.assign(count, 0);
        return not_a_number;
      }
      const double all = log_sum(log_q);
      for (double& x : log_q) x -= all;
    }
    double tail = 0;
    bool is_tail_constant = true;
    if (options.tail == top_k_tail::bucket) {
      tail = -emend::expm1(log_sum(log_p));
      is_tail_constant = tail <= options.smallest_tail;
      log_p.push_back(emend::log(emend::max(tail, options.smallest_tail)));
      log_q.push_back(emend::log(emend::max(-emend::expm1(log_sum(log_q)), options.smallest_tail)));
    }
    const double value = small_divergence(options.kind, options.mixture, log_p, log_q, derivative);
    if (options.is_clamped && value < 0) {
      derivative.assign(count, 0);
      return 0;
    }
    if (!is_tail_constant)
      for (std::size_t k = 0; k < count; ++k) derivative[k] -= derivative[count] * emend::exp(log_p[k]) / tail;
    return value;
  }
};

inline void check(const top_k& ids, const top_k_options& options, index rows) {
  require_length("offsets", ids.offsets.size(), rows + 1);
  if (ids.offsets[0] != 0) fail("offsets", "a first entry of 0", std::to_string(ids.offsets[0]));
  for (index i = 0; i < rows; ++i)
    if (ids.offsets[i + 1] < ids.offsets[i])
      fail("offsets", "entry " + std::to_string(i + 1) + " not below " + std::to_string(ids.offsets[i]),
           std::to_string(ids.offsets[i + 1]));
  require_length("ids", ids.ids.size(), ids.offsets[rows]);
  require_each_once("ids", ids.offsets, ids.ids, rows);
  require_length("teacher_log_prob", ids.teacher_log_prob.size(), ids.offsets[rows]);
  for (index i = 0; i < rows; ++i) {
    double mass = 0;
    for (index k = ids.offsets[i]; k < ids.offsets[i + 1]; ++k) mass += emend::exp(ids.teacher_log_prob[k]);
    // Of 16-bit log-probabilities the sum may be a few hundredths above 1.
    if (mass > 1.1)
      fail("teacher_log_prob", "log-probabilities, of row " + std::to_string(i) + " with a probability of 1 at most",
           text_of(mass));
  }
  if (options.mask.is_given()) require_length("mask", options.mask.size(), rows);
  if (options.weight.is_given()) require_length("weight", options.weight.size(), rows);
  require_positive("normaliser", options.normaliser);
  options.per_token.check("per_token", rows);
  if (!(options.mixture >= 0 && options.mixture <= 1))
    fail("mixture", "a number in [0, 1]", std::to_string(options.mixture));
  if (!(options.smallest_tail > 0 && options.smallest_tail < 1))
    fail("smallest_tail", "a number in (0, 1)", std::to_string(options.smallest_tail));
}

/// Rows of the batch that `x` holds.
template <class X>
index rows_of(const X& x) {
  index rows = 0;
  if constexpr (is_linear_scores<X>)
    visit_scores("hidden", x.hidden, [&](auto view) { rows = view.rows(); });
  else if constexpr (host_scores<X>)
    visit_scores("student", x, [&](auto view) { rows = view.rows(); });
  else
    rows = backend<X>::shape(x).rows;
  return rows;
}

template <class X, class G, class E>
top_k_sum run_top_k(const X& student, const top_k& ids, const top_k_options& options, G* gradient, E& executor) {
  const index rows = rows_of(student);
  check(ids, options, rows);
  const auto factor = [&](index i) {
    if (options.mask.is_given() && options.mask[i] == 0) return 0.0;
    return (options.weight.is_given() ? options.weight[i] : 1) / options.normaliser;
  };
  // A term an id: the rows' scores at the ids come, and their derivatives go, the way of every target.
  std::vector<index> row_of(static_cast<std::size_t>(ids.ids.size()));
  std::vector<std::uint8_t> mask(row_of.size());
  for (index i = 0; i < rows; ++i)
    for (index k = ids.offsets[i]; k < ids.offsets[i + 1]; ++k) {
      row_of[static_cast<std::size_t>(k)] = i;
      mask[static_cast<std::size_t>(k)] = factor(i) != 0;
    }
  evaluation_options passes{
      .mask = mask, .rows = row_of, .transform = options.transform, .instructions = options.instructions};
  if (options.tail == top_k_tail::renormalised) passes.kept = {.offsets = ids.offsets, .ids = ids.ids};
  std::vector<double> values(static_cast<std::size_t>(rows), 0);
  buffer_lease lease;
  evaluation_buffers& buffers = *lease;
  with_source(student, gradient, head_part(passes, false), [&](auto& source, index, index vocab) {
    for (index k = 0; k < ids.ids.size(); ++k) require_position("ids", k, ids.ids[k], vocab);
    const term_plan plan(rows, vocab, ids.ids, passes, buffers);
    const auto visit = [&](index i) {
      const scratch_lease<top_k_row> lease_of_row;
      top_k_row& work = *lease_of_row;
      work.log_p.clear();
      work.log_q.clear();
      const row_statistics& row = buffers.statistics[static_cast<std::size_t>(i)];
      plan.for_each_term(i, [&](index k) {
        const double score = buffers.scores[static_cast<std::size_t>(k)];
        work.log_p.push_back(score == -infinity ? -infinity : (score - row.log_z) - row.log_z_tail);
        work.log_q.push_back(ids.teacher_log_prob[k]);
      });
      values[static_cast<std::size_t>(i)] = work.evaluate(options);
      std::size_t next = 0;
      plan.for_each_term(i, [&](index k) {
        const double g = factor(i) * work.derivative[next++];
        buffers.score_adjoints[static_cast<std::size_t>(k)] = g;
        buffers.adjoints[static_cast<std::size_t>(i)].log_z -= g;
      });
    };
    if (gradient)
      source.fused(executor, plan, buffers, visit);
    else
      source.forward(executor, plan, buffers, visit);
  });
  top_k_sum result;
  for (index i = 0; i < rows; ++i) {
    const double f = factor(i);
    if (f == 0 || ids.offsets[i] == ids.offsets[i + 1]) continue;
    result.value += f * values[static_cast<std::size_t>(i)];
    ++result.evaluated;
  }
  options.per_token.write(values);
  return result;
}

}  // namespace detail

/// Divergence of student and teacher over k ids of each row: distillation where the teacher sends only its best ids.
///   value = (1 / normaliser) sum_i weight_i D(P_i, Q_i),   P_i, Q_i: the k outcomes of row i, and the tail's as `tail`
///   says
/// student: [N, V] (any `scores`); D as in `divergence_kind`, in nats; the gradient is exact, through the student's
/// whole softmax. A teacher's log-probability of -inf is a probability of 0, which adds nothing; where the student has
/// some, reverse_kl is +inf and its gradient 0. Of nothing but -inf, on either side, `renormalised` makes no
/// distribution: value NaN, gradient 0. A row without ids is not evaluated. Throws std::invalid_argument on a
/// length that does not fit, an id out of range, or a bad option. Cost: as `evaluate`: each row read once and its
/// gradient written once; a few operations an id. Teacher's ids, forward: verl. Student's ids, tail: TRL's
/// self-distillation (SDPO).
template <scores X, executor E = const sequential>
top_k_evaluation<gradient_type<X>> top_k_divergence(const X& student, const top_k& ids,
                                                    const top_k_options& options = {}, E&& executor = sequential{}) {
  top_k_evaluation<gradient_type<X>> result{.gradient = backend<X>::like(student)};
  top_k_options with_column = options;
  with_column.per_token = &result.per_token;
  const top_k_sum sum = detail::run_top_k(student, ids, with_column, __builtin_addressof(result.gradient), executor);
  options.per_token.write(result.per_token);
  result.value = sum.value;
  result.evaluated = sum.evaluated;
  return result;
}

/// As `top_k_divergence`, into a gradient that exists already; it may be the student's scores themselves.
template <scores X, gradient_target<X> G, executor E = const sequential>
top_k_sum top_k_divergence_into(const X& student, const top_k& ids, const top_k_options& options, G& gradient,
                                E&& executor = sequential{}) {
  return detail::run_top_k(student, ids, options, __builtin_addressof(gradient), executor);
}

/// As `top_k_divergence`, the value alone.
template <scores X, executor E = const sequential>
top_k_sum top_k_divergence_value(const X& student, const top_k& ids, const top_k_options& options = {},
                                 E&& executor = sequential{}) {
  return detail::run_top_k(student, ids, options, static_cast<gradient_type<X>*>(nullptr), executor);
}

/// Last resorts for types that are no scores: say the remedy.
template <class X, class... Rest>
  requires(!scores<X>)
void top_k_divergence(const X&, const top_k&, const top_k_options& = {}, Rest&&...) {
  evaluation_refusals::refuse_scores<X>();
}
template <class X, class... Rest>
  requires(!scores<X>)
void top_k_divergence_value(const X&, const top_k&, const top_k_options& = {}, Rest&&...) {
  evaluation_refusals::refuse_scores<X>();
}

}  // namespace emend
