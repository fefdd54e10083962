#pragma once

#include <emend/libtorch/loss/terms.hpp>

#include <ATen/ops/ones_like.h>

namespace emend::detail {

/// The tokens of a call that stand in rows of equal length, each a sequence, and a loss of whole sequences: see
/// `sequence_loss`.
template <class Loss>
class device_sequences : public device_terms {
 public:
  static constexpr bool has_metrics = metrics_of_all_sequences<Loss>;

  /// terms: its mask says which tokens belong to a sequence; length: of a row; with_metrics: where the loss's
  /// metrics_of_all_sequences.
  device_sequences(const Loss& loss, device_terms terms, index length, bool with_metrics)
      : device_terms(std::move(terms)), loss_(loss), row_length_(length), with_metrics_(with_metrics) {}

  /// Whether the loss can be called on all tokens at once: see device_tokens.
  static bool can_be_called(const Loss& loss, const at::Device& device, bool with_metrics) {
    try {
      const token<tensor_sequence_dual> t = token_of_none<statistic_count + 1>(device);
      const tensor_sequence_dual summary = tensor_sequence_dual::variable(t.log_z.value, statistic_count);
      (void)loss.summand(t);
      const tensor_count length{t.log_z.value};
      (void)loss(t, summary, length);
      if constexpr (metrics_of_all_sequences<Loss>)
        if (with_metrics) (void)loss.metrics(t, summary, length);
      return true;
    } catch (const needs_host&) {
      return false;
    }
  }

  /// Calls the loss on all tokens, whose statistics these are.
  ///   d value / d token_t = f_t dloss_t/dtoken_t + (sum_{u in its sequence} f_u dloss_u/dS) dsummand_t/dtoken_t,   f =
  ///   weight / normaliser
  void visit(index first, const device_statistics& row, bool is_differentiated) {
    const index count = row.log_z.size(0);
    const token<tensor_sequence_dual> t = tokens_of<statistic_count + 1>(first, row, is_differentiated);
    const tensor_sequence_dual part = loss_.summand(t);
    const at::Tensor is_member = is_counted_.defined() ? is_counted_.to(at::kDouble) : at::ones_like(row.log_z);
    const tensor_count length{tensor_number(of_sequences(is_member))};
    const tensor_number sum(of_sequences(only(is_counted_, with_wrong_ones(part.value, first, count), first)));
    const tensor_sequence_dual summary =
        is_differentiated ? tensor_sequence_dual::variable(sum, statistic_count) : tensor_sequence_dual(sum);
    const tensor_sequence_dual loss = loss_(t, summary, length);
    add_losses(loss.value, first, count);
    if constexpr (metrics_of_all_sequences<Loss>)
      if (with_metrics_) add_metrics<statistic_count + 1>(loss_.metrics(t, summary, length), first, count);
    if (!is_differentiated) return;
    const tensor_number own(factor_of_evaluated(first, count));
    const tensor_number& through_summary = loss.derivative[statistic_count];
    tensor_number outer = 0;
    if (!through_summary.is(0))
      outer = tensor_number(
          of_sequences(only(is_evaluated_, chain_product(own, through_summary).expanded(count, device_), first)));
    for (int k = 0; k < statistic_count; ++k)
      adjoint_[k] = chain_product(own, loss.derivative[k]) + chain_product(outer, part.derivative[k]);
  }

 private:
  /// At each token the sum over its sequence, which starts anew every row_length_ tokens.
  at::Tensor of_sequences(const at::Tensor& values) const {
    const at::Tensor rows = values.view({-1, row_length_});
    return rows.sum(1, true).expand_as(rows).reshape({-1});
  }

  const Loss& loss_;
  index row_length_;
  bool with_metrics_;
};

}  // namespace emend::detail
