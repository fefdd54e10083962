#pragma once

#include <emend/libtorch/device_statistics.hpp>

#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/stack.h>

#include <array>
#include <utility>

namespace emend::detail {

// A loss over scores on a device of which nothing comes back: the head by op_chain, the loss once for all tokens over tensor_dual.

/// The tokens of a call, each with its own row, and what is asked of them.
template <class Loss>
class device_tokens {
 public:
  /// targets: [N], on any device; mask, weight: [N] or empty; with_metrics: where the loss's metrics_of_all_tokens.
  device_tokens(const Loss& loss, const at::Tensor& targets, const column& mask, const column& weight, double normaliser, index vocab,
                const at::Device& device, bool with_metrics)
      : loss_(loss), device_(device), normaliser_(normaliser), with_metrics_(with_metrics), targets_(targets, vocab, device) {
    const tensor_terms all{0, targets.numel(), device};
    if (!mask.empty()) is_counted_ = column_on_device(mask, all) != 0;
    if (!weight.empty()) {
      factor_ = column_on_device(weight, all);
      is_counted_ = is_counted_.defined() ? is_counted_.bitwise_and(factor_ != 0) : factor_ != 0;
      factor_ = factor_ / normaliser;
    }
  }

  /// Whether the loss, and its metrics if wanted, can be called so: no branch on a number of a token, no position. Costs its operations over no token.
  static bool can_be_called(const Loss& loss, const at::Device& device, bool with_metrics) {
    const tensor_number none(at::empty({0}, at::TensorOptions().dtype(at::kDouble).device(device)));
    const auto variable = [&](int of) { return tensor_dual::variable(none, of); };
    try {
      const token<tensor_dual> t{tensor_dual(none), variable(of_log_z), variable(of_score), variable(of_entropy), variable(of_log_sum_squares),
                                 tensor_dual(none), {{0, 0, device}}};
      (void)loss(t);
      if constexpr (metrics_of_all_tokens<Loss>)
        if (with_metrics) (void)loss.metrics(t);
      return true;
    } catch (const needs_host&) {
      return false;
    }
  }

  const at::Tensor& targets() const { return targets_.ids; }
  at::Tensor targets(index first, index count) const { return targets_.ids.narrow(0, first, count); }

  /// Calls the loss on tokens first .. whose statistics these are. Its value is added up by sum(), its derivatives are kept for slopes().
  void visit(index first, const device_statistics& row, bool is_differentiated) {
    const index count = row.log_z.size(0);
    const tensor_number log_prob(row.log_prob());
    const auto variable = [&](const at::Tensor& values, int of) {
      return is_differentiated ? tensor_dual::variable(tensor_number(values), of) : tensor_dual(tensor_number(values));
    };
    token<tensor_dual> t{tensor_dual(log_prob), variable(row.log_z, of_log_z), variable(row.score, of_score), variable(row.entropy, of_entropy),
                         variable(row.log_sum_squares, of_log_sum_squares), tensor_dual(0.0), {{first, count, device_}}};
    if (is_differentiated) {
      t.log_prob.derivative[of_score] = 1;
      t.log_prob.derivative[of_log_z] = -1;
    }
    const tensor_dual loss = loss_(t);
    for (int k = 0; k < statistic_count; ++k) derivative_[k] = loss.derivative[k];
    const at::Tensor value = loss.value.expanded(count, device_).masked_fill(targets_.is_wrong.narrow(0, first, count), not_a_number);
    per_token_.push_back(counted(value, first));
    const at::Tensor weighted = factor_.defined() ? value * factor_.narrow(0, first, count) : value / normaliser_;
    sums_.push_back(counted(weighted, first).sum());
    if constexpr (metrics_of_all_tokens<Loss>)
      if (with_metrics_) add_metrics(loss_.metrics(t), first, count);
  }

  /// Derivatives of the tokens last visited, with respect to their rows, for the chain's gradient: its slopes, and what the targets get.
  std::pair<op_chain::slopes, at::Tensor> slopes(const op_chain& chain, index first, const device_statistics& row) const {
    const index count = row.log_z.size(0);
    const double scale = chain.slope_of(0);
    const auto adjoint = [&](int of) {
      if (derivative_[of].is(0)) return at::zeros_like(row.log_z);
      const tensor_number factor = factor_.defined() ? tensor_number(factor_.narrow(0, first, count)) : tensor_number(1 / normaliser_);
      const at::Tensor scaled = chain_product(factor, derivative_[of]).expanded(count, device_);
      // Without a largest score there is nothing to differentiate.
      return counted(scaled, first).masked_fill(targets_.is_wrong.narrow(0, first, count), 0).masked_fill_(row.log_z == -infinity, 0);
    };
    const bool has_linear = !derivative_[of_entropy].is(0), has_quadratic = !derivative_[of_log_sum_squares].is(0);
    at::Tensor constant = adjoint(of_log_z), linear = at::zeros_like(constant), quadratic = linear;
    if (has_linear) {
      const at::Tensor g = adjoint(of_entropy);
      constant = constant - (g * row.entropy).masked_fill_(g == 0, 0);
      linear = g.neg();
    }
    if (has_quadratic) {
      const at::Tensor g = adjoint(of_log_sum_squares);
      constant = constant - 2 * g;
      quadratic = (2 * g * row.log_sum_squares.neg().exp_()).masked_fill_(g == 0, 0);
    }
    const at::Tensor table = at::stack({row.top, row.log_sum, constant * scale, linear * scale, quadratic * scale}).unsqueeze(-1).to(chain.type());
    return {{table, has_linear, has_quadratic}, adjoint(of_score) * scale};
  }

