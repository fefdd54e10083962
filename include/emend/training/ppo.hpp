#pragma once

#include <emend/advantage/gae.hpp>
#include <emend/advantage/whitening.hpp>
#include <emend/losses/policy_objective.hpp>
#include <emend/losses/ppo_clip.hpp>
#include <emend/losses/value_clip.hpp>
#include <emend/reward/token_rewards.hpp>
#include <emend/training/update_critic.hpp>
#include <emend/training/update_policy.hpp>

namespace emend {

/// Options of one iteration of PPO. Defaults: one epoch of the whole batch, align-anything's bounds.
struct ppo_options {
  index responses_per_prompt = 1;
  token_reward_options reward =
      {};  ///< how the caller's token scores become rewards: scale, divergence from the reference, bounds
  gae_options gae = {};
  bool whitens_advantages = true;  ///< over the response tokens of the iteration
  whiten_options whitening = {};
  double clip_low = 0.2, clip_high = 0.2, dual_clip = 0;
  double kl_coefficient = 0;  ///< of a divergence penalty in the loss, beside the one in the reward
  double entropy_coefficient = 0;
  double value_clip = 0.2;
  update_options policy = {}, critic = {};
  score_transform transform = {};  ///< of the distribution that responses are drawn from
  std::uint64_t seed = 0;
};

/// What one iteration did, for a log.
struct ppo_report {
  index iteration = 0, sequences = 0, tokens = 0;
  double score = 0;  ///< mean over sequences of the sum of the caller's token scores
  double kl_to_reference =
      0;  ///< mean over sequences of sum_t (old_log_prob - reference_log_prob): the k1 estimate   [nats]
  double response_length = 0, entropy = 0;  ///< mean tokens of a response; mean entropy of a token   [nats]
  double policy_loss = 0, value_loss = 0;
  /// Means over the tokens of the update, NaN where the loss has no metric of that name.
  double clip_fraction = detail::not_a_number, approximate_kl = detail::not_a_number;
};

namespace detail {

/// Seeds of one purpose in one iteration: distinct, and functions of the run's seed alone.
inline std::uint64_t seed_of(std::uint64_t seed, index iteration, std::uint64_t purpose) {
  return counter_random{seed}.bits(purpose, static_cast<std::uint64_t>(iteration));
}
/// Of drawing responses: 1 and 2 are the updates' own, and no two ranks draw the same.
inline std::uint64_t drawing_purpose(index rank) { return rank == 0 ? 0 : static_cast<std::uint64_t>(rank) + 2; }

}  // namespace detail

/// One iteration of token-level PPO: responses, rewards, advantages, an update of the policy and one of the critic.
///   r_t = score_scale s_t - kl_coefficient (log pi_old - log pi_ref) ...   (`token_rewards`),   A, G by `gae`
/// prompts: each not empty. score: (const rollout&) -> a range of [tokens] doubles, one per response token: a
/// sequence-to-sequence reward, a scalar reward at each last token, anything. make_loss: as `update_policy` takes it.
/// iteration: numbers the call; every random choice is a function of (options.seed, iteration), so that a run that is
/// taken up again goes on as it would have. Returns the rollout, advantages and all, and the report. ranks: with a
/// `communicator` each process brings prompts of its own and draws its own responses; whitening, updates and the report
/// are those of all of them together, the rollout that is returned this process's. Throws std::invalid_argument as its
/// parts do. Arithmetic beside the models' is linear in the tokens. Schulman et al. 2017; Ouyang et al. 2022; methods
/// as in Zhou et al. 2024 (arXiv 2409.00162).
template <trainable_policy P, scoring_policy Reference, trainable_critic Critic, class Score, class MakeLoss,
          communicator C = single_process>
  requires responding_policy<P>
std::pair<rollout, ppo_report> ppo_iteration(P& policy, Reference& reference, Critic& critic,
                                             const std::vector<std::vector<index>>& prompts, Score&& score,
                                             MakeLoss&& make_loss, const ppo_options& options, index iteration,
                                             C&& ranks = {}) {
  rollout r = collect(
      policy, reference, prompts,
      {.responses_per_prompt = options.responses_per_prompt,
       .seed = detail::seed_of(options.seed, iteration, detail::drawing_purpose(static_cast<index>(ranks.rank()))),
       .transform = options.transform});
  const ragged layout = r.batch.layout();
  r.value = value_responses(critic, r.batch);
  const auto scores = score(static_cast<const rollout&>(r));
  detail::require_length("score", static_cast<index>(scores.size()), r.batch.tokens());
  r.reward = token_rewards(scores, r.old_log_prob, r.reference_log_prob, layout, options.reward);
  advantages found = gae(r.reward, r.value, layout, options.gae);
  r.advantage = std::move(found.advantage);
  r.returns = std::move(found.returns);
  if (options.whitens_advantages) {
    whiten_options whitening = options.whitening;
    if (whitening.given.count == 0) whitening.given = merge_over_ranks(ranks, moments_of(r.advantage, layout));
    if (r.batch.tokens() > 0) r.advantage = whiten(r.advantage, layout, whitening);
  }

  ppo_report report{.iteration = iteration, .sequences = r.batch.sequences(), .tokens = r.batch.tokens()};
  for (index b = 0; b < report.sequences; ++b)
    layout.for_each_token(b, [&](index t) {
      const auto i = static_cast<std::size_t>(t);
      report.score += scores[i];
      report.kl_to_reference += detail::log_ratio_between(r.old_log_prob[i], r.reference_log_prob[i]);
      report.entropy += r.entropy[i];
    });
  double sums[] = {static_cast<double>(report.sequences), static_cast<double>(report.tokens), report.score,
                   report.kl_to_reference, report.entropy};
  ranks.all_reduce_sum(std::span<double>(sums));
  report = {.iteration = iteration,
            .sequences = static_cast<index>(sums[0]),
            .tokens = static_cast<index>(sums[1]),
            .score = sums[2],
            .kl_to_reference = sums[3],
            .entropy = sums[4]};
  const double sequences = static_cast<double>(report.sequences > 0 ? report.sequences : 1);
  report.score /= sequences;
  report.kl_to_reference /= sequences;
  report.response_length = static_cast<double>(report.tokens) / sequences;
  report.entropy /= static_cast<double>(report.tokens > 0 ? report.tokens : 1);

  update_options of_policy = options.policy, of_critic = options.critic;
  of_policy.seed = detail::seed_of(options.seed, iteration, 1);
  of_critic.seed = detail::seed_of(options.seed, iteration, 2);
  of_policy.transform = options.transform;
  const auto policy_update = update_policy(policy, r, make_loss, of_policy, detail::any_visitor{}, ranks);
  report.policy_loss = policy_update.loss;
  using loss_type = std::remove_cvref_t<decltype(make_loss(std::declval<const token_columns&>()))>;
  constexpr int clip_place = detail::metric_place<loss_type>("clip_fraction"),
                kl_place = detail::metric_place<loss_type>("approximate_kl");
  if constexpr (clip_place >= 0) report.clip_fraction = policy_update.metrics[clip_place];
  if constexpr (kl_place >= 0) report.approximate_kl = policy_update.metrics[kl_place];
  report.value_loss = update_critic(
                          critic, r,
                          [&](column old_value, column returns) {
                            return value_clip{.old_value = old_value, .returns = returns, .clip = options.value_clip};
                          },
                          of_critic, ranks)
                          .loss;
  return {std::move(r), report};
}

/// The same with PPO's clipped surrogate, and the divergence penalty and entropy bonus of the options.
template <trainable_policy P, scoring_policy Reference, trainable_critic Critic, class Score,
          communicator C = single_process>
  requires responding_policy<P>
std::pair<rollout, ppo_report> ppo_iteration(P& policy, Reference& reference, Critic& critic,
                                             const std::vector<std::vector<index>>& prompts, Score&& score,
                                             const ppo_options& options, index iteration, C&& ranks = {}) {
  const auto clipped = [&](const token_columns& c) {
    return policy_objective<ppo_clip>{
        .policy = {.old_log_prob = c.old_log_prob,
                   .advantage = c.advantage,
                   .clip_low = options.clip_low,
                   .clip_high = options.clip_high,
                   .dual_clip = options.dual_clip,
                   .log_ratio_bound = default_log_ratio_bound},
        .weight = c.weight,
        .kl = {.reference_log_prob = c.reference_log_prob, .coefficient = options.kl_coefficient},
        .entropy_coefficient = options.entropy_coefficient};
  };
  return ppo_iteration(policy, reference, critic, prompts, score, clipped, options, iteration, ranks);
}

/// Iterations first .. last-1 of PPO.
/// prompts: (index iteration) -> the iteration's prompts. on_iteration: (const rollout&, const ppo_report&) -> bool,
/// false stops after it; it is where progress is shown, checkpoints are written and a controller moves
/// options.reward.kl_coefficient. Other arguments as `ppo_iteration`. Returns the number of iterations done.
template <trainable_policy P, scoring_policy Reference, trainable_critic Critic, class Prompts, class Score,
          class OnIteration, communicator C = single_process>
  requires responding_policy<P>
index train_ppo(P& policy, Reference& reference, Critic& critic, Prompts&& prompts, Score&& score,
                const ppo_options& options, index first, index last, OnIteration&& on_iteration, C&& ranks = {}) {
  index done = 0;
  for (index iteration = first; iteration < last; ++iteration) {
    const auto [r, report] =
        ppo_iteration(policy, reference, critic, prompts(iteration), score, options, iteration, ranks);
    ++done;
    if (!on_iteration(r, report)) break;
  }
  return done;
}

}  // namespace emend
