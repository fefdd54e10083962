#pragma once

#include <emend/core/layout.hpp>
#include <emend/core/token.hpp>
#include <emend/core/executor.hpp>
#include <emend/evaluation/metrics.hpp>
#include <emend/evaluation/refusals.hpp>
#include <emend/evaluation/with_source.hpp>

#include <array>

namespace emend {

namespace detail {

template <class L>
bool wants_log_sum_squares(const L&, const evaluation_options& options) {
  if constexpr (requires { L::uses_log_sum_squares; }) return L::uses_log_sum_squares || options.with_log_sum_squares;
  return options.with_log_sum_squares;
}

template <class L>
void check_loss(const L& loss, index terms) {
  if constexpr (requires { loss.check(terms); }) loss.check(terms);
}

template <class R>
struct token_maker;
template <>
struct token_maker<double> {
  static token<double> make(index i, double score, const row_statistics& row, double next_log_z) {
    return {log_prob_of(score, row), row.log_z, score, row.entropy, row.log_sum_squares, next_log_z, i};
  }
};
template <int N>
struct token_maker<dual<double, N>> {
  static token<dual<double, N>> make(index i, double score, const row_statistics& row, double next_log_z) {
    using R = dual<double, N>;
    token<R> t{R(log_prob_of(score, row)),
               R::variable(row.log_z, of_log_z),
               R::variable(score, of_score),
               R::variable(row.entropy, of_entropy),
               R::variable(row.log_sum_squares, of_log_sum_squares),
               R::variable(next_log_z, of_next_log_z),
               i};
    t.log_prob.derivative[of_score] = 1;
    t.log_prob.derivative[of_log_z] = -1;
    return t;
  }
};

/// The arithmetic between the passes: tokens in, values and adjoints out.
template <class Loss>
class loss_pass {
 public:
  loss_pass(const Loss& loss, const term_plan& plan, evaluation_buffers& buffers)
      : loss_(loss), plan_(plan), buffers_(buffers) {
    if constexpr (metric_count<Loss> > 0)
      buffers.metrics.assign(static_cast<std::size_t>(plan.terms()) * metric_count<Loss>, 0);
  }

  /// Terms of one row, in ascending order; for calls without links.
  void visit_row(index row) const {
    plan_.for_each_term(row, [&](index i) { visit_term(i); });
  }
  void visit_row_value(index row) const {
    plan_.for_each_term(row, [&](index i) { visit_value(i); });
  }

  void visit_term(index i) const {
    const token_dual loss = loss_(make<token_dual>(i));
    set_value(i, loss.value);
    add_adjoints(i, loss.derivative, plan_.factor(i));
  }
  void visit_value(index i) const { set_value(i, loss_(make<double>(i))); }

  template <class R>
  token<R> make(index i) const {
    const index next = plan_.link(i);
    const double next_log_z = next < 0 ? 0 : buffers_.statistics[static_cast<std::size_t>(next)].log_z;
    token<R> t = token_maker<R>::make(i, buffers_.scores[static_cast<std::size_t>(i)],
                                      buffers_.statistics[static_cast<std::size_t>(plan_.row_of(i))], next_log_z);
    if constexpr (!std::is_same_v<R, double>)
      if (next < 0) t.next_log_z.derivative[of_next_log_z] = 0;
    return t;
  }

  void set_value(index i, double value) const {
    buffers_.values[static_cast<std::size_t>(i)] = value;
    if constexpr (metric_count<Loss> > 0) {
      const auto metrics = loss_.metrics(make<double>(i));
      for (std::size_t k = 0; k < metric_count<Loss>; ++k)
        buffers_.metrics[static_cast<std::size_t>(i) * metric_count<Loss> + k] = metrics[k];
    }
  }

  void add_adjoints(index i, const double* derivative, double factor) const {
    row_adjoint& row = buffers_.adjoints[static_cast<std::size_t>(plan_.row_of(i))];
    // A constant loss has nothing to pass back, whatever its factor.
    const auto scaled = [&](int of) { return derivative[of] == 0 ? 0 : factor * derivative[of]; };
    row.log_z += scaled(of_log_z);
    row.entropy += scaled(of_entropy);
    row.log_sum_squares += scaled(of_log_sum_squares);
    buffers_.score_adjoints[static_cast<std::size_t>(i)] += scaled(of_score);
    if (plan_.link(i) >= 0) buffers_.adjoints[static_cast<std::size_t>(plan_.link(i))].log_z += scaled(of_next_log_z);
  }