  /// rows [n, ..] with 0 in those of tokens that do not count, whatever stood there.
  at::Tensor of_counted(const at::Tensor& rows, index first) const {
    return is_counted_.defined() ? rows.masked_fill(is_counted_.narrow(0, first, rows.size(0)).bitwise_not().unsqueeze(1), 0) : rows;
  }

  /// Means of the metrics over the tokens that count, [M] in double.
  at::Tensor metrics() const {
    const at::Tensor sums = at::stack(metrics_).sum(0);
    if (!is_counted_.defined()) return sums / static_cast<double>(targets_.ids.size(0));
    return sums / is_counted_.sum().to(at::kDouble).clamp_min_(1);
  }
  at::Tensor sum() const { return sums_.size() == 1 ? sums_[0] : at::stack(sums_).sum(); }
  at::Tensor per_token() const { return per_token_.size() == 1 ? per_token_[0] : at::cat(per_token_); }

 private:
  template <class R, std::size_t M>
  void add_metrics(const std::array<R, M>& of_tokens, index first, index count) {
    std::vector<at::Tensor> sums;
    for (const R& metric : of_tokens) {
      const at::Tensor values = tensor_dual(metric).value.expanded(count, device_).masked_fill(targets_.is_wrong.narrow(0, first, count), not_a_number);
      sums.push_back(counted(values, first).sum());
    }
    metrics_.push_back(at::stack(sums));
  }
  at::Tensor counted(const at::Tensor& values, index first) const {
    return is_counted_.defined() ? values.masked_fill(is_counted_.narrow(0, first, values.size(0)).bitwise_not(), 0) : values;
  }

  const Loss& loss_;
  at::Device device_;
  double normaliser_;
  bool with_metrics_;
  device_targets targets_;
  at::Tensor is_counted_, factor_;  // is_counted_, factor_: undefined where all count, where no weight is given
  tensor_number derivative_[statistic_count];
  std::vector<at::Tensor> sums_, per_token_, metrics_;
};

/// The loss over logits [.., V], at least one row; gradient: of their shape, written, or null. Returns the value in double.
template <class Loss>
at::Tensor loss_on_device(device_tokens<Loss>& tokens, const at::Tensor& logits, const head_request& request, at::Tensor* gradient) {
  const at::NoGradGuard no_graph;
  const at::Tensor block = in_three_dimensions(logits);
  const op_chain chain(request, block.scalar_type());
  const device_statistics rows = statistics_of_block(chain, block, tokens.targets());
  tokens.visit(0, rows, gradient != nullptr);
  if (!gradient) return tokens.sum();
  require_gradient_tensor(logits, *gradient);
  const at::Tensor out = writable(*gradient);
  const auto [slopes, amounts] = tokens.slopes(chain, 0, rows);
  for_each_score_chunk(block, [&, slopes = slopes, amounts = amounts](const at::Tensor& chunk, index first) {
    const index count = chunk.size(0);
    const at::Tensor written = chain.gradient(chunk, {slopes.table.narrow(1, first, count), slopes.has_linear, slopes.has_quadratic},
                                              tokens.targets(first, count), amounts.narrow(0, first, count));
    write_rows(out, first, tokens.of_counted(written, first));
  });
  return tokens.sum();
}

/// The same over hidden [N, D] weight [V, D] transposed, by chunks of rows that are stored while they are worked on; the gradients, if wanted,
/// sum in float or double.
template <class Loss>
at::Tensor loss_on_device(device_tokens<Loss>& tokens, const at::Tensor& hidden, const at::Tensor& weight, const head_request& request, at::Tensor* d_hidden,
                          at::Tensor* d_weight) {
  const at::NoGradGuard no_graph;
  constexpr index chunk_rows = 1024;
  const op_chain chain(request, hidden.scalar_type());
  const bool is_exact = hidden.scalar_type() == at::kDouble || hidden.scalar_type() == at::kFloat;
  at::Tensor sum;
  if (d_weight) sum = is_exact ? d_weight->zero_() : at::zeros(weight.sizes(), weight.options().dtype(at::kFloat));
  for (index first = 0; first < hidden.size(0); first += chunk_rows) {
    const index count = std::min(chunk_rows, hidden.size(0) - first);
    // What stands in a state that does not count must not reach the weight's gradient, not even times 0.
    const at::Tensor states = tokens.of_counted(hidden.narrow(0, first, count), first), z = at::mm(states, weight.t());
    const device_statistics rows(chain, z, tokens.targets(first, count));
    tokens.visit(first, rows, d_hidden != nullptr);
    if (!d_hidden) continue;
    const auto [slopes, amounts] = tokens.slopes(chain, first, rows);
    const at::Tensor d_scores = tokens.of_counted(chain.gradient(z, slopes, tokens.targets(first, count), amounts), first).to(states.scalar_type());
    d_hidden->narrow(0, first, count).copy_(tokens.of_counted(at::mm(d_scores, weight), first));
    if (is_exact) sum.addmm_(d_scores.t(), states);
    else sum.add_(at::mm(d_scores.t(), states));
  }
  if (d_weight && !is_exact) d_weight->copy_(sum);
  return tokens.sum();
}

}  // namespace emend::detail
