#pragma once

#include <emend/libtorch/head/row_statistics.hpp>

#include <ATen/ops/stack.h>
#include <ATen/ops/zeros_like.h>

#include <array>
#include <optional>
#include <utility>
#include <vector>

namespace emend::detail {

/// The terms of a loss over scores on a device, each with its own row: which of them count, and what comes of them.
/// Nothing of it is on the host.
class device_terms {
 public:
  /// targets: [N], on any device; mask: [N] or not given, what is left out has no part in anything; weight: [N] or not
  /// given, a term of weight 0 has no loss; a target that is ignore_id is left out.
  device_terms(const at::Tensor& targets, const column& mask, const column& weight, std::optional<index> ignore_id,
               double normaliser, index vocab, const at::Device& device)
      : device_(device), targets_(targets, vocab, device), normaliser_(normaliser) {
    const tensor_terms all{0, targets.numel(), device};
    if (mask.is_given()) is_counted_ = column_on_device(mask, all) != 0;
    is_counted_ = and_not_ignored(is_counted_, targets, ignore_id, device);
    is_evaluated_ = is_counted_;
    if (!weight.is_given()) return;
    factor_ = column_on_device(weight, all);
    is_evaluated_ = is_counted_.defined() ? is_counted_.bitwise_and(factor_ != 0) : factor_ != 0;
    factor_ = factor_ / normaliser;
  }

  const at::Tensor& targets() const { return targets_.ids; }
  at::Tensor targets(index first, index count) const { return targets_.ids.narrow(0, first, count); }

  /// Derivatives of the terms from `first` on, whose statistics these are, with respect to their rows, for the chain's
  /// gradient: its slopes, and what the targets get.
  std::pair<op_chain::slopes, at::Tensor> slopes(const op_chain& chain, index first,
                                                 const device_statistics& row) const {
    const index count = row.log_z.size(0);
    const double scale = chain.slope_of(0);
    const auto adjoint = [&](int of) {
      if (adjoint_[of].is(0)) return at::zeros_like(row.log_z);
      // Without a largest score there is nothing to differentiate.
      return only(is_counted_, adjoint_[of].expanded(count, device_), first)
          .masked_fill(targets_.is_wrong.narrow(0, first, count), 0)
          .masked_fill_(row.log_z == -infinity, 0);
    };
    const bool has_linear = !adjoint_[of_entropy].is(0), has_quadratic = !adjoint_[of_log_sum_squares].is(0);
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
    const at::Tensor table = at::stack({row.top, row.log_sum, constant * scale, linear * scale, quadratic * scale})
                                 .unsqueeze(-1)
                                 .to(chain.type());
    return {{table, has_linear, has_quadratic}, adjoint(of_score) * scale};
  }

  /// rows [n, ..] with 0 in those of terms that do not count, whatever stood there.
  at::Tensor of_counted(const at::Tensor& rows, index first) const {
    return is_counted_.defined()
               ? rows.masked_fill(is_counted_.narrow(0, first, rows.size(0)).bitwise_not().unsqueeze(1), 0)
               : rows;
  }

  /// Means of the metrics over the terms that have a loss, [M] in double.
  at::Tensor metrics() const {
    const at::Tensor sums = at::stack(metrics_).sum(0);
    if (!is_evaluated_.defined()) return sums / static_cast<double>(targets_.ids.size(0));
    return sums / is_evaluated_.sum().to(at::kDouble).clamp_min_(1);
  }
  at::Tensor sum() const { return sums_.size() == 1 ? sums_[0] : at::stack(sums_).sum(); }
  at::Tensor per_token() const { return per_token_.size() == 1 ? per_token_[0] : at::cat(per_token_); }

 protected:
  /// The token of terms from `first` on; with is_differentiated over N variables, of which its statistics are the first
  /// five.
  template <int N>
  token<dual<tensor_number, N>> tokens_of(index first, const device_statistics& row, bool is_differentiated) const {
    using number = dual<tensor_number, N>;
    const auto variable = [&](const at::Tensor& values, int of) {
      return is_differentiated ? number::variable(tensor_number(values), of) : number(tensor_number(values));
    };
    token<number> t{number(tensor_number(row.log_prob())),
                    variable(row.log_z, of_log_z),
                    variable(row.score, of_score),
                    variable(row.entropy, of_entropy),
                    variable(row.log_sum_squares, of_log_sum_squares),
                    number(0.0),
                    {{first, row.log_z.size(0), device_}}};
    if (is_differentiated) {
      t.log_prob.derivative[of_score] = 1;
      t.log_prob.derivative[of_log_z] = -1;
    }
    return t;
  }
  /// weight / normaliser of terms from `first` on.
  tensor_number factor(index first, index count) const {
    return factor_.defined() ? tensor_number(factor_.narrow(0, first, count)) : tensor_number(1 / normaliser_);
  }
  /// The same where a term has a loss, 0 where it has none.
  at::Tensor factor_of_evaluated(index first, index count) const {
    return only(is_evaluated_, factor(first, count).expanded(count, device_), first);
  }

  void add_losses(const tensor_number& losses, index first, index count) {
    const at::Tensor value = with_wrong_ones(losses, first, count);
    per_token_.push_back(only(is_evaluated_, value, first));
    const at::Tensor weighted = factor_.defined() ? value * factor_.narrow(0, first, count) : value / normaliser_;
    sums_.push_back(only(is_evaluated_, weighted, first).sum());
  }
  template <int N, class R, std::size_t M>
  void add_metrics(const std::array<R, M>& of_terms, index first, index count) {
    std::vector<at::Tensor> sums;
    for (const R& metric : of_terms)
      sums.push_back(
          only(is_evaluated_, with_wrong_ones(dual<tensor_number, N>(metric).value, first, count), first).sum());
    metrics_.push_back(at::stack(sums));
  }
  /// NaN where the target's id is none.
  at::Tensor with_wrong_ones(const tensor_number& values, index first, index count) const {
    return values.expanded(count, device_).masked_fill(targets_.is_wrong.narrow(0, first, count), not_a_number);
  }
  /// values of terms from `first` on where the condition, undefined: always, holds, 0 elsewhere whatever stood there.
  static at::Tensor only(const at::Tensor& condition, const at::Tensor& values, index first) {
    return condition.defined() ? values.masked_fill(condition.narrow(0, first, values.size(0)).bitwise_not(), 0)
                               : values;
  }

  at::Device device_;
  device_targets targets_;
  at::Tensor is_counted_, is_evaluated_;    // undefined where all are
  tensor_number adjoint_[statistic_count];  // of the terms last visited

 private:
  double normaliser_;
  at::Tensor factor_;  // undefined where no weight is given
  std::vector<at::Tensor> sums_, per_token_, metrics_;
};

}  // namespace emend::detail
