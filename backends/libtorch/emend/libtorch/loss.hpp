#pragma once

#include <emend/evaluation/evaluate_sequences.hpp>
#include <emend/libtorch/device_linear_scores.hpp>
#include <emend/libtorch/tensor_column.hpp>
#include <emend/libtorch/torch_threads.hpp>
#include <emend/sequence_match/evaluate_trajectories.hpp>

#include <ATen/ops/scalar_tensor.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/functions/basic_ops.h>
#include <torch/csrc/autograd/graph_task.h>

#include <functional>
#include <utility>

namespace emend {

/// Options of `loss`: those of `evaluation_options`, each column a tensor or anything that is a column.
struct tensor_loss_options {
  tensor_column mask = {};    ///< of the targets' shape; 0: not evaluated, its row, if nobody else reads it, not read
  tensor_column weight = {};  ///< of the targets' shape, default 1
  tensor_column rows = {};    ///< of the targets' shape: row of each term
  tensor_column links = {};   ///< of the targets' shape: row whose log_z is next_log_z, -1 for none
  double normaliser = 1;      ///< an explicit count, so that parts of a batch add up to the whole
  score_transform transform = {};
  kept_ids kept = {};
  bool with_log_sum_squares = false;
  /// The gradient takes the memory of the logits, whose values are then gone: no extra memory. Autograd refuses what else had saved
  /// them. Logits alone: not for linear_scores.
  bool is_in_place = false;
  at::Tensor* per_token = nullptr;  ///< receives loss(token_i), of the targets' shape, 0 where not evaluated
  at::Tensor* metrics = nullptr;    ///< receives the means of the loss's metrics, [M]
};

namespace detail {

/// What autograd is to do of a loss: writes the gradients of the inputs where they are wanted, and returns the value.
using differentiate = std::function<double(std::vector<at::Tensor>& gradients)>;

/// The one node of every loss: its gradients are computed with its value, and scaled on the way back.
class loss_function : public torch::autograd::Function<loss_function> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, at::TensorList inputs, const differentiate& call) {
    std::vector<at::Tensor> gradients(inputs.size());
    const double value = call(gradients);
    const bool is_double = inputs[0].scalar_type() == at::kDouble;
    if (gradients[0].defined()) context->save_for_backward(std::move(gradients));
    return at::scalar_tensor(value, inputs[0].options().dtype(is_double ? at::kDouble : at::kFloat));
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list outer) {
    const bool is_differentiated_again = at::GradMode::is_enabled();
    torch::autograd::variable_list gradients = context->get_saved_variables();
    {
      const at::NoGradGuard no_graph;
      const at::Tensor scale = outer[0].detach();
      // On the host 1, the usual factor, costs nothing; a device is not waited for.
      const bool is_one = scale.is_cpu() && scale.item().toDouble() == 1;
      // Kept for another backward, they must not be what the graph behind gets to keep.
      const bool is_kept = torch::autograd::get_current_graph_task_keep_graph();
      for (at::Tensor& gradient : gradients) {
        if (is_kept) gradient = gradient.mul(scale);
        else if (!is_one) gradient.mul_(scale);
      }
    }
    if (is_differentiated_again) gradients = refuse_second_derivative(std::move(gradients));
    gradients.emplace_back();  // of the call
    return gradients;
  }

 private:
  static torch::autograd::variable_list refuse_second_derivative(torch::autograd::variable_list gradients) {
    for (at::Tensor& gradient : gradients) gradient = gradient.detach().requires_grad_();
    const auto count = static_cast<std::int64_t>(gradients.size());
    torch::autograd::DelayedError error("emend: loss: expected a first derivative, got a second one asked for: the gradients of a loss are constants of autograd", count);
    return error.apply(std::move(gradients));
  }
};

inline bool wants_gradient(at::TensorList inputs) {
  if (!at::GradMode::is_enabled()) return false;
  for (const at::Tensor& x : inputs)
    if (x.requires_grad()) return true;
  return false;
}

/// Leading dimensions of the scores, and of what stands beside them, must be the same where both have a shape.
inline void require_leading_shape(const char* argument, const at::Tensor& given, at::IntArrayRef expected) {
  if (given.defined() && given.dim() > 1 && given.sizes() != expected) {
    std::string text, got;
    for (const auto extent : expected) text.append(text.empty() ? "" : " x ").append(std::to_string(extent));
    for (const auto extent : given.sizes()) got.append(got.empty() ? "" : " x ").append(std::to_string(extent));
    fail(argument, "shape " + text, got);
  }
}

/// The options of an evaluation over M terms, with the checks that only tensors need.
struct tensor_call {
  tensor_column targets;
  evaluation_options options;
  std::vector<double> per_token;

  tensor_call(const at::Tensor& scores, const at::Tensor& ids, const tensor_loss_options& given) : targets(ids, "targets") {
    if (!ids.defined()) fail("targets", "a tensor", "an undefined one");
    require_score_tensor("scores", scores);
    if (given.rows.empty()) require_leading_shape("targets", ids, scores.sizes().slice(0, static_cast<std::size_t>(scores.dim()) - 1));
    require_leading_shape("mask", given.mask.tensor(), ids.sizes());
    require_leading_shape("weight", given.weight.tensor(), ids.sizes());
    options = {.mask = given.mask, .weight = given.weight, .rows = given.rows, .links = given.links, .normaliser = given.normaliser,
               .transform = given.transform, .kept = given.kept, .with_log_sum_squares = given.with_log_sum_squares,
               .per_token = given.per_token ? &per_token : nullptr};
  }
  template <class Value>
  void report(const Value& got, const at::Tensor& ids, const tensor_loss_options& given) const {
    if (given.per_token) *given.per_token = as_tensor(per_token, ids);
    if (given.metrics) *given.metrics = as_tensor(std::span<const double>(got.metrics), at::empty({0}, ids.options().dtype(at::kFloat)));
  }
};

