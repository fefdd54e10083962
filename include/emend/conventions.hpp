#pragma once

#include <emend/advantage/gae.hpp>
#include <emend/advantage/group_relative.hpp>
#include <emend/advantage/whitening.hpp>
#include <emend/losses/aggregation.hpp>
#include <emend/losses/cispo.hpp>
#include <emend/losses/kl_penalty.hpp>
#include <emend/losses/ppo_clip.hpp>
#include <emend/losses/sequence_level.hpp>
#include <emend/losses/value_clip.hpp>
#include <emend/off_policy/importance_weights.hpp>
#include <emend/off_policy/off_policy_metrics.hpp>
#include <emend/off_policy/rejection.hpp>
#include <emend/reward/overlong_penalty.hpp>
#include <emend/reward/token_rewards.hpp>

namespace emend {

/// Which position the reward of a whole sequence stands at.
///   last        its last counted token                  `last_positions`
///   after_last  the one after it, if the row has one    `positions_after_last`
enum class score_place { last, after_last };

/// Everything in which systems for the training of language models compute the same method differently, one value of
/// it. The defaults are the library's. A convention fixes rules; bounds and coefficients are the defaults of the field,
/// to be set in a copy: `auto mine = conventions::verl; mine.ppo.clip_high = 0.28;`. A coefficient of 0 means that the
/// system has no divergence in that place.
struct convention {
  token_reward_options reward = {.scalar_scale = 1};
  score_place score = score_place::last;
  overlong_options overlong = {.maximum_length = 4096};
  gae_options gae = {};
  whiten_options whitening = {};
  group_relative_options group = {};
  aggregation aggregate = aggregation::token_mean;
  aggregation_options aggregation_rules = {};
  // Losses without their columns, which the functions below fill in.
  emend::ppo_clip ppo = {.old_log_prob = {}, .advantage = {}};
  emend::cispo cispo = {
      .old_log_prob = {}, .advantage = {}, .ratio_low = 0.8, .ratio_high = 1.2, .log_ratio_bound = detail::infinity};
  sequence_level<emend::ppo_clip> sequence = {
      .loss = {.old_log_prob = {}, .advantage = {}, .clip_low = 3e-4, .clip_high = 4e-4}};
  emend::kl_penalty kl = {.reference_log_prob = {}};
  emend::value_clip critic = {.old_value = {}, .returns = {}};
  importance_options importance = {.log_ratio_clamp = detail::infinity};
  rejection_options rejection = {};
  off_policy_metric_options off_policy = {};

  /// The convention's policy losses of a batch. old_log_prob, advantage: [N].
  emend::ppo_clip ppo_loss(column old_log_prob, column advantage) const { return with(ppo, old_log_prob, advantage); }
  emend::cispo cispo_loss(column old_log_prob, column advantage) const { return with(cispo, old_log_prob, advantage); }
  sequence_level<emend::ppo_clip> sequence_loss(column old_log_prob, column advantage) const {
    return at_sequence(with(sequence.loss, old_log_prob, advantage));
  }
  /// Any policy loss at the convention's ratio of a sequence.
  template <policy_loss L>
  sequence_level<L> at_sequence(const L& loss) const {
    return {loss, sequence.ratio, sequence.gradient, sequence.log_ratio_cap, sequence.length_epsilon};
  }
  /// The convention's error of a critic. old_value, returns: [N].
  emend::value_clip value_loss(column old_value, column returns) const {
    emend::value_clip loss = critic;
    loss.old_value = old_value;
    loss.returns = returns;
    return loss;
  }
  /// The convention's divergence penalty. reference_log_prob: [N]; old_log_prob: [N], or empty where the weighting
  /// needs none.
  emend::kl_penalty kl_loss(column reference_log_prob, column old_log_prob = {}) const {
    emend::kl_penalty loss = kl;
    loss.reference_log_prob = reference_log_prob;
    loss.old_log_prob = old_log_prob;
    return loss;
  }
  /// Weights of the tokens of a batch under the convention's rules, its own aggregation or another one.
  template <layout_argument L>
  std::vector<double> weights(const L& layout) const {
    return token_weights(layout, aggregate, aggregation_rules);
  }
  template <layout_argument L>
  std::vector<double> weights(const L& layout, aggregation how) const {
    return token_weights(layout, how, aggregation_rules);
  }
  /// Where the rewards of whole sequences stand, for `token_reward_options::scalar_position`. [B]
  template <detail::contiguous_layout L>
  std::vector<index> score_positions(const L& layout) const {
    return score == score_place::last ? last_positions(layout) : positions_after_last(layout);
  }

