#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/basic_ops.h>
#include <torch/csrc/autograd/graph_task.h>
#include <torch/csrc/autograd/variable.h>

#include <functional>
#include <utility>
#include <vector>

namespace emend::detail {

/// What autograd is to do of a loss: writes the gradients of the inputs where they are wanted, and returns the value, a
/// scalar.
using differentiate = std::function<at::Tensor(std::vector<at::Tensor>& gradients)>;

/// The value of a loss over x: in double for double, else in float, on its device.
inline at::Tensor value_tensor(double value, const at::Tensor& x) {
  return at::scalar_tensor(value, x.options().dtype(x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat));
}

struct scaling_by_operation {
  static void scale(at::Tensor& gradient, const at::Tensor& factor) { gradient.mul_(factor); }
};

/// The one node of every loss: its gradients are computed with its value, and scaled on the way back. Scaling: how they
/// are, in place.
template <class Scaling>
class basic_loss_function : public torch::autograd::Function<basic_loss_function<Scaling>> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, at::TensorList inputs,
                            const differentiate& call) {
    std::vector<at::Tensor> gradients(inputs.size());
    const at::Tensor value = call(gradients);
    if (gradients[0].defined()) context->save_for_backward(std::move(gradients));
    return value;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list outer) {
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
        if (is_kept)
          gradient = gradient.mul(scale);
        else if (!is_one)
          Scaling::scale(gradient, scale);
      }
    }
    if (is_differentiated_again) gradients = refuse_second_derivative(std::move(gradients), outer[0]);
    gradients.emplace_back();  // of the call
    return gradients;
  }

 private:
  /// The gradients with an error behind them that every way back meets: to the inputs of the loss, whose gradients are
  /// constants, and to the factor `outer`, whose derivative would be one of second order, too.
  static torch::autograd::variable_list refuse_second_derivative(torch::autograd::variable_list gradients,
                                                                 const at::Tensor& outer) {
    const std::size_t count = gradients.size();
    for (at::Tensor& gradient : gradients) gradient = gradient.detach();
    torch::autograd::variable_list inputs = std::move(gradients);
    // Numbers without a value that stand where the inputs do: the inputs themselves are not kept in memory.
    for (const torch::autograd::Edge& edge : torch::autograd::get_current_node()->next_edges()) {
      if (!edge.is_valid()) continue;
      inputs.push_back(at::zeros({}, inputs[0].options()));
      torch::autograd::impl::set_gradient_edge(inputs.back(), edge);
    }
    if (outer.requires_grad()) inputs.push_back(outer);
    torch::autograd::DelayedError error(
        "emend: loss: expected a first derivative, got a second one asked for: the gradients of a loss are "
        "constants of autograd",
        static_cast<std::int64_t>(inputs.size()));
    gradients = error.apply(std::move(inputs));
    gradients.resize(count);
    return gradients;
  }
};

using loss_function = basic_loss_function<scaling_by_operation>;

inline bool wants_gradient(at::TensorList inputs) {
  if (!at::GradMode::is_enabled()) return false;
  for (const at::Tensor& x : inputs)
    if (x.requires_grad()) return true;
  return false;
}

}  // namespace emend::detail
