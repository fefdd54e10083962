#pragma once

#include <emend/evaluation/evaluate_numbers.hpp>
#include <emend/evaluation/evaluate_sequences.hpp>
#include <emend/losses/aggregation.hpp>
#include <emend/losses/cross_entropy.hpp>
#include <emend/training/minibatches.hpp>
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

/// Options of `update_policy` and `update_critic`.
struct update_options {
  index epochs = 1;
  index minibatch = 0;    ///< sequences a step; 0: all
  index micro_batch = 0;  ///< sequences a pass, to bound memory; their gradients add to the same step; 0: the minibatch
  aggregation how = aggregation::token_mean;
  aggregation_options aggregate = {};  ///< counts: 0, those of each minibatch are filled in
  std::uint64_t seed = 0;
  /// Ends the update once a minibatch's approximate_kl is above, or NaN; the loss must have a metric of that name.
  double stop_at_kl = detail::infinity;
  /// A supervised batch mixed into every step of a policy (PPO-ptx, Ouyang et al. 2022, eq. 2): as many of its
  /// sequences as the minibatch has, one after the other over the steps; its token mean of -log_prob times the
  /// coefficient joins the gradient. Over ranks each brings sequences of its own, and the mean is over all of them.
  const token_batch* pretraining = nullptr;
  double pretraining_coefficient = 16;  ///< align-anything; 27.8 in InstructGPT
  score_transform transform = {};       ///< as in `collect`
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

/// As many minibatches on each rank: where one has fewer, it takes part in the last steps with nothing.
template <communicator C>
std::vector<std::vector<index>> minibatches_over_ranks(index sequences, const update_options& options, index epoch,
                                                       C& ranks) {
  auto parts = minibatches(sequences, options.minibatch, options.seed, static_cast<std::uint64_t>(epoch));
  parts.resize(static_cast<std::size_t>(maximum_over_ranks(ranks, static_cast<double>(parts.size()))));
  return parts;
}

/// One step along what all ranks have gathered.
template <class M, communicator C>
void step_over_ranks(M& model, C& ranks) {
  static_assert(summing_gradients<M, C>,
                "emend: a model that is trained over ranks needs a member sum_gradient(ranks) that calls "
                "ranks.all_reduce_sum on its gathered gradient; see emend::summing_gradients");
  if constexpr (!std::same_as<C, single_process>) model.sum_gradient(ranks);
  model.step();
}

/// f(tokens, weights of these tokens) for every micro-batch of a minibatch, with the counts of the minibatch over all
/// ranks.
template <communicator C, class F>
void for_each_micro_batch(const token_batch& batch, const std::vector<index>& minibatch, const update_options& options,
                          C& ranks, F&& f) {
  const std::vector<index> all = tokens_of(batch, minibatch);
  aggregation_options whole = options.aggregate;
  whole.counts.tokens = static_cast<double>(all.size());
  whole.counts.sequences = 0;
  for (const index b : minibatch)
    whole.counts.sequences += batch.response_length(b) > 0 || whole.counts_empty_sequences;
  whole.counts = sum_over_ranks(ranks, whole.counts);
  const auto size =
      static_cast<std::size_t>(options.micro_batch == 0 ? static_cast<index>(minibatch.size()) : options.micro_batch);
  for (std::size_t begin = 0; begin < minibatch.size(); begin += size) {
    const std::size_t end = begin + size < minibatch.size() ? begin + size : minibatch.size();
    const std::vector<index> part(minibatch.begin() + static_cast<std::ptrdiff_t>(begin),
                                  minibatch.begin() + static_cast<std::ptrdiff_t>(end));
    const token_batch chosen = batch.select(part);
    if (chosen.tokens() == 0) continue;
    f(chosen, tokens_of(batch, part), token_weights(chosen.layout(), options.how, whole));
  }
}

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

inline void check_update(const update_options& options) {
  if (options.epochs < 0) fail("epochs", "a number not below 0", std::to_string(options.epochs));
  if (options.micro_batch < 0) fail("micro_batch", "a number not below 0", std::to_string(options.micro_batch));
  if (options.pretraining && options.pretraining->sequences() == 0)
    fail("pretraining", "at least one sequence", "none");
  if (!(options.pretraining_coefficient >= 0))
    fail("pretraining_coefficient", "a number not below 0", std::to_string(options.pretraining_coefficient));
  if (options.aggregate.counts.tokens != 0 || options.aggregate.counts.sequences != 0)
    fail("aggregate.counts", "0, because an update counts each of its minibatches", "other counts");
  if (options.stop_at_kl != options.stop_at_kl) fail("stop_at_kl", "a number, or infinity for none", "NaN");
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
      evaluation_value<loss_type> step;
      detail::for_each_micro_batch(
          r.batch, minibatch, options, ranks,
          [&](const token_batch& batch, const std::vector<index>& of_rollout, const std::vector<double>& weight) {
            // Parts may come from several threads: what each finds is added in the order of its first token.
            std::vector<evaluation_value<loss_type>> found(static_cast<std::size_t>(batch.tokens()));
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
                  detail::evaluate_part(loss, scores, targets, batch, tokens, options.transform, gradient);
            });
            for (const auto& part : found) {
              step.value += part.value;
              step.evaluated += part.evaluated;
              for (std::size_t k = 0; k < metric_count; ++k)
                step.metrics[k] += part.metrics[k] * static_cast<double>(part.evaluated);
            }
          });
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
