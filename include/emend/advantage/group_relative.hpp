#pragma once

#include <emend/advantage/groups.hpp>
#include <emend/core/moments.hpp>

namespace emend {

/// Over which rewards a mean or a deviation is taken.
///   none           mean 0, deviation 1
///   group          the sequence's group
///   batch          all sequences
///   leave_one_out  the group without the sequence itself
enum class reward_scope { none, group, batch, leave_one_out };

/// What a sequence without others to compare it with gets.
///   zero  the advantage 0                                            TRL, NeMo, verl (vectorised RLOO)
///   raw   mean 0 and deviation 1: the reward itself                  verl
enum class lone_sequence { zero, raw };

/// Options of `group_relative`.
///   GRPO        mean group, deviation group: verl, ROLL 1e-6; TRL 1e-4; OpenRLHF 1e-9; TRL async, open-instruct
///   biased, 1e-8 Dr. GRPO    mean group, deviation none RLOO        mean leave_one_out, deviation none NeMo mean
///   leave_one_out, deviation leave_one_out, 1e-6, keeps_constant batch norm  mean batch, deviation batch (ROLL); TRL
///   scale_rewards = batch: mean group, deviation batch flash_reinforce (OpenRLHF)  mean batch, deviation none
struct group_relative_options {
  reward_scope mean = reward_scope::group;
  reward_scope deviation = reward_scope::group;
  bool is_unbiased = true;      ///< deviation over n - 1; over n: open-instruct, TRL async
  double epsilon = 1e-6;        ///< added to the deviation
  bool keeps_constant = false;  ///< where the deviation is 0, do not divide by epsilon alone (NeMo)
  lone_sequence lone = lone_sequence::zero;
  column counts = {};  ///< [B] 0: the reward is in no mean and no deviation, its own is formed as of the others
  moments batch = {};  ///< of the rewards of the whole batch, merged over micro-batches; count 0: those of `reward`
};

/// What `group_relative` returns, [B] each.
struct group_relative_advantages {
  std::vector<double> advantage, baseline, deviation;
};

/// Advantages of sequences relative to the others that answer the same prompt.
///   A_i = (R_i - mean) / (deviation + epsilon)       mean, deviation over the scopes of the options
/// reward: [B], NaN where there is none: such a reward is in no mean, and its advantage is 0. group: [B] ids of the
/// prompts; empty: the batch is one group. `to_tokens` spreads the result. Throws std::invalid_argument on a length
/// that does not fit, or an infinite reward. Finite rewards whose squares overflow (about 1e154) have advantages of NaN
/// where their deviation is needed. Cost: linear; a leave-one-out deviation is quadratic in the group, because
/// differences of sums of squares leave residues where the others are equal. Shao et al. 2024 (GRPO); Liu et al. 2025
/// (Dr. GRPO); Ahmadian et al. 2024 (RLOO).
inline group_relative_advantages group_relative(column reward, const groups& group,
                                                const group_relative_options& options = {}) {
  const index sequences = reward.size();
  detail::require_length("group", group.sequences(), sequences);
  if (options.counts.is_given()) detail::require_length("counts", options.counts.size(), sequences);
  detail::require_not_negative("epsilon", options.epsilon);
  detail::require_finite_rewards(reward);
  detail::require_finite_moments("batch", options.batch.count, options.batch.mean, options.batch.squares);
  const auto is_present = [&](index b) {
    return reward[b] == reward[b] && (!options.counts.is_given() || options.counts[b] != 0);
  };

  // Rewards are finite: only an overflow makes their squares infinite or NaN. The NaN shows in the advantages.
  const auto deviation_of = [&](const moments& m) {
    return m.squares - m.squares == 0 ? m.deviation(options.is_unbiased) : __builtin_nan("");
  };

  moments batch = options.batch;
  if (batch.count == 0)
    for (index b = 0; b < sequences; ++b)
      if (is_present(b)) batch.add(reward[b]);

  group_relative_advantages result;
  for (auto* of : {&result.advantage, &result.baseline, &result.deviation})
    of->assign(static_cast<std::size_t>(sequences), 0);
  for (index g = 0; g < group.count(); ++g) {
    // Equal rewards have that mean and no spread exactly, whatever their sum rounds to.
    moments whole;
    double sum = 0, first = 0;
    bool is_constant = true;
    for (index k = 0; k < group.size(g); ++k) {
      const index b = group.member(g, k);
      if (!is_present(b)) continue;
      if (whole.count == 0) first = reward[b];
      is_constant = is_constant && reward[b] == first;
      whole.count += 1;
      sum += reward[b];
    }
    whole.mean = is_constant ? first : sum / whole.count;
    for (index k = 0; k < group.size(g) && !is_constant; ++k) {
      const double step = is_present(group.member(g, k)) ? reward[group.member(g, k)] - whole.mean : 0;
      whole.squares += step * step;
    }
    for (index k = 0; k < group.size(g); ++k) {
      const index b = group.member(g, k);
      const auto at = static_cast<std::size_t>(b);
      if (reward[b] != reward[b]) continue;
      const double others = whole.count - (is_present(b) ? 1 : 0);
      const auto others_mean = [&] { return is_constant ? first : (sum - (is_present(b) ? reward[b] : 0)) / others; };
      const auto others_deviation = [&] {
        const auto for_each_other = [&](auto&& f) {
          for (index j = 0; j < group.size(g); ++j) {
            const index other = group.member(g, j);
            if (other != b && is_present(other)) f(reward[other]);
          }
        };
        // About the mean of the others alone: the group's sum less a large reward keeps nothing of small ones.
        double sum_of_others = 0, one = __builtin_nan("");
        bool are_equal = true;
        for_each_other([&](double x) {
          if (one != one) one = x;
          are_equal = are_equal && x == one;
          sum_of_others += x;
        });
        if (are_equal) return 0.0;
        moments of_others{others, sum_of_others / others, 0};
        for_each_other([&](double x) { of_others.squares += (x - of_others.mean) * (x - of_others.mean); });
        return deviation_of(of_others);
      };
      const bool is_lone = others == 0;
      const bool is_raw = is_lone && options.lone == lone_sequence::raw;
      double mean = 0, deviation = 1;
      switch (options.mean) {
        case reward_scope::group:
          mean = is_raw ? 0 : is_lone ? reward[b] : whole.mean;
          break;
        case reward_scope::batch:
          mean = batch.mean;
          break;
        case reward_scope::leave_one_out:
          mean = is_raw ? 0 : is_lone ? reward[b] : others_mean();
          break;
        case reward_scope::none:
          break;
      }
      switch (options.deviation) {
        case reward_scope::group:
          deviation = is_raw ? 1 : deviation_of(whole);
          break;
        case reward_scope::batch:
          deviation = deviation_of(batch);
          break;
        case reward_scope::leave_one_out:
          deviation = is_raw ? 1 : others_deviation();
          break;
        case reward_scope::none:
          break;
      }
      const bool is_divided = options.deviation != reward_scope::none && !(options.keeps_constant && deviation == 0);
      const double divisor = is_divided ? deviation + options.epsilon : 1;
      result.baseline[at] = mean;
      result.deviation[at] = deviation;
      result.advantage[at] = divisor == 0 ? 0 : (reward[b] - mean) / divisor;
    }
  }
  return result;
}

/// The same with the group ids of the sequences, [B]; empty: one group.
inline group_relative_advantages group_relative(column reward, id_column group,
                                                const group_relative_options& options = {}) {
  return group_relative(reward, groups(group, reward.size()), options);
}

}  // namespace emend
