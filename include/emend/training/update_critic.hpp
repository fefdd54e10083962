#pragma once

#include <emend/evaluation/evaluate_numbers.hpp>
#include <emend/training/minibatch_steps.hpp>
#include <emend/training/rollout.hpp>

namespace emend {

/// What `update_critic` returns.
struct critic_report {
  double loss = 0;  ///< mean over the steps
  index steps = 0;
};

/// One update of a critic towards the returns of a rollout: some epochs of steps on shuffled minibatches.
/// make_loss: (column old_value, column returns) -> a loss for `evaluate_values`, as `value_clip`.
/// ranks as in `update_policy`, whose exceptions it throws. Cost: for each minibatch one forward and one backward pass.
template <trainable_critic Critic, class MakeLoss, communicator C = single_process>
critic_report update_critic(Critic& critic, const rollout& r, MakeLoss&& make_loss, const update_options& options = {},
                            C&& ranks = {}) {
  detail::check_update(options);
  detail::require_length("value", static_cast<index>(r.value.size()), r.batch.tokens());
  detail::require_length("returns", static_cast<index>(r.returns.size()), r.batch.tokens());
  critic_report report;
  for (index epoch = 0; epoch < options.epochs; ++epoch) {
    for (const auto& minibatch : detail::minibatches_over_ranks(r.batch.sequences(), options, epoch, ranks)) {
      double value = 0, parts = 0;
      detail::for_each_micro_batch(
          r.batch, minibatch, options, ranks,
          [&](const token_batch& batch, const std::vector<index>& of_rollout, const std::vector<double>& weight) {
            std::vector<double> found(static_cast<std::size_t>(batch.tokens()), 0);
            critic.differentiate_value(batch, [&](const std::vector<double>& values, const std::vector<index>& tokens,
                                                  std::vector<double>& gradient) {
              detail::require_length("values of the critic", static_cast<index>(values.size()),
                                     static_cast<index>(tokens.size()));
              if (tokens.empty()) return gradient.clear();  // a part of empty responses alone
              std::vector<index> origin;
              for (const index t : tokens) origin.push_back(of_rollout[static_cast<std::size_t>(t)]);
              const std::vector<double> old = gather(r.value, origin), returns = gather(r.returns, origin),
                                        own_weight = gather(weight, tokens);
              const auto result =
                  evaluate_values(make_loss(column(old), column(returns)), values, {.weight = own_weight});
              gradient = result.gradient;
              found[static_cast<std::size_t>(tokens.front())] = result.value;
            });
            for (const double part : found) value += part;
            ++parts;
          });
      double sums[] = {value, parts};
      ranks.all_reduce_sum(std::span<double>(sums));
      if (sums[1] == 0) continue;
      value = sums[0];
      detail::step_over_ranks(critic, ranks);
      report.loss += value;
      ++report.steps;
    }
  }
  if (report.steps > 0) report.loss /= static_cast<double>(report.steps);
  return report;
}

}  // namespace emend
