#pragma once

#include <emend/core/executor.hpp>
#include <emend/evaluation/evaluate.hpp>
#include <emend/sequence_match/trajectory_pass.hpp>

namespace emend {

/// What `evaluate_trajectories` returns.
template <class G>
struct trajectory_evaluation : trajectory_value {
  G gradient;
};

namespace detail {

template <class O, class X, class G, class E>
trajectory_value run_trajectories(const O& objective, const X& x, const trajectory_columns& columns,
                                  const trajectory_options& options, G* gradient, E& executor) {
  const buffer_lease lease;
  const scratch_lease<trajectory_buffers> own;
  trajectory_value result;
  const kept_ids every_id;
  const head_options head{options.transform, every_id, options.instructions};
  with_source(x, gradient, head, [&](auto& source, index rows, index vocab) {
    const trajectory_pass<O> pass(objective, columns, options, rows, vocab, *own);
    const evaluation_options terms = pass.terms(options);
    const term_plan plan(rows, vocab, pass.targets(), terms, *lease);
    const auto note = [&](index row, const auto& reader) { pass.note(row, *lease, reader); };
    const auto visit = [&](index row) { pass.visit(row, plan, *lease); };
    const auto finish = [&] { result = pass.finish(*lease, gradient != nullptr); };
    if (!gradient) {
      source.forward(executor, plan, *lease, note);
      finish();
    } else if (pass.is_separable()) {
      source.fused_late(executor, plan, *lease, note, visit, finish);
    } else {
      forward_and_backward(source, executor, plan, *lease, note, visit, finish);
    }
  });
  return result;
}

}  // namespace detail

/// Value and exact gradient of an objective over trajectories, as a loss: value = -objective, gradient = d value / d
/// scores. x: [N, V] (any `scores`); columns: over its N rows. The gradient has the scores' own type; rows that nothing
/// reads are zero and not read. Steps without a label leave the data's loss together with their value term. Throws
/// std::invalid_argument on a wrong length, an id or row out of range, or a bad option, before anything is written. A
/// label of score -inf makes the loss what phi says of -inf, and gets gradient 0; NaN in a row shows in the value.
/// Cost: scores in memory are read once and the gradient written once, whatever links the rows; linear_scores, scores
/// on a device, and objectives that start from V(s) are read twice. The same bits for any executor.
template <trajectory_objective O, scores X, executor E = const sequential>
trajectory_evaluation<gradient_type<X>> evaluate_trajectories(const O& objective, const X& x,
                                                              const trajectory_columns& columns,
                                                              const trajectory_options& options = {},
                                                              E&& executor = sequential{}) {
  trajectory_evaluation<gradient_type<X>> result{{}, backend<X>::like(x)};
  static_cast<trajectory_value&>(result) =
      detail::run_trajectories(objective, x, columns, options, __builtin_addressof(result.gradient), executor);
  return result;
}

/// As `evaluate_trajectories`, into a gradient that exists already; the rules of `evaluate_into` hold for it.
template <trajectory_objective O, scores X, gradient_target<X> G, executor E = const sequential>
trajectory_value evaluate_trajectories_into(const O& objective, const X& x, const trajectory_columns& columns,
                                            const trajectory_options& options, G& gradient,
                                            E&& executor = sequential{}) {
  return detail::run_trajectories(objective, x, columns, options, __builtin_addressof(gradient), executor);
}

/// As `evaluate_trajectories`, the value alone: no gradient is computed.
template <trajectory_objective O, scores X, executor E = const sequential>
trajectory_value evaluate_trajectories_value(const O& objective, const X& x, const trajectory_columns& columns,
                                             const trajectory_options& options = {}, E&& executor = sequential{}) {
  return detail::run_trajectories(objective, x, columns, options, static_cast<gradient_type<X>*>(nullptr), executor);
}

/// Last resorts of the entries above: say the remedy.
template <class O, class X, class... Rest>
  requires(!scores<X>)
void evaluate_trajectories(const O&, const X&, const trajectory_columns&, const trajectory_options& = {}, Rest&&...) {
  evaluation_refusals::refuse_scores<X>();
}
template <class O, class X, class... Rest>
  requires(!scores<X>)
void evaluate_trajectories_value(const O&, const X&, const trajectory_columns&, const trajectory_options& = {},
                                 Rest&&...) {
  evaluation_refusals::refuse_scores<X>();
}
template <class O, class X, class G, class... Rest>
  requires(!scores<X>)
void evaluate_trajectories_into(const O&, const X&, const trajectory_columns&, const trajectory_options&, G&,
                                Rest&&...) {
  evaluation_refusals::refuse_scores<X>();
}

}  // namespace emend
