#pragma once

#include <emend/advantage/groups.hpp>
#include <emend/carriers/real.hpp>
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

namespace detail {

/// The rewards of one group, and those of them that a sequence is compared with.
class group_rewards {
 public:
  group_rewards(const column& reward, const groups& group, index number, const group_relative_options& options)
      : reward_(reward), group_(group), options_(options), number_(number) {
    // Equal rewards have that mean and no spread exactly, whatever their sum rounds to.
    for_each_present([&](index, double x) {
      if (whole_.count == 0) first_ = x;
      is_constant_ = is_constant_ && x == first_;
      whole_.count += 1;
      sum_ += x;
    });
    whole_.mean = is_constant_ ? first_ : sum_ / whole_.count;
    if (!is_constant_)
      for_each_present([&](index, double x) { whole_.squares += (x - whole_.mean) * (x - whole_.mean); });
  }

  /// Whether a reward enters means and deviations.
  static bool is_present(const column& reward, const group_relative_options& options, index b) {
    return reward[b] == reward[b] && (!options.counts.is_given() || options.counts[b] != 0);
  }
  /// Rewards are finite: only an overflow makes their squares infinite or NaN. The NaN shows in the advantages.
  static double deviation_of(const moments& m, bool is_unbiased) {
    return m.squares - m.squares == 0 ? m.deviation(is_unbiased) : not_a_number;
  }

  /// What the options say that sequence b is compared with. batch: the moments of the whole batch.
  double mean(index b, const moments& batch) const {
    if (options_.mean == reward_scope::none) return 0;
    if (options_.mean == reward_scope::batch) return batch.mean;
    if (others(b) == 0) return options_.lone == lone_sequence::raw ? 0 : reward_[b];
    if (options_.mean == reward_scope::group) return whole_.mean;
    return is_constant_ ? first_ : (sum_ - (is_present(reward_, options_, b) ? reward_[b] : 0)) / others(b);
  }
  double deviation(index b, const moments& batch) const {
    if (options_.deviation == reward_scope::none) return 1;
    if (options_.deviation == reward_scope::batch) return deviation_of(batch, options_.is_unbiased);
    if (others(b) == 0 && options_.lone == lone_sequence::raw) return 1;
    return options_.deviation == reward_scope::group ? deviation_of(whole_, options_.is_unbiased)
                                                     : deviation_without(b);
  }

 private:
  /// How many others of the group are there.
  double others(index b) const { return whole_.count - (is_present(reward_, options_, b) ? 1 : 0); }

  /// About the mean of the others alone: the group's sum less a large reward keeps nothing of small ones.
  double deviation_without(index b) const {
    double sum = 0, one = not_a_number;
    bool are_equal = true;
    const auto for_each_other = [&](auto&& f) {
      for_each_present([&](index other, double x) {
        if (other != b) f(x);
      });
    };
    for_each_other([&](double x) {
      if (one != one) one = x;
      are_equal = are_equal && x == one;
      sum += x;
    });
    if (are_equal) return 0;
    moments of_others{others(b), sum / others(b), 0};
    for_each_other([&](double x) { of_others.squares += (x - of_others.mean) * (x - of_others.mean); });
    return deviation_of(of_others, options_.is_unbiased);
  }

  template <class F>
  void for_each_present(F&& f) const {
    for (index k = 0; k < group_.size(number_); ++k) {
      const index b = group_.member(number_, k);
      if (is_present(reward_, options_, b)) f(b, reward_[b]);
    }
  }

  const column& reward_;
  const groups& group_;
  const group_relative_options& options_;
  index number_;
  moments whole_;
  double sum_ = 0, first_ = 0;
  bool is_constant_ = true;
};

}  // namespace detail

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

  moments batch = options.batch;
  if (batch.count == 0)
    for (index b = 0; b < sequences; ++b)
      if (detail::group_rewards::is_present(reward, options, b)) batch.add(reward[b]);

  group_relative_advantages result;
  for (auto* of : {&result.advantage, &result.baseline, &result.deviation})
    of->assign(static_cast<std::size_t>(sequences), 0);
  for (index g = 0; g < group.count(); ++g) {
    const detail::group_rewards rewards(reward, group, g, options);
    for (index k = 0; k < group.size(g); ++k) {
      const index b = group.member(g, k);
      const auto at = static_cast<std::size_t>(b);
      if (reward[b] != reward[b]) continue;
      const double mean = rewards.mean(b, batch), deviation = rewards.deviation(b, batch);
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
