#pragma once

#include <emend/core/sequence_values.hpp>
#include <emend/core/executor.hpp>
#include <emend/evaluation/evaluate.hpp>

namespace emend {

/// The dual number over a token's five statistics and its sequence's summary.
using sequence_dual = dual<double, detail::statistic_count + 1>;

/// A loss whose per-token factor depends on the whole sequence, through one number that is a sum over its tokens.
///
/// Valid expressions, with `l` a const L, `t` a token<R>, R double or sequence_dual:
///   l.summand(t) -> R                       what each token adds to the summary of its sequence
///   l(t, R summary, index length) -> R      the loss of the token; length: counted tokens of the sequence
/// A model, the sequence-level ratio of GSPO (Zheng et al. 2025):
///   struct gspo {
///     emend::column old_log_prob, advantage;
///     auto summand(const auto& t) const { return t.log_prob - t(old_log_prob); }
///     auto operator()(const auto& t, auto summary, emend::index length) const {
///       auto ratio = emend::exp(summary / double(length));
///       return -emend::min(ratio * t(advantage), emend::clamp(ratio, 0.8, 1.2) * t(advantage));
///     }
///   };
/// Optional: l.check(index n) as in `token_loss`; l.metrics(token<double>, double summary, index length) -> std::array,
/// averaged over the evaluated tokens. A loss that is a template over the length too, and takes it by `as_number`, can
/// be called on all tokens at once where a backend has a carrier for them. What the compiler cannot check: that both
/// are pure functions of their arguments.
template <class L>
concept sequence_loss =
    requires(const L& l, const token<double>& value, const token<sequence_dual>& derivative, index length) {
      { l.summand(value) } -> std::convertible_to<double>;
      { l.summand(derivative) } -> std::convertible_to<sequence_dual>;
      { l(value, double{}, length) } -> std::convertible_to<double>;
      { l(derivative, sequence_dual{}, length) } -> std::convertible_to<sequence_dual>;
    };

namespace detail {

/// Which tokens count: those of the layout and the mask, without ignored targets.
template <class L>
std::vector<std::uint8_t> counted_tokens(const L& layout, const column& mask, const id_column& targets,
                                         const std::optional<index>& ignore_id) {
  std::vector<std::uint8_t> counted(static_cast<std::size_t>(layout.tokens()), 0);
  for (index b = 0; b < layout.sequences(); ++b)
    layout.for_each_token(b, [&](index t) { counted[static_cast<std::size_t>(t)] = !mask.is_given() || mask[t] != 0; });
  // An ignored target is no token of its sequence.
  if (ignore_id)
    for (index t = 0; t < targets.size(); ++t)
      if (targets[t] == *ignore_id) counted[static_cast<std::size_t>(t)] = 0;
  return counted;
}

/// The loss of one sequence after the other: values, metrics and adjoints of its tokens.
template <class Loss>
struct sequence_pass {
  const Loss& loss;
  const loss_pass<Loss>& pass;
  const column& weight;
  double normaliser;
  evaluation_buffers& buffers;
  evaluation_value<Loss>& result;

