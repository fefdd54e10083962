#pragma once

#include <emend/libtorch/loss/routes.hpp>
#include <emend/libtorch/loss/trajectory_routes.hpp>
#include <emend/libtorch/tensor/layout.hpp>

namespace emend {

/// A loss as a scalar tensor that autograd differentiates: `backward()` flows on into whatever made the logits.
///   value = (1 / normaliser) sum_i weight_i loss(token_i)
/// loss: any `token_loss`, the user's lambdas included; columns in it may be `tensor_column`s, or columns of anything.
/// logits: [.., V] in float, double, bfloat16 or half, any strides; targets: [..], ids in [0, V). The result is of
/// float, or double for double, on the logits' device. The gradient is computed with the value, one read and one write
/// of the logits in this process's memory; see `device_scores` for other devices. First derivatives only: backward
/// through a gradient throws. On another device nothing comes back to the host, and where columns, mask, weight and
/// targets are there, too, it does not wait: the loss is called once, on tensors of all tokens. That needs a loss of
/// tokens without `if` on a token's number and without t.position (emend::select instead), as the library's are, and
/// their metrics; no rows, links, kept ids, temperatures of each row. Else some numbers a token go through the host. A
/// loss that does not compile for such a token is wrapped: emend::per_token(loss). A counted id outside [0, V) that the
/// host does not know of makes the value NaN and its row's gradient 0. Throws std::invalid_argument naming the
/// argument, as `evaluate` does. Memory beyond the logits: the gradient, or nothing where is_in_place; and some numbers
/// a token.
template <class Loss>
  requires token_loss<Loss>
at::Tensor loss(const Loss& l, const at::Tensor& logits, const at::Tensor& targets,
                const tensor_loss_options& options = {}) {
  return detail::loss_of_tokens(l, logits, targets, options, false);
}
/// The same by ATen's operations wherever the logits are, in this process's memory too.
template <class Loss>
  requires token_loss<Loss>
at::Tensor loss(const Loss& l, const device_scores& logits, const at::Tensor& targets,
                const tensor_loss_options& options = {}) {
  return detail::loss_of_tokens(l, logits.scores, targets, options, true);
}

/// The same for a loss of whole sequences, as `evaluate_sequences`; layout: over the targets. Of rows of equal length
/// (`tensor_layout`) nothing comes back from another device, either, where the loss takes the length of its sequence as
/// it comes (a template's argument, used by emend::as_number); one that does not compile so is wrapped:
/// emend::per_token(loss). A counted id that only the device knows to be none makes the value and its sequence's
/// gradient NaN.
template <sequence_loss Loss, sequence_layout L>
at::Tensor loss(const Loss& l, const at::Tensor& logits, const at::Tensor& targets, const L& layout,
                const tensor_loss_options& options = {}) {
  return detail::loss_of_sequences(l, logits, targets, layout, options, false);
}
template <sequence_loss Loss, sequence_layout L>
at::Tensor loss(const Loss& l, const device_scores& logits, const at::Tensor& targets, const L& layout,
                const tensor_loss_options& options = {}) {
  return detail::loss_of_sequences(l, logits.scores, targets, layout, options, true);
}

/// The same over scores that are never stored: hidden [.., D] times weight [V, D] transposed, of tensors. Gradients
/// flow into both.
template <class Loss>
  requires token_loss<Loss>
at::Tensor loss(const Loss& l, const linear_scores<at::Tensor, at::Tensor>& scores, const at::Tensor& targets,
                const tensor_loss_options& options = {}) {
  return detail::loss_of_product(l, scores.hidden, scores.weight, targets, options, false);
}
template <class Loss>
  requires token_loss<Loss>
at::Tensor loss(const Loss& l, const linear_scores<device_scores, device_scores>& scores, const at::Tensor& targets,
                const tensor_loss_options& options = {}) {
  return detail::loss_of_product(l, scores.hidden.scores, scores.weight.scores, targets, options, true);
}

/// The same for a loss of whole sequences over scores that are never stored. Of factors on another device some numbers
/// a token come to the host.
template <sequence_loss Loss, sequence_layout L>
at::Tensor loss(const Loss& l, const linear_scores<at::Tensor, at::Tensor>& scores, const at::Tensor& targets,
                const L& layout, const tensor_loss_options& options = {}) {
  return detail::loss_of_product_sequences(l, scores.hidden, scores.weight, targets, layout, options, false);
}
template <sequence_loss Loss, sequence_layout L>
at::Tensor loss(const Loss& l, const linear_scores<device_scores, device_scores>& scores, const at::Tensor& targets,
                const L& layout, const tensor_loss_options& options = {}) {
  return detail::loss_of_product_sequences(l, scores.hidden.scores, scores.weight.scores, targets, layout, options,
                                           true);
}

/// The same for a SequenceMatch objective over trajectories, as `evaluate_trajectories`: value = -objective.
/// logits: [.., V], their leading dimensions the N rows that the columns count; result: receives the parts of the
/// value, if given. On another device no score and no number of a step comes back to the host. What the columns say
/// lies on the host and goes to the device, two copies for which the host waits; rows that nothing reads are computed
/// with the others and left out; `result` brings four numbers back. That needs an objective and a divergence that take
/// any `real`, as the library's do, and one temperature; with others some numbers a step go through the host. A
/// divergence whose functions take a double and nothing else always compiles.
template <trajectory_objective O>
at::Tensor loss(const O& objective, const at::Tensor& logits, const trajectory_columns& columns,
                const trajectory_options& options = {}, trajectory_value* result = nullptr, bool is_in_place = false) {
  return detail::loss_of_trajectories(objective, logits, columns, options, result, is_in_place, false);
}
template <trajectory_objective O>
at::Tensor loss(const O& objective, const device_scores& logits, const trajectory_columns& columns,
                const trajectory_options& options = {}, trajectory_value* result = nullptr, bool is_in_place = false) {
  return detail::loss_of_trajectories(objective, logits.scores, columns, options, result, is_in_place, true);
}

/// The same over scores that are never stored. Of factors on another device some numbers a step come to the host.
template <trajectory_objective O>
at::Tensor loss(const O& objective, const linear_scores<at::Tensor, at::Tensor>& scores,
                const trajectory_columns& columns, const trajectory_options& options = {},
                trajectory_value* result = nullptr) {
  return detail::loss_of_product_trajectories(objective, scores.hidden, scores.weight, columns, options, result, false);
}
template <trajectory_objective O>
at::Tensor loss(const O& objective, const linear_scores<device_scores, device_scores>& scores,
                const trajectory_columns& columns, const trajectory_options& options = {},
                trajectory_value* result = nullptr) {
  return detail::loss_of_product_trajectories(objective, scores.hidden.scores, scores.weight.scores, columns, options,
                                              result, true);
}

/// Last resort for losses that cannot be called on a token: says the remedy.
template <class Loss>
  requires(!token_loss<Loss>)
at::Tensor loss(const Loss&, const at::Tensor&, const at::Tensor&, const tensor_loss_options& = {}) {
  static_assert(
      token_loss<Loss>,
      "emend: a loss must be callable on token<double> and on token<token_dual>; write it as a generic lambda, "
      "[](const auto& t) { return -t.log_prob; }, and call emend::exp, emend::min, emend::clamp in it; a loss of "
      "sequences takes "
      "their layout after the targets");
  return {};
}

}  // namespace emend
