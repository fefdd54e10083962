#pragma once

#include <emend/evaluation/evaluate_sequences.hpp>
#include <emend/losses/cross_entropy.hpp>
#include <emend/training/minibatch_steps.hpp>
#include <emend/training/rollout.hpp>

#include <array>
#include <string_view>

namespace emend {

/// The columns of some tokens of a rollout, for the loss that `update_policy` asks its caller for.
struct token_columns {
  column old_log_prob, reference_log_prob, advantage;
  column weight;     ///< of the aggregation; the weights of a whole minibatch make its loss
  id_column tokens;  ///< which tokens of the rollout these are, for columns of the caller's own (`gather`)
};

/// What an update did: means over its steps, and over the tokens of all of them.
template <std::size_t Metrics>
struct update_report {
  double loss = 0;
  double pretraining_loss = 0;            ///< coefficient included; not part of `loss`
  std::array<double, Metrics> metrics{};  ///< in the order of the loss's metric_names
  index steps = 0, tokens = 0;            ///< tokens: of all ranks
  bool is_stopped = false;                ///< by stop_at_kl
};

namespace detail {

/// Adds the gradient of a supervised loss to what the policy has gathered; returns coefficient * token mean of
/// -log_prob. counted: receives the tokens of all ranks.
template <class P, communicator C>
double add_likelihood(P& policy, const token_batch& batch, double coefficient, C& ranks, double& counted) {
  counted = sum_over_ranks(ranks, static_cast<double>(batch.tokens()));
  if (batch.tokens() == 0 || coefficient == 0) return 0;
  std::vector<double> found(static_cast<std::size_t>(batch.tokens()), 0);
  policy.differentiate(batch, [&](const auto& scores, const std::vector<index>& tokens, auto& gradient) {
    if (tokens.empty()) return;  // a part of empty responses alone
    std::vector<index> targets;
    for (const index t : tokens) targets.push_back(batch.targets()[static_cast<std::size_t>(t)]);
    found[static_cast<std::size_t>(tokens.front())] =
        evaluate_into(cross_entropy{}, scores, targets, {.normaliser = counted / coefficient}, gradient).value;
  });
  double value = 0;
  for (const double part : found) value += part;
  return value;
}

/// Value, count, sums of metrics and the pretraining loss of one step, over all ranks.
template <communicator C, class Step>
void sum_step_over_ranks(C& ranks, Step& step, double& pretraining_loss) {
  std::vector<double> sums{step.value, static_cast<double>(step.evaluated), pretraining_loss};
  sums.insert(sums.end(), step.metrics.begin(), step.metrics.end());
  ranks.all_reduce_sum(std::span<double>(sums));
  step.value = sums[0];
  step.evaluated = static_cast<index>(sums[1]);
  pretraining_loss = sums[2];
  for (std::size_t k = 0; k < step.metrics.size(); ++k) step.metrics[k] = sums[3 + k];
}

/// Which of a loss's metrics has a name, -1 if none.
template <class Loss>
constexpr int metric_place(std::string_view name) {
  if constexpr (requires { Loss::metric_names; })
    for (std::size_t k = 0; k < metric_count<Loss>; ++k)
      if (name == Loss::metric_names[k]) return static_cast<int>(k);
  return -1;
}

/// Where the sequences of a part begin among its tokens.
inline std::vector<index> part_offsets(const token_batch& batch, const std::vector<index>& tokens) {
  std::vector<index> offsets{0};
  index b = 0;
  for (std::size_t k = 0; k < tokens.size();) {
    while (batch.first_token(b + 1) <= tokens[k]) ++b;
    k += static_cast<std::size_t>(batch.response_length(b));
    offsets.push_back(static_cast<index>(k));
  }
  return offsets;
}

/// Value of a loss over one part's scores, token by token or over whole sequences, its gradient written.
template <class Loss, class X, class G>
evaluation_value<Loss> evaluate_part(const Loss& loss, const X& scores, const std::vector<index>& targets,
                                     const token_batch& batch, const std::vector<index>& tokens,
                                     const score_transform& transform, G& gradient) {
  // Weights are the loss's own: here every token of the part is evaluated.
  const evaluation_options options{.transform = transform};
  if constexpr (token_loss<Loss>) {
    return evaluate_into(loss, scores, targets, options, gradient);
  } else {
    const std::vector<index> offsets = part_offsets(batch, tokens);
    return evaluate_sequences_into(loss, scores, targets, ragged(offsets), options, gradient);
  }
}

/// Value, count and sums of the metrics of the loss over one minibatch of this rank; the policy gathers its gradient.
template <class Loss, class P, class MakeLoss, communicator C>
evaluation_value<Loss> differentiate_minibatch(P& policy, const rollout& r, const std::vector<index>& minibatch,
                                               MakeLoss& make_loss, const update_options& options, C& ranks) {
  evaluation_value<Loss> step;
  for_each_micro_batch(
      r.batch, minibatch, options, ranks,
      [&](const token_batch& batch, const std::vector<index>& of_rollout, const std::vector<double>& weight) {
        // Parts may come from several threads: what each finds is added in the order of its first token.
        std::vector<evaluation_value<Loss>> found(static_cast<std::size_t>(batch.tokens()));
        policy.differentiate(batch, [&](const auto& scores, const std::vector<index>& tokens, auto& gradient) {
          if (tokens.empty()) return;  // a part of empty responses alone
          std::vector<index> targets, origin;
          for (const index t : tokens) {
            targets.push_back(batch.targets()[static_cast<std::size_t>(t)]);
            origin.push_back(of_rollout[static_cast<std::size_t>(t)]);
          }
          const std::vector<double> old = gather(r.old_log_prob, origin),
                                    reference = gather(r.reference_log_prob, origin),
                                    advantage = gather(r.advantage, origin), own_weight = gather(weight, tokens);
          const auto loss =
              make_loss(token_columns{old, column_unless_empty(reference), advantage, own_weight, origin});
          found[static_cast<std::size_t>(tokens.front())] =
              evaluate_part(loss, scores, targets, batch, tokens, options.transform, gradient);
        });
        for (const auto& part : found) {
          step.value += part.value;
          step.evaluated += part.evaluated;
          for (std::size_t k = 0; k < step.metrics.size(); ++k)
            step.metrics[k] += part.metrics[k] * static_cast<double>(part.evaluated);
        }
      });
  return step;
}

}  // namespace detail

/// One update of a policy from a rollout: some epochs of steps on shuffled minibatches.
/// make_loss: (const token_columns&) -> a token or sequence loss that weighs its tokens by columns.weight itself, as
/// `policy_objective` does. Its columns are views that live as long as the loss.
/// on_step: (const evaluation_value&) -> void, after every step.
/// Every random choice is a function of options.seed. Throws std::invalid_argument if a column is missing or a length
/// does not fit, before the first step. Cost: for each minibatch one forward and one backward pass of the policy.
/// ranks: with a `communicator` each process brings its own part of the rollout and every minibatch is the union of
/// theirs: counts, gradients, losses and metrics are those of the union, and steps and stops the same everywhere.
template <trainable_policy P, class MakeLoss, class OnStep = detail::any_visitor, communicator C = single_process>
auto update_policy(P& policy, const rollout& r, MakeLoss&& make_loss, const update_options& options = {},
                   OnStep&& on_step = {}, C&& ranks = {}) {
  using loss_type = std::remove_cvref_t<decltype(make_loss(std::declval<const token_columns&>()))>;
  constexpr std::size_t metric_count = detail::metric_count<loss_type>;
  detail::check_update(options);
  detail::require_length("old_log_prob", static_cast<index>(r.old_log_prob.size()), r.batch.tokens());
  detail::require_length("advantage", static_cast<index>(r.advantage.size()), r.batch.tokens());
  if (!r.reference_log_prob.empty())
    detail::require_length("reference_log_prob", static_cast<index>(r.reference_log_prob.size()), r.batch.tokens());
  constexpr int kl_place = detail::metric_place<loss_type>("approximate_kl");
  if (kl_place < 0 && options.stop_at_kl < detail::infinity)
    detail::fail("stop_at_kl", "infinity, because the loss has no metric approximate_kl",
                 std::to_string(options.stop_at_kl));
  update_report<metric_count> report;
  index next_pretraining = 0;
  for (index epoch = 0; epoch < options.epochs && !report.is_stopped; ++epoch) {
    for (const auto& minibatch : detail::minibatches_over_ranks(r.batch.sequences(), options, epoch, ranks)) {
      auto step = detail::differentiate_minibatch<loss_type>(policy, r, minibatch, make_loss, options, ranks);
      double pretraining_loss = 0, pretraining_tokens = 0;
      if (options.pretraining) {
        std::vector<index> mixed;
        for (std::size_t k = 0; k < minibatch.size(); ++k)
          mixed.push_back(next_pretraining++ % options.pretraining->sequences());
        pretraining_loss = detail::add_likelihood(policy, options.pretraining->select(mixed),
                                                  options.pretraining_coefficient, ranks, pretraining_tokens);
      }
      detail::sum_step_over_ranks(ranks, step, pretraining_loss);
      if (step.evaluated == 0 && (pretraining_tokens == 0 || options.pretraining_coefficient == 0)) continue;
      report.pretraining_loss += pretraining_loss;
      detail::step_over_ranks(policy, ranks);
      report.loss += step.value;
      report.tokens += step.evaluated;
      for (std::size_t k = 0; k < metric_count; ++k) {
        report.metrics[k] += step.metrics[k];
        step.metrics[k] /= static_cast<double>(step.evaluated > 0 ? step.evaluated : 1);
      }
      if constexpr (kl_place >= 0)
        report.is_stopped = options.stop_at_kl < detail::infinity && !(step.metrics[kl_place] <= options.stop_at_kl);
      ++report.steps;
      on_step(static_cast<const evaluation_value<loss_type>&>(step));
      if (report.is_stopped) break;
    }
  }
  if (report.steps > 0) report.loss /= static_cast<double>(report.steps);
  if (report.steps > 0) report.pretraining_loss /= static_cast<double>(report.steps);
  for (double& metric : report.metrics) metric /= static_cast<double>(report.tokens > 0 ? report.tokens : 1);
  return report;
}

}  // namespace emend
