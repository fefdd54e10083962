// The advantages of sequences relative to others of their group.

#include "token_case.hpp"

namespace golden {
namespace {

using emend::reward_scope;
using emend::conventions::nemo_rl;
using emend::conventions::verl;

/// Consecutive blocks of the case's group size.
emend::groups groups_of(const vector_case& c, const std::vector<double>& reward) {
  return emend::groups::of_size(static_cast<emend::index>(c.parameter("group_size")),
                                static_cast<emend::index>(reward.size()));
}

/// The peer adds up all of a row, counted or not.
std::vector<double> row_scores(const vector_case& c) {
  const array rewards = c.input("token_rewards");
  return emend::sequence_sums(rewards.data, emend::padded(rewards.rows(), rewards.columns()));
}

/// Compares advantages per sequence, spread over the tokens of a case.
void expect_spread(vector_case& c, const std::vector<double>& per_sequence, const token_shape& shape) {
  expect_counted(c, "advantages", emend::to_tokens(per_sequence, shape.layout()), shape.mask);
}

std::string grpo(vector_case& c) {
  const token_shape shape(c, "token_rewards");
  emend::group_relative_options options = verl.group;
  if (!c.is_true("norm_adv_by_std_in_grpo")) options.deviation = reward_scope::none;
  expect_spread(c, emend::group_relative(row_scores(c), c.input("group").ids(), options).advantage, shape);
  return {};
}

std::string pass_at_k(vector_case& c) {
  const token_shape shape(c, "token_rewards");
  expect_spread(
      c,
      emend::pass_at_k(row_scores(c), c.input("group").ids(),
                       {.is_scaled = c.is_true("norm_adv_by_std_in_grpo"), .epsilon = c.parameter("epsilon")}),
      shape);
  return {};
}

std::string opo(vector_case& c) {
  if (c.has_nan()) return "the peer divides by the length of a group without tokens; ours has the baseline 0";
  const token_shape shape(c, "token_rewards");
  expect_spread(c, emend::opo(row_scores(c), c.input("group").ids(), shape.layout(), verl.group.lone), shape);
  return {};
}

std::string gpg(vector_case& c) {
  const token_shape shape(c, "token_rewards");
  expect_spread(c, emend::gpg(row_scores(c), c.input("group").ids(), {.lone = verl.group.lone}), shape);
  return {};
}

std::string gdpo(vector_case& c) {
  const token_shape shape(c, "token_rewards");
  const std::vector<double> score = row_scores(c);
  const std::vector<double> advantage =
      emend::gdpo({score}, {}, c.input("group").ids(), shape.layout(), verl.group, whitening_of(c));
  if (c.is_refused()) {
    for (double a : advantage)
      if (!(a < 1e-3 && a > -1e-3)) throw std::runtime_error("whitening of less than two tokens is not about 0");
    return "the peer refuses to whiten less than two tokens; ours gives zeros";
  }
  // Equal advantages are whitened by the epsilon alone: a rounding error then grows by 1 / sqrt(1e-8).
  expect_counted(c, "advantages", advantage, shape.mask, 1e-11);
  return {};
}

std::string reinforce_plus_plus_baseline(vector_case& c) {
  const token_shape shape(c, "token_rewards");
  expect_counted(c, "advantages",
                 emend::reinforce_plus_plus_baseline(row_scores(c), c.input("group").ids(), shape.layout(),
                                                     verl.group.lone, whitening_of(c)),
                 shape.mask);
  return {};
}

std::string rloo(vector_case& c) {
  const token_shape shape(c, "token_rewards");
  expect_spread(c, emend::leave_one_out(row_scores(c), c.input("group").ids(), verl.group.lone), shape);
  return {};
}

std::string rloo_vectorized(vector_case& c) {
  const token_shape shape(c, "token_rewards");
  expect_spread(c, emend::leave_one_out(row_scores(c), c.input("group").ids()), shape);
  return {};
}

std::string grouped_grpo(vector_case& c) {
  const std::vector<double> reward = c.input("rewards").data;
  if (c.has_input("group")) {
    emend::group_relative_options options = nemo_rl.group;
    if (!c.is_true("leave_one_out")) options.mean = options.deviation = reward_scope::group;
    const auto shown = emend::group_relative(reward, c.input("group").ids(), options);
    c.expect("baseline", shown.baseline);
    c.expect("std", shown.deviation);
    if (!c.is_true("normalize")) options.deviation = reward_scope::none;
    const token_shape shape(c, "mask");
    // The peer's tensor has the advantage at every position.
    c.expect("advantages",
             emend::to_tokens(emend::group_relative(reward, c.input("group").ids(), options).advantage, shape.all()));
    return {};
  }
  static const std::map<std::string, reward_scope> scopes = {
      {"group", reward_scope::group}, {"batch", reward_scope::batch}, {"none", reward_scope::none}};
  emend::group_relative_options options = emend::conventions::trl.group;
  options.deviation = scopes.at(c.text("scale"));
  c.expect("advantages", emend::group_relative(reward, groups_of(c, reward), options).advantage);
  return {};
}

std::string grouped_rloo(vector_case& c) {
  const std::vector<double> reward = c.input("rewards").data;
  const auto sequences = static_cast<emend::index>(reward.size());
  std::vector<double> advantage = emend::leave_one_out(reward, groups_of(c, reward));
  if (c.is_true("normalize"))
    emend::whiten_into(advantage, emend::padded(1, sequences), emend::conventions::trl.whitening, advantage);
  c.expect("advantages", advantage);
  return {};
}

std::string grouped_reinforce_plus_plus(vector_case& c) {
  const token_shape shape(c, "mask");
  const std::vector<double> reward = c.input("rewards").data, log_prob = c.input("log_prob").data,
                            reference = c.input("ref_log_prob").data;
  std::vector<double> relative = reward;
  if (c.is_true("minus_baseline"))
    relative = emend::group_relative(reward, c.input("group").ids(), {.deviation = reward_scope::none}).advantage;
  emend::token_reward_options options = nemo_rl.reward;
  options.kl_coefficient = c.is_true("kl_in_reward") ? c.parameter("beta") : 0;
  options.kl = kl_kind_of(c.text("kl"));
  std::vector<double> advantage =
      emend::token_rewards(emend::to_tokens(relative, shape.layout()), log_prob, reference, shape.layout(), options);
  emend::whiten_into(advantage, shape.layout(), {.is_unbiased = false, .place = emend::epsilon_place::floor},
                     advantage);
  expect_counted(c, "advantages", advantage, shape.mask);
  return {};
}

std::string rloo_baseline(vector_case& c) {
  const std::vector<double> reward = c.input("rewards").data, valid = c.input("valid").data;
  emend::group_relative_options options = emend::conventions::nemo_aligner.group;
  options.counts = valid;
  const std::vector<double> baseline = emend::group_relative(reward, c.input("group").ids(), options).baseline;
  // The peer's formula takes one off the count of a sample that it did not count; it does not use the result.
  std::vector<double> merged = c.output("baseline").data;
  for (std::size_t b = 0; b < merged.size(); ++b)
    if (valid[b] != 0) merged[b] = baseline[b];
  c.expect("baseline", merged);
  return {};
}

std::string reward_norm(vector_case& c) {
  const std::vector<double> reward = c.input("rewards").data;
  const auto scope = [&](const std::string& name) {
    return !c.has_parameter(name)    ? reward_scope::none
           : c.text(name) == "batch" ? reward_scope::batch
                                     : reward_scope::group;
  };
  emend::group_relative_options options = emend::conventions::roll.group;
  options.mean = scope("mean");
  options.deviation = scope("std");
  const auto result = emend::group_relative(reward, groups_of(c, reward), options);
  if (c.has_nan()) return "the peer's deviation of one reward is NaN; ours is 0";
  c.expect("rewards", result.advantage);
  return {};
}

const known_group known[] = {
    {"adv_grpo", grpo},
    {"adv_dr_grpo", grpo},
    {"adv_grpo_vectorized", grpo},
    {"adv_grpo_passk", pass_at_k},
    {"adv_opo", opo},
    {"adv_gpg", gpg},
    {"adv_gdpo", gdpo},
    {"adv_reinforce_pp_baseline", reinforce_plus_plus_baseline},
    {"adv_rloo", rloo},
    {"adv_rloo_vectorized", rloo_vectorized},
    {"adv_grouped_grpo", grouped_grpo},
    {"adv_grouped_rloo", grouped_rloo},
    {"adv_grouped_reinforce_pp", grouped_reinforce_plus_plus},
    {"rloo_baseline", rloo_baseline},
    {"reward_norm", reward_norm},
};

}  // namespace
}  // namespace golden