 private:
  template <class L>
  static L with(L loss, column old_log_prob, column advantage) {
    loss.old_log_prob = old_log_prob;
    loss.advantage = advantage;
    return loss;
  }
};

/// One convention per system, as of the versions that the comments name. What a comment does not mention the system
/// shares with the library's defaults, or does not have.
namespace conventions {

/// verl 0.9. Divergence in the reward (k1) or in the loss (k3). Also leaves whitened values where nothing is counted
/// (GAE).
inline constexpr convention verl{
    .reward = {.scalar_scale = 1},
    .whitening = {.count_epsilon = 1e-8},
    .group = {.lone = lone_sequence::raw},
    .aggregation_rules = {.length_epsilon = 1e-8},
    .ppo = {.old_log_prob = {}, .advantage = {}, .dual_clip = 3, .log_ratio_bound = 20},
    .cispo = {.old_log_prob = {}, .advantage = {}, .ratio_low = 0.8, .ratio_high = 1.2, .log_ratio_bound = 20},
    .sequence = {.loss = {.old_log_prob = {}, .advantage = {}, .clip_low = 3e-4, .clip_high = 4e-4},
                 .gradient = ratio_gradient::token,
                 .log_ratio_cap = 10},
    .kl = {.reference_log_prob = {}, .clamps = {.input = 20, .output = 10}},
    .critic = {.old_value = {}, .returns = {}, .edge = clip_edge::half},
    .importance = {},
    .off_policy = {.mean_epsilon = 1e-8, .counts_empty_sequences = true}};

/// TRL 1.16: GRPO and RLOO. No critic. `whitening` is RLOO's optional one over the sequences of a batch. Divergence in
/// the loss (GRPO); the loss types other than "dapo" are aggregations: "grpo" per_example_mean, "dr_grpo"
/// sequence_sum_per_length, "luspo" sequence_sum.
inline constexpr convention trl{.reward = {.kl_coefficient = 0, .scalar_scale = 1},
                                .whitening = {.epsilon = 1e-4, .place = epsilon_place::deviation},
                                .group = {.epsilon = 1e-4},
                                .aggregation_rules = {.counts_empty_sequences = true},
                                .cispo = {.old_log_prob = {},
                                          .advantage = {},
                                          .ratio_low = 0,
                                          .ratio_high = 5,
                                          .log_ratio_bound = detail::infinity},
                                .kl = {.reference_log_prob = {}, .weighting = kl_weighting::ratio},
                                .importance = {.upper = 3, .log_ratio_clamp = detail::infinity}};

/// TRL's PPO trainer, in its releases up to 1.12. The layout of rewards and advantages counts one position more than
/// the response; divergence in the reward.
inline constexpr convention trl_ppo{.reward = {.scalar_scale = 1},
                                    .score = score_place::after_last,
                                    .kl = {.reference_log_prob = {}, .coefficient = 0}};

/// OpenRLHF 0.11. Divergence in the reward or in the loss; with "unbiased_gradient" `kl.weighting` is
/// unbiased_gradient. GSPO has no bound of the log-ratio. Importance correction: "tis"; "icepop" masks, "seq-mask-tis"
/// at sequence_mean.
inline constexpr convention openrlhf{
    .reward = {.scalar_scale = 1, .kl_bounds = {.output = 10}},
    .gae = {.holes = hole_rule::decay},
    .whitening = {.is_unbiased = false, .place = epsilon_place::floor, .uncounted = uncounted_value::transformed},
    .group = {.epsilon = 1e-9},
    .aggregation_rules = {.length_epsilon = 1e-8},
    .ppo = {.old_log_prob = {}, .advantage = {}, .log_ratio_bound = 20},
    .kl = {.reference_log_prob = {}, .clamps = {.output = 10}, .weight_cap = 10},
    .importance = {.lower = 0.5, .upper = 5, .is_weight_per_token = true, .log_ratio_clamp = detail::infinity}};

/// align-anything (PKU), of November 2025. The clamp holds for score and divergence together. No importance correction.
inline constexpr convention align_anything{.reward = {.scalar_scale = 1, .clamp = 50},
                                           .gae = {.holes = hole_rule::decay},
                                           .aggregate = aggregation::per_example_mean,
                                           .kl = {.reference_log_prob = {}, .coefficient = 0}};

/// trlx, of January 2024. No mask in advantages and whitening: a layout without one. No groups.
inline constexpr convention trlx{.reward = {.scalar_scale = 1}, .kl = {.reference_log_prob = {}, .coefficient = 0}};

/// NeMo-RL, of August 2026. `whitening` is that of its GAE; REINFORCE++ whitens as OpenRLHF. Divergence in the reward
/// or in the loss. The overlong penalty grows on.
inline constexpr convention nemo_rl{
    .reward = {.scalar_scale = 1, .kl_bounds = {.input = 20, .output = 10}},
    .overlong = {.maximum_length = 4096, .is_capped = false},
    .whitening = {.count_epsilon = 1e-8},
    .group = {.mean = reward_scope::leave_one_out, .deviation = reward_scope::leave_one_out, .keeps_constant = true},
    .aggregation_rules = {.token_epsilon = 1e-8, .length_epsilon = 1e-8, .sequence_epsilon = 1e-8},
    .sequence = {.loss = {.old_log_prob = {}, .advantage = {}, .clip_low = 3e-4, .clip_high = 4e-4},
                 .length_epsilon = 1e-8},
    .kl = {.reference_log_prob = {}, .clamps = {.input = 20, .output = 10}, .weighting = kl_weighting::score_function},
    .importance = {.lower = 0.5, .upper = 5, .is_weight_per_token = true, .log_ratio_clamp = detail::infinity}};

/// NeMo-Aligner, of May 2025. Divergence in the reward. Leave-one-out baselines without a deviation.
inline constexpr convention nemo_aligner{
    .reward = {.scalar_scale = 1},
    .gae = {.holes = hole_rule::decay},
    .whitening = {.is_unbiased = false},
    .group = {.mean = reward_scope::leave_one_out, .deviation = reward_scope::none},
    .kl = {.reference_log_prob = {}, .coefficient = 0}};

/// Liger-Kernel 0.8: losses only, those of TRL.
inline constexpr convention liger{
    .reward = {.kl_coefficient = 0, .scalar_scale = 1},
    .aggregation_rules = {.counts_empty_sequences = true},
    .cispo = {
        .old_log_prob = {}, .advantage = {}, .ratio_low = 0, .ratio_high = 5, .log_ratio_bound = detail::infinity}};

/// AReaL, of May 2026. The bounds of an estimate are those of "apply_clamp". "huber": `critic.huber_delta` 10. Averages
/// the advantage over a sequence at its level. The overlong penalty grows on.
inline constexpr convention areal{.reward = {.scalar_scale = 1, .kl_bounds = {.output = 10}},
                                  .overlong = {.maximum_length = 4096, .is_capped = false},
                                  .whitening = {.is_unbiased = false,
                                                .epsilon = 1e-5,
                                                .place = epsilon_place::deviation,
                                                .uncounted = uncounted_value::as_of_zero},
                                  .kl = {.reference_log_prob = {}, .clamps = {.output = 10}}};

/// slime, of August 2026. No mask in advantages: a layout without one. The bound of an estimate is that of
/// "low_var_kl".
inline constexpr convention slime{.reward = {.scalar_scale = 1},
                                  .kl = {.reference_log_prob = {}, .clamps = {.output = 10}},
                                  .critic = {.old_value = {}, .returns = {}, .factor = 1}};

/// open-instruct, of August 2026. Advantages "centered"; "standard" has the deviation of the group. Divergence in the
/// loss.
inline constexpr convention open_instruct{
    .reward = {.kl_coefficient = 0, .scalar_scale = 1},
    .group = {.deviation = reward_scope::none, .is_unbiased = false, .epsilon = 1e-8},
    .cispo =
        {.old_log_prob = {}, .advantage = {}, .ratio_low = 0, .ratio_high = 1.2, .log_ratio_bound = detail::infinity},
    .kl = {.reference_log_prob = {}, .clamps = {.input = 40}}};

/// ROLL, of August 2026. No mask in GAE: a layout without one. Its token mean forgets the mask in the numerator; ours
/// does not. The dual clip is 1 + 2 clip.
inline constexpr convention roll{
    .reward = {.scalar_scale = 1},
    .whitening = {.count_epsilon = 1e-8},
    .aggregation_rules = {.counts_empty_sequences = true, .length_epsilon = 1e-8, .sequence_epsilon = 1e-8},
    .ppo = {.old_log_prob = {}, .advantage = {}, .dual_clip = 1.4},
    .kl = {.reference_log_prob = {}, .clamps = {.output = 10}}};

/// OpenAI's lm-human-preferences, 2019, and its replications. No mask: a layout without one. Divergence in the reward;
/// no groups.
inline constexpr convention lm_human_preferences{.reward = {.scalar_scale = 1},
                                                 .whitening = {.is_unbiased = false},
                                                 .kl = {.reference_log_prob = {}, .coefficient = 0}};

}  // namespace conventions

}  // namespace emend