 private:
  const Loss& loss_;
  const term_plan& plan_;
  evaluation_buffers& buffers_;
};

}  // namespace detail

/// What `evaluate_into` returns: the value, how many terms were evaluated, and the means of the loss's metrics over
/// them.
template <class Loss>
struct evaluation_value {
  double value = 0;
  index evaluated = 0;
  std::array<double, detail::metric_count<Loss>> metrics{};
  operator double() const { return value; }
};

/// What `evaluate` returns.
template <class Loss, class G>
struct evaluation {
  double value = 0;
  G gradient;
  index evaluated = 0;
  std::array<double, detail::metric_count<Loss>> metrics{};
};

namespace detail {

template <class Loss>
evaluation_value<Loss> sum_up(const term_plan& plan, const evaluation_buffers& buffers,
                              const evaluation_options& options) {
  evaluation_value<Loss> result;
  result.evaluated = plan.evaluated();
  // One order for any number of threads.
  for (index i = 0; i < plan.terms(); ++i) {
    if (!plan.is_evaluated(i)) continue;
    result.value += plan.factor(i) * buffers.values[static_cast<std::size_t>(i)];
    for (std::size_t k = 0; k < metric_count<Loss>; ++k)
      result.metrics[k] += buffers.metrics[static_cast<std::size_t>(i) * metric_count<Loss> + k];
  }
  for (double& metric : result.metrics) metric /= static_cast<double>(plan.evaluated() > 0 ? plan.evaluated() : 1);
  options.per_token.write(buffers.values);
  return result;
}

template <class Loss, class X, class G, class E>
evaluation_value<Loss> run(const Loss& loss, const X& x, id_column targets, const evaluation_options& options,
                           G* gradient, E& executor) {
  buffer_lease lease;
  evaluation_buffers& buffers = *lease;
  evaluation_value<Loss> result;
  with_source(x, gradient, head_part(options, wants_log_sum_squares(loss, options)),
              [&](auto& source, index rows, index vocab) {
                const term_plan plan(rows, vocab, targets, options, buffers);
                check_loss(loss, plan.terms());
                const loss_pass<Loss> pass(loss, plan, buffers);
                const bool is_linked = options.links.is_given();
                if (gradient && !is_linked) {
                  source.fused(executor, plan, buffers, [&](index row) { pass.visit_row(row); });
                } else if (!is_linked) {
                  source.forward(executor, plan, buffers, [&](index row) { pass.visit_row_value(row); });
                } else {
                  source.forward(executor, plan, buffers, [](index) {});
                  for (index i = 0; i < plan.terms(); ++i) {
                    if (!plan.is_evaluated(i)) continue;
                    if (gradient)
                      pass.visit_term(i);
                    else
                      pass.visit_value(i);
                  }
                  if (gradient) source.backward(executor, plan, buffers);
                }
                result = sum_up<Loss>(plan, buffers, options);
              });
  return result;
}

}  // namespace detail

/// Value and exact gradient of a loss over the scores, in one call.
///   value = (1 / normaliser) sum_i weight_i loss(token_i),   gradient = d value / d scores
/// x: [N, V] or [B, T, V] (any `scores`); targets: [M], M = N unless options.rows is given; ids in [0, V).
/// The gradient has the scores' own type; rows that no evaluated term reads are zero and are not read.
/// Scores of -inf have probability 0 and gradient 0. A row with NaN or +inf has NaN statistics: it shows in the value.
/// Throws std::invalid_argument on a wrong length, an id or row out of range, or a bad option, before anything is
/// written. Cost: without links each row is read once and its gradient written once; with links scores are read twice.
/// The same bits for any executor.
template <class Loss, scores X, executor E = const sequential>
  requires token_loss<Loss>
evaluation<Loss, gradient_type<X>> evaluate(const Loss& loss, const X& x, id_column targets,
                                            const evaluation_options& options = {}, E&& executor = sequential{}) {
  evaluation<Loss, gradient_type<X>> result{.gradient = backend<X>::like(x)};
  const evaluation_value<Loss> value =
      detail::run(loss, x, targets, options, __builtin_addressof(result.gradient), executor);
  result.value = value.value;
  result.evaluated = value.evaluated;
  result.metrics = value.metrics;
  return result;
}

/// As `evaluate`, into a gradient that exists already: no allocation after the first call of a size. `gradient` is what
/// `like` returns, or any block in memory of the same shape and storage type (a Map, a score_view). It may be the
/// scores themselves (in place), but must not overlap them otherwise.
template <class Loss, scores X, gradient_target<X> G, executor E = const sequential>
  requires token_loss<Loss>
evaluation_value<Loss> evaluate_into(const Loss& loss, const X& x, id_column targets, const evaluation_options& options,
                                     G& gradient, E&& executor = sequential{}) {
  return detail::run(loss, x, targets, options, __builtin_addressof(gradient), executor);
}

/// As `evaluate`, the value alone: no gradient is computed.
template <class Loss, scores X, executor E = const sequential>
  requires token_loss<Loss>
evaluation_value<Loss> evaluate_value(const Loss& loss, const X& x, id_column targets,
                                      const evaluation_options& options = {}, E&& executor = sequential{}) {
  return detail::run(loss, x, targets, options, static_cast<gradient_type<X>*>(nullptr), executor);
}

/// Last resorts of `evaluate`: say the remedy.
template <class Loss, class X, class... Rest>
  requires(!scores<X>)
void evaluate(const Loss&, const X&, id_column, const evaluation_options& = {}, Rest&&...) {
  evaluation_refusals::refuse_scores<X>();
}
template <class Loss, scores X, class... Rest>
  requires(!token_loss<Loss>)
void evaluate(const Loss&, const X&, id_column, const evaluation_options& = {}, Rest&&...) {
  evaluation_refusals::refuse_token_loss<token_loss<Loss>>();
}

/// Last resorts of `evaluate_value`: say the remedy.
template <class Loss, class X, class... Rest>
  requires(!scores<X>)
void evaluate_value(const Loss&, const X&, id_column, const evaluation_options& = {}, Rest&&...) {
  evaluation_refusals::refuse_scores<X>();
}
template <class Loss, scores X, class... Rest>
  requires(!token_loss<Loss>)
void evaluate_value(const Loss&, const X&, id_column, const evaluation_options& = {}, Rest&&...) {
  evaluation_refusals::refuse_token_loss<token_loss<Loss>>();
}

/// Last resorts of `evaluate_into`: say the remedy.
template <class Loss, class X, class G, class... Rest>
  requires(!scores<X>)
void evaluate_into(const Loss&, const X&, id_column, const evaluation_options&, G&, Rest&&...) {
  evaluation_refusals::refuse_scores<X>();
}
template <class Loss, scores X, class G, class... Rest>
  requires(!token_loss<Loss>)
void evaluate_into(const Loss&, const X&, id_column, const evaluation_options&, G&, Rest&&...) {
  evaluation_refusals::refuse_token_loss<token_loss<Loss>>();
}

}  // namespace emend
