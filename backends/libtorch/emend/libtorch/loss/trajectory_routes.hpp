#pragma once

#include <emend/libtorch/loss/trajectories.hpp>
#include <emend/libtorch/loss/routes.hpp>

namespace emend::detail {

// The same as routes.hpp for objectives over trajectories.

template <class O>
at::Tensor loss_of_trajectories_on_device(const O& objective, const at::Tensor& logits,
                                          const trajectory_columns& columns, const trajectory_options& options,
                                          trajectory_value* result, bool is_in_place) {
  const at::TensorList inputs(logits);
  const bool is_wanted = wants_gradient(inputs);
  return loss_function::apply(inputs, [&, is_wanted](std::vector<at::Tensor>& gradients) {
    const at::NoGradGuard no_graph;
    const at::Tensor x = logits.detach(), block = in_three_dimensions(x);
    if (block.size(2) < 1) fail("scores", "a vocabulary of at least 1", "0");
    check_transform(options.transform, block.size(0) * block.size(1));
    device_trajectories<O> batch(objective, columns, options, block);
    const kept_ids all;
    const head_request request{{}, {}, nullptr, options.transform, all, false};
    const op_chain chain(request, x.scalar_type());
    const at::Tensor value = batch.value(chain, is_wanted, result != nullptr);
    if (is_wanted) {
      gradients[0] = is_in_place ? x : backend<at::Tensor>::like(x);
      batch.write_gradient(chain, writable(gradients[0]));
    }
    if (result) *result = batch.parts();
    return value.to(x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
  });
}

/// What loss_of_logits and loss_of_linear_scores run over scores that the library takes itself.
template <class O>
auto run_of_trajectories(const O& objective, const trajectory_columns& columns, const trajectory_options& options,
                         trajectory_value* result) {
  return [&objective, &columns, &options, result]<class X>(const X& x, gradient_type<X>* gradient) {
    const trajectory_value got =
        gradient ? evaluate_trajectories_into(objective, x, columns, options, *gradient, torch_threads{})
                 : evaluate_trajectories_value(objective, x, columns, options, torch_threads{});
    if (result) *result = got;
    return got.value;
  };
}

template <class O>
at::Tensor loss_of_trajectories(const O& objective, const at::Tensor& logits, const trajectory_columns& columns,
                                const trajectory_options& options, trajectory_value* result, bool is_in_place,
                                bool is_by_chain) {
  require_score_tensor("scores", logits);
  objective.check();
  if constexpr (objective_of_all_steps<O>) {
    const bool has_one_temperature = !options.transform.temperatures.is_given();
    if ((is_by_chain || !logits.is_cpu()) && has_one_temperature && columns.at.size() > 0 &&
        device_trajectories<O>::can_be_called(objective, logits.device()))
      return loss_of_trajectories_on_device(objective, logits, columns, options, result, is_in_place);
  }
  return loss_of_logits(logits, is_in_place, is_by_chain, run_of_trajectories(objective, columns, options, result));
}

template <class O>
at::Tensor loss_of_product_trajectories(const O& objective, const at::Tensor& hidden, const at::Tensor& weight,
                                        const trajectory_columns& columns, const trajectory_options& options,
                                        trajectory_value* result, bool is_by_chain) {
  require_score_tensor("scores", hidden);
  const bool is_on_host = !is_by_chain && hidden.is_cpu() && weight.is_cpu();
  return loss_of_linear_scores(hidden, weight, is_on_host, run_of_trajectories(objective, columns, options, result));
}

}  // namespace emend::detail