/// run(scores, gradient or null) over the logits as the library takes them on their device; its result's value.
template <class Run>
at::Tensor loss_of_logits(const at::Tensor& logits, bool is_in_place, const Run& run) {
  const at::TensorList inputs(logits);
  const bool is_wanted = wants_gradient(inputs);
  return loss_function::apply(inputs, [&, is_wanted](std::vector<at::Tensor>& gradients) -> double {
    const at::Tensor x = logits.detach();
    const device_scores on_device{x};
    at::Tensor gradient;
    if (is_wanted) gradient = is_in_place ? x : backend<at::Tensor>::like(x);
    at::Tensor* const out = is_wanted ? &gradient : nullptr;
    const double value = x.is_cpu() ? run(x, out) : run(on_device, out);
    gradients[0] = gradient;
    return value;
  });
}

}  // namespace detail

/// A loss as a scalar tensor that autograd differentiates: `backward()` flows on into whatever made the logits.
///   value = (1 / normaliser) sum_i weight_i loss(token_i)
/// loss: any `token_loss`, the user's lambdas included; columns in it may be `tensor_column`s, or columns of anything.
/// logits: [.., V] in float, double, bfloat16 or half, any strides; targets: [..], ids in [0, V). The result is of float, or double for
/// double, on the logits' device. The gradient is computed with the value, one read and one write of the logits in this process's memory;
/// see `device_scores` for other devices. First derivatives only: backward through a gradient throws.
/// Throws std::invalid_argument naming the argument, as `evaluate` does.
/// Memory beyond the logits: the gradient, or nothing where is_in_place; and some numbers a token.
template <class Loss>
  requires token_loss<Loss>
at::Tensor loss(const Loss& l, const at::Tensor& logits, const at::Tensor& targets, const tensor_loss_options& options = {}) {
  detail::tensor_call call(logits, targets, options);
  return detail::loss_of_logits(logits, options.is_in_place, [&]<class X>(const X& x, at::Tensor* gradient) {
    const auto got = gradient ? evaluate_into(l, x, call.targets, call.options, *gradient, torch_threads{}) : evaluate_value(l, x, call.targets, call.options, torch_threads{});
    call.report(got, targets, options);
    return got.value;
  });
}

/// The same for a loss of whole sequences, as `evaluate_sequences`; layout: over the targets.
template <sequence_loss Loss, sequence_layout L>
at::Tensor loss(const Loss& l, const at::Tensor& logits, const at::Tensor& targets, const L& layout, const tensor_loss_options& options = {}) {
  detail::tensor_call call(logits, targets, options);
  return detail::loss_of_logits(logits, options.is_in_place, [&]<class X>(const X& x, at::Tensor* gradient) {
    at::Tensor unused;
    if (!gradient) unused = backend<X>::like(x);
    const auto got = evaluate_sequences_into(l, x, call.targets, layout, call.options, gradient ? *gradient : unused, torch_threads{});
    call.report(got, targets, options);
    return got.value;
  });
}

/// The same over scores that are never stored: hidden [.., D] times weight [V, D] transposed, of tensors. Gradients flow into both.
template <class Loss>
  requires token_loss<Loss>
at::Tensor loss(const Loss& l, const linear_scores<at::Tensor, at::Tensor>& scores, const at::Tensor& targets, const tensor_loss_options& options = {}) {
  if (options.is_in_place) detail::fail("is_in_place", "logits to overwrite", "linear_scores");
  detail::tensor_call call(scores.hidden, targets, options);
  const at::Tensor both[] = {scores.hidden, scores.weight};
  const at::TensorList inputs(both);
  const bool is_wanted = detail::wants_gradient(inputs);
  return detail::loss_function::apply(inputs, [&, is_wanted](std::vector<at::Tensor>& gradients) -> double {
    const device_scores hidden{scores.hidden.detach()}, weight{scores.weight.detach()};
    const auto run = [&](const auto& x) {
      using X = std::remove_cvref_t<decltype(x)>;
      if (!is_wanted) {
        const auto got = evaluate_value(l, x, call.targets, call.options, torch_threads{});
        call.report(got, targets, options);
        return got.value;
      }
      gradient_type<X> gradient = backend<X>::like(x);
      const auto got = evaluate_into(l, x, call.targets, call.options, gradient, torch_threads{});
      call.report(got, targets, options);
      gradients = {gradient.d_hidden, gradient.d_weight};
      return got.value;
    };
    const bool is_on_host = hidden.scores.is_cpu() && weight.scores.is_cpu();
    return is_on_host ? run(linear_scores{hidden.scores, weight.scores}) : run(linear_scores{hidden, weight});
  });
}

/// The same for a SequenceMatch objective over trajectories, as `evaluate_trajectories`: value = -objective.
/// logits: [N, V]; result: receives the parts of the value, if given.
template <trajectory_objective O>
at::Tensor loss(const O& objective, const at::Tensor& logits, const trajectory_columns& columns, const trajectory_options& options = {},
                trajectory_value* result = nullptr, bool is_in_place = false) {
  detail::require_score_tensor("scores", logits);
  return detail::loss_of_logits(logits, is_in_place, [&]<class X>(const X& x, at::Tensor* gradient) {
    const trajectory_value got = gradient ? evaluate_trajectories_into(objective, x, columns, options, *gradient, torch_threads{})
                                          : evaluate_trajectories_value(objective, x, columns, options, torch_threads{});
    if (result) *result = got;
    return got.value;
  });
}

}  // namespace emend
