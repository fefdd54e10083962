#pragma once

#include <emend/libtorch/loss/terms.hpp>

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mm.h>

namespace emend::detail {

// A loss over scores on a device of which nothing comes back: the head by op_chain, the loss once for all tokens over
// tensor_dual.

/// The tokens of a call, and a loss that sees each by itself.
template <class Loss>
class device_tokens : public device_terms {
 public:
  static constexpr bool has_metrics = metrics_of_all_tokens<Loss>;

  /// with_metrics: where the loss's metrics_of_all_tokens.
  device_tokens(const Loss& loss, device_terms terms, bool with_metrics)
      : device_terms(std::move(terms)), loss_(loss), with_metrics_(with_metrics) {
    is_counted_ = is_evaluated_;  // a token of weight 0 has no part in anything, either
  }

  /// Whether the loss, and its metrics if wanted, can be called so: no branch on a number of a token, no position.
  /// Costs its operations over no token.
  static bool can_be_called(const Loss& loss, const at::Device& device, bool with_metrics) {
    try {
      const token<tensor_dual> t = token_of_none<statistic_count>(device);
      (void)loss(t);
      if constexpr (metrics_of_all_tokens<Loss>)
        if (with_metrics) (void)loss.metrics(t);
      return true;
    } catch (const needs_host&) {
      return false;
    }
  }

  /// Calls the loss on tokens first .. whose statistics these are. Its value is added up by sum(), its derivatives are
  /// kept for slopes().
  void visit(index first, const device_statistics& row, bool is_differentiated) {
    const index count = row.log_z.size(0);
    const token<tensor_dual> t = tokens_of<statistic_count>(first, row, is_differentiated);
    const tensor_dual loss = loss_(t);
    add_losses(loss.value, first, count);
    if (is_differentiated)
      for (int k = 0; k < statistic_count; ++k) adjoint_[k] = chain_product(factor(first, count), loss.derivative[k]);
    if constexpr (metrics_of_all_tokens<Loss>)
      if (with_metrics_) add_metrics<statistic_count>(loss_.metrics(t), first, count);
  }

 private:
  const Loss& loss_;
  bool with_metrics_;
};

/// The loss over logits [.., V], at least one row; gradient: of their shape, written, or null. Returns the value in
/// double.
template <class Terms>
at::Tensor loss_on_device(Terms& terms, const at::Tensor& logits, const head_request& request, at::Tensor* gradient) {
  const at::NoGradGuard no_graph;
  const at::Tensor block = in_three_dimensions(logits);
  const op_chain chain(request, block.scalar_type());
  const device_statistics rows = statistics_of_block(chain, block, terms.targets());
  terms.visit(0, rows, gradient != nullptr);
  if (!gradient) return terms.sum();
  require_gradient_tensor(logits, *gradient);
  const at::Tensor out = writable(*gradient);
  const auto [slopes, amounts] = terms.slopes(chain, 0, rows);
  for_each_score_chunk(block, [&, slopes = slopes, amounts = amounts](const at::Tensor& chunk, index first) {
    const index count = chunk.size(0);
    const at::Tensor written = chain.gradient(
        chunk, {slopes.table.narrow(1, first, count), slopes.has_linear, slopes.has_quadratic},
        op_chain::target_places(terms.targets(first, count), chunk.size(1)), amounts.narrow(0, first, count));
    write_rows(out, first, terms.of_counted(written, first));
  });
  return terms.sum();
}

/// The same over hidden [N, D] weight [V, D] transposed, by chunks of rows that are stored while they are worked on;
/// the gradients, if wanted, sum in float or double.
template <class Terms>
at::Tensor loss_on_device(Terms& terms, const at::Tensor& hidden, const at::Tensor& weight, const head_request& request,
                          at::Tensor* d_hidden, at::Tensor* d_weight) {
  const at::NoGradGuard no_graph;
  constexpr index chunk_rows = 1024;
  const op_chain chain(request, hidden.scalar_type());
  const bool is_exact = hidden.scalar_type() == at::kDouble || hidden.scalar_type() == at::kFloat;
  at::Tensor sum;
  if (d_weight) sum = is_exact ? d_weight->zero_() : at::zeros(weight.sizes(), weight.options().dtype(at::kFloat));
  for (index first = 0; first < hidden.size(0); first += chunk_rows) {
    const index count = std::min(chunk_rows, hidden.size(0) - first);
    // What stands in a state that does not count must not reach the weight's gradient, not even times 0.
    const at::Tensor states = terms.of_counted(hidden.narrow(0, first, count), first), z = at::mm(states, weight.t());
    const device_statistics rows(chain, z, terms.targets(first, count));
    terms.visit(first, rows, d_hidden != nullptr);
    if (!d_hidden) continue;
    const auto [slopes, amounts] = terms.slopes(chain, first, rows);
    const at::Tensor d_scores =
        terms
            .of_counted(
                chain.gradient(z, slopes, op_chain::target_places(terms.targets(first, count), z.size(1)), amounts),
                first)
            .to(states.scalar_type());
    d_hidden->narrow(0, first, count).copy_(terms.of_counted(at::mm(d_scores, weight), first));
    if (is_exact)
      sum.addmm_(d_scores.t(), states);
    else
      sum.add_(at::mm(d_scores.t(), states));
  }
  if (d_weight && !is_exact) d_weight->copy_(sum);
  return terms.sum();
}

}  // namespace emend::detail
