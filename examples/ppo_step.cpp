// One batch of token-level PPO: rewards of single tokens less a divergence from the reference, advantages over ragged
// responses, the clipped objective with its exact gradient, and a few steps along it. The scores themselves are what is
// learned, so nothing stands between the gradient and what it does. The same source for every type of scores: ppo_step,
// ppo_step_eigen, .._xtensor, .._libtorch.

#include <cmath>
#include <cstdio>
#include <vector>

#include <common/backend_scores.hpp>
#include <common/no_options.hpp>
#include <emend/emend.hpp>

int main(int count, char** arguments) {
  if (const auto status =
          common::answer_arguments(count, arguments, "ppo_step: token-level PPO on two responses, step by step"))
    return *status;
  constexpr emend::index vocabulary = 8, tokens = 7;
  const std::vector<emend::index> offsets{0, 4, 7};
  const auto layout = emend::ragged(offsets);
  const std::vector<int> ids{1, 4, 2, 0, 6, 3, 0};
  const std::vector<double> score{1, -1, -1, 0, 1, 1, 1};  // of a reward model: which tokens it would have written
  common::backend_scores policy = common::make_scores(tokens, vocabulary);
  for (emend::index t = 0; t < tokens; ++t)
    for (emend::index j = 0; j < vocabulary; ++j)
      common::score_at(policy, t, j) = std::sin(static_cast<double>(2 + 5 * t + 3 * j));

  // When the responses were sampled: log-probabilities of the policy, which is its own reference here, and values of a
  // critic.
  const std::vector<double> old_log_prob = emend::statistics(policy, ids).log_prob;
  const std::vector<double> value{0.2, 0.1, -0.1, 0.0, 0.4, 0.3, 0.2};
  const std::vector<double> reward =
      emend::token_rewards(score, old_log_prob, old_log_prob, layout, {.kl_coefficient = 0.02});
  const auto [advantage, returns] = emend::gae(reward, value, layout, {.gamma = 1, .lambda = 0.95});

  const std::vector<double> weight = emend::token_weights(layout, emend::aggregation::token_mean);
  const emend::policy_objective<emend::ppo_clip> objective{
      .policy = {.old_log_prob = old_log_prob, .advantage = advantage},
      .weight = weight,
      .kl = {.reference_log_prob = old_log_prob, .coefficient = 0.02},
      .entropy_coefficient = 0.001};
  std::printf("scores: %s\n\n step       value   clipped       kl\n", common::backend_scores_name);
  constexpr double rate = 2;
  for (int step = 0; step < 6; ++step) {
    const auto result = emend::evaluate(objective, policy, ids);
    std::printf("%5d  %10.6f   %6.1f %%   %.5f\n", step, result.value, 100 * result.metrics[0], result.metrics[5]);
    for (emend::index t = 0; t < tokens; ++t)
      for (emend::index j = 0; j < vocabulary; ++j)
        common::score_at(policy, t, j) -= rate * common::score_at(result.gradient, t, j);
  }

  const std::vector<double> log_prob = emend::statistics(policy, ids).log_prob;
  std::printf("\n token  reward  advantage  return   probability: before   after\n");
  bool is_right = true;
  for (std::size_t t = 0; t < ids.size(); ++t) {
    std::printf("%6d  %6.2f     %6.3f  %6.3f                %6.3f  %6.3f\n", ids[t], reward[t], advantage[t],
                returns[t], std::exp(old_log_prob[t]), std::exp(log_prob[t]));
    is_right = is_right && (std::abs(advantage[t]) < 1e-12 || (log_prob[t] > old_log_prob[t]) == (advantage[t] > 0));
  }
  return is_right ? 0 : 1;
}