  /// members: the sequence's tokens that count.
  void visit(const std::vector<index>& members) const {
    const auto length = static_cast<index>(members.size());
    double summary = 0, summary_slope = 0;
    for (index t : members) summary += loss.summand(pass.template make<double>(t));
    for (index t : members) {
      const double factor = (weight.is_given() ? weight[t] : 1) / normaliser;
      if (factor == 0) continue;
      const sequence_dual value =
          loss(pass.template make<sequence_dual>(t), sequence_dual::variable(summary, statistic_count), length);
      buffers.values[static_cast<std::size_t>(t)] = value.value;
      result.value += factor * value.value;
      ++result.evaluated;
      if constexpr (has_sequence_metrics<Loss>) {
        const auto metrics = loss.metrics(pass.template make<double>(t), summary, length);
        for (std::size_t k = 0; k < metrics.size(); ++k) result.metrics[k] += metrics[k];
      }
      pass.add_adjoints(t, value.derivative, factor);
      const double slope = value.derivative[statistic_count];
      if (slope != 0) summary_slope += factor * slope;
    }
    if (summary_slope == 0) return;
    for (index t : members) {
      const sequence_dual part = loss.summand(pass.template make<sequence_dual>(t));
      pass.add_adjoints(t, part.derivative, summary_slope);
    }
  }
};

/// gradient: null where the value alone is wanted.
template <class Loss, class X, class L, class G, class E>
evaluation_value<Loss> run_sequences(const Loss& loss, const X& x, id_column targets, const L& layout,
                                     const evaluation_options& options, G* gradient, E& executor) {
  require_length("targets", targets.size(), layout.tokens());
  const auto of_tokens = [&](const column& given) {
    const bool is_of_sequences = given.size() == layout.sequences() && given.size() != layout.tokens();
    return given.is_given() && is_of_sequences ? per_sequence(given, layout) : given;
  };
  const column mask = of_tokens(options.mask), weight = of_tokens(options.weight);
  if (mask.is_given()) require_length("mask", mask.size(), targets.size());
  if (options.rows.is_given()) fail("rows", "no rows in evaluate_sequences", "some");
  if (weight.is_given()) require_length("weight", weight.size(), targets.size());
  require_positive("normaliser", options.normaliser);

  const std::vector<std::uint8_t> counted = counted_tokens(layout, mask, targets, options.ignore_id);
  evaluation_options inner = options;
  inner.mask = counted;
  // Every token has a say in its sequence's summary, so weight 0 must not hide it: weights are applied here.
  inner.weight = {};
  inner.normaliser = 1;

  evaluation_value<Loss> result;
  buffer_lease lease;
  evaluation_buffers& buffers = *lease;
  with_source(x, gradient, head_part(inner, wants_log_sum_squares(loss, options)),
              [&](auto& source, index rows, index vocab) {
                const term_plan plan(rows, vocab, targets, inner, buffers);
                check_loss(loss, plan.terms());
                const loss_pass<Loss> pass(loss, plan, buffers);
                source.forward(executor, plan, buffers, [](index) {});
                const sequence_pass<Loss> sequences{loss, pass, weight, options.normaliser, buffers, result};
                std::vector<index> members;
                for (index b = 0; b < layout.sequences(); ++b) {
                  members.clear();
                  layout.for_each_token(b, [&](index t) {
                    if (plan.is_evaluated(t)) members.push_back(t);
                  });
                  sequences.visit(members);
                }
                for (double& metric : result.metrics)
                  metric /= static_cast<double>(result.evaluated > 0 ? result.evaluated : 1);
                if (gradient) source.backward(executor, plan, buffers);
                options.per_token.write(buffers.values);
              });
  return result;
}

}  // namespace detail

/// As `evaluate_sequences`, into a gradient that exists already; the rules of `evaluate_into` hold for it.
template <sequence_loss Loss, scores X, layout_argument L, gradient_target<X> G, executor E = const sequential>
evaluation_value<Loss> evaluate_sequences_into(const Loss& loss, const X& x, id_column targets, const L& layout,
                                               const evaluation_options& options, G& gradient,
                                               E&& executor = sequential{}) {
  return detail::run_sequences(loss, x, targets, layout, options, __builtin_addressof(gradient), executor);
}

/// As `evaluate_sequences`, the value alone: scores are read once, no gradient is computed.
template <sequence_loss Loss, scores X, layout_argument L, executor E = const sequential>
evaluation_value<Loss> evaluate_sequences_value(const Loss& loss, const X& x, id_column targets, const L& layout,
                                                const evaluation_options& options = {}, E&& executor = sequential{}) {
  return detail::run_sequences(loss, x, targets, layout, options, static_cast<gradient_type<X>*>(nullptr), executor);
}

/// Value and exact gradient of a sequence-level loss, in two phases.
///   S_b = sum_{t in b} summand(token_t),   value = (1 / normaliser) sum_b sum_{t in b} weight_t loss(token_t, S_b,
///   T_b)
/// x: [N, V] or [B, T, V]; targets: [N]; layout: over the N tokens; other arguments as `evaluate`, options.rows unused.
/// Tokens outside the layout or the mask, and ignored targets, are not evaluated, and do not enter S_b or T_b. A mask
/// or weight may have one entry for each sequence in place of one for each token. Throws std::invalid_argument as
/// `evaluate` does, and if layout.tokens() is not N. Cost: reads scores twice, writes the gradient once.
template <sequence_loss Loss, scores X, layout_argument L, executor E = const sequential>
evaluation<Loss, gradient_type<X>> evaluate_sequences(const Loss& loss, const X& x, id_column targets, const L& layout,
                                                      const evaluation_options& options = {},
                                                      E&& executor = sequential{}) {
  evaluation<Loss, gradient_type<X>> result{.gradient = backend<X>::like(x)};
  const evaluation_value<Loss> value =
      evaluate_sequences_into(loss, x, targets, layout, options, result.gradient, executor);
  result.value = value.value;
  result.evaluated = value.evaluated;
  result.metrics = value.metrics;
  return result;
}

/// Last resorts of `evaluate_sequences`: say the remedy.
template <class Loss, class X, class L, class... Rest>
  requires(!scores<X>)
void evaluate_sequences(const Loss&, const X&, id_column, const L&, const evaluation_options& = {}, Rest&&...) {
  evaluation_refusals::refuse_scores<X>();
}
template <class Loss, scores X, class L, class... Rest>
  requires(!sequence_loss<Loss>)
void evaluate_sequences(const Loss&, const X&, id_column, const L&, const evaluation_options& = {}, Rest&&...) {
  evaluation_refusals::refuse_sequence_loss<sequence_loss<Loss>>();
}

/// Last resorts of `evaluate_sequences_value`: say the remedy.
template <class Loss, class X, class L, class... Rest>
  requires(!scores<X>)
void evaluate_sequences_value(const Loss&, const X&, id_column, const L&, const evaluation_options& = {}, Rest&&...) {
  evaluation_refusals::refuse_scores<X>();
}
template <class Loss, scores X, class L, class... Rest>
  requires(!sequence_loss<Loss>)
void evaluate_sequences_value(const Loss&, const X&, id_column, const L&, const evaluation_options& = {}, Rest&&...) {
  evaluation_refusals::refuse_sequence_loss<sequence_loss<Loss>>();
}

/// Last resorts of `evaluate_sequences_into`: say the remedy.
template <class Loss, class X, class L, class G, class... Rest>
  requires(!scores<X>)
void evaluate_sequences_into(const Loss&, const X&, id_column, const L&, const evaluation_options&, G&, Rest&&...) {
  evaluation_refusals::refuse_scores<X>();
}
template <class Loss, scores X, class L, class G, class... Rest>
  requires(!sequence_loss<Loss>)
void evaluate_sequences_into(const Loss&, const X&, id_column, const L&, const evaluation_options&, G&, Rest&&...) {
  evaluation_refusals::refuse_sequence_loss<sequence_loss<Loss>>();
}

}  // namespace emend
