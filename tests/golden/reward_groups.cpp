// Rewards, their normalisation and control, and the metrics of a critic.

#include "token_case.hpp"

namespace golden {
namespace {

std::string masked_whiten(vector_case& c) {
  const token_shape shape(c, "values");
  const std::vector<double> values = c.input("values").data;
  emend::whiten_options options = c.peer() == "trl" ? emend::conventions::trl_ppo.whitening : whitening_of(c);
  options.is_mean_removed = c.is_true("shift_mean");
  options.uncounted = emend::uncounted_value::transformed;
  const std::vector<double> whitened = emend::whiten(values, shape.layout(), options);
  if (c.is_refused()) {
    for (double x : whitened)
      if (!(x == x)) throw std::runtime_error("whitening of less than two tokens is not a number");
    return "the peer refuses to whiten less than two tokens; ours scales by the epsilon alone";
  }
  if (c.has_tag("single_valid_token")) return "the peer whitens one number to NaN; ours scales by the epsilon alone";
  const emend::moments m = emend::moments_of(values, shape.layout());
  const double count = m.count + options.count_epsilon, mean = m.sum() / count;
  const double biased = (m.squares + m.count * (m.mean - mean) * (m.mean - mean)) / count;
  c.expect("mean", mean);
  c.expect("var_biased", biased);
  c.expect("var_unbiased", biased * m.count / (m.count - 1));
  c.expect("whitened", whitened);
  return {};
}

std::string whiten_unmasked(vector_case& c) {
  const token_shape shape(c, "values");
  const std::vector<double> values = c.input("values").data;
  if (c.has_nan()) return "the peer's variance of one number is NaN; ours is 0";
  emend::whiten_options options{.is_unbiased = false, .place = emend::epsilon_place::deviation};
  if (c.peer() != "alpaca_farm") options = whitening_of(c);
  options.is_mean_removed = c.is_true("shift_mean");
  c.expect("whitened", emend::whiten(values, shape.all(), options));
  return {};
}

std::string masked_normalize_global(vector_case& c) {
  const token_shape shape(c, "values");
  const std::vector<double> values = c.input("values").data;
  if (c.has_nan()) return "the peer's variance of one number is NaN; ours is 0";
  emend::whiten_options options = emend::conventions::areal.whitening;
  options.is_unbiased = c.is_true("unbiased");
  c.expect("normalized", emend::whiten(values, shape.layout(), options));
  return {};
}

std::string masked_normalize_rows(vector_case& c) {
  const token_shape shape(c, "values");
  const std::vector<double> values = c.input("values").data;
  emend::whiten_options options = emend::conventions::openrlhf.whitening;
  options.uncounted = emend::uncounted_value::zero;
  c.expect("normalized", emend::whiten_rows(values, shape.layout(), options));
  return {};
}

std::string running_moments(vector_case& c) {
  emend::running_moments moments;
  const json& updates = c.part("inputs").at("updates");
  const json& expected = c.part("outputs").at("after_each_update");
  for (std::size_t i = 0; i < updates.size(); ++i) {
    const std::vector<double> batch = array_of(updates[i]).data;
    const emend::moments of_batch = moments.update(batch);
    const auto expect = [&](const char* name, double got) {
      c.expect_number(name, array_of(expected[i].at(name)), got);
    };
    expect("batch_mean", of_batch.mean);
    expect("batch_std", of_batch.deviation());
    expect("mean", moments.mean());
    expect("var", moments.variance());
    expect("std", moments.deviation());
    expect("count", moments.count());
  }
  return {};
}

std::string overlong_penalty(vector_case& c) {
  std::vector<double> reward = c.input("scores").data;
  const std::vector<double> length = c.input("lengths").data;
  emend::overlong_options options = convention_of(c).overlong;
  options.maximum_length = c.parameter("max_new_tokens");
  options.buffer = c.parameter("buffer");
  options.factor = c.parameter("factor");
  const std::vector<double> penalty = emend::overlong_penalty(length, options);
  for (std::size_t b = 0; b < reward.size(); ++b) reward[b] += penalty[b];
  c.expect("rewards", reward);
  return {};
}

std::string response_mask(vector_case& c) {
  const array ids = c.input("ids");
  const auto ends = c.part("params").at("eos").get<std::vector<int>>();
  const std::vector<char> mask = emend::response_mask(ids.ids(), emend::padded(ids.rows(), ids.columns()), ends);
  c.expect_exactly("mask", {mask.begin(), mask.end()});
  return {};
}

std::string truncate_response(vector_case& c) {
  const array ids = c.input("ids");
  const std::vector<int> ends{static_cast<int>(c.parameter("stop_token_id"))};
  c.expect_exactly("ids", emend::truncate_response(ids.ids(), emend::padded(ids.rows(), ids.columns()), ends,
                                                   static_cast<emend::index>(c.parameter("pad_token_id"))));
  return {};
}

std::string token_reward_with_kl(vector_case& c) {
  const token_shape shape(c, "token_scores");
  const std::vector<double> score = c.input("token_scores").data, log_prob = c.input("log_prob").data,
                            reference = c.input("ref_log_prob").data;
  // The peer leaves padding to its caller: every position has a reward.
  c.expect("rewards",
           emend::token_rewards(score, log_prob, reference, shape.all(), {.kl_coefficient = c.parameter("beta")}));
  return {};
}

std::string terminal_reward_with_kl(vector_case& c) {
  token_shape shape(c, "log_prob");
  const std::vector<double> score = c.input("scores").data, log_prob = c.input("log_prob").data,
                            reference = c.input("ref_log_prob").data;
  emend::token_reward_options options = convention_of(c).reward;
  options.kl_coefficient = c.parameter("beta");
  options.scalar_reward = score;
  options.kl = kl_kind_of(c.text("kl"));
  if (c.has_parameter("token_reward_clip")) options.clamp = c.parameter("token_reward_clip");
  if (c.has_parameter("score_clip")) {
    options.scalar_low = number_of(c.part("params").at("score_clip").at(0));
    options.scalar_high = number_of(c.part("params").at("score_clip").at(1));
  }
  std::vector<emend::index> position = convention_of(c).score_positions(shape.layout());
  if (c.has_input("response_lengths")) {
    const std::vector<emend::index> length = c.input("response_lengths").ids();
    for (std::size_t b = 0; b < length.size(); ++b)
      position[b] = static_cast<emend::index>(b) * shape.columns + length[b] - 2;
  }
  options.scalar_position = position;
  if (c.is_refused()) {
    const std::vector<double> reward = emend::token_rewards({}, log_prob, reference, shape.layout(), options);
    for (std::size_t t = 0; t < reward.size(); ++t)
      if (shape.mask[t] == 0 && reward[t] != 0) throw std::runtime_error("a sequence without tokens has a reward");
    return "the peer fails on a sequence without tokens; ours gives it no reward";
  }
  // But for NeMo, the peers take the divergence off at padding, too: all positions, the score where the mask says.
  if (c.peer() == "nemo-rl")
    c.expect("rewards", emend::token_rewards({}, log_prob, reference, shape.layout(), options));
  else if (c.has_tag("all_masked_row"))
    expect_counted(c, "rewards", emend::token_rewards({}, log_prob, reference, shape.layout(), options), shape.mask);
  else
    c.expect("rewards", emend::token_rewards({}, log_prob, reference, shape.all(), options));
  return {};
}

std::string adaptive_kl_controller(vector_case& c) {
  emend::adaptive_kl_controller controller{c.parameter("init"), c.parameter("target"), c.parameter("horizon")};
  const std::vector<double> kl = c.input("current_kl").data, steps = c.input("n_steps").data;
  std::vector<double> values;
  for (std::size_t i = 0; i < kl.size(); ++i) values.push_back(controller.update(kl[i], steps[i]));
  c.expect("values", values);
  return {};
}

std::string fixed_gain_kl_controller(vector_case& c) {
  emend::fixed_gain_kl_controller controller{c.parameter("init"), c.parameter("target"), c.parameter("gain")};
  std::vector<double> values;
  for (double kl : c.input("current_kl").data) values.push_back(controller.update(kl));
  c.expect("values", values);
  return {};
}

std::string value_metrics(vector_case& c) {
  const token_shape shape(c, "values");
  const std::vector<double> value = c.input("values").data, returns = c.input("returns").data;
  const emend::value_summary summary =
      emend::value_metrics(value, returns, shape.layout(), {.epsilon = c.parameter("epsilon")});
  if (c.has_nan()) return "the peer's variance of one number is NaN; ours explains all of none";
  c.expect_metric("values_mean", summary.mean);
  c.expect_metric("values_min", summary.minimum);
  c.expect_metric("values_max", summary.maximum);
  c.expect_metric("vf_explained_var", summary.explained_variance);
  return {};
}

const known_group known[] = {
    {"masked_whiten", masked_whiten},
    {"whiten_unmasked", whiten_unmasked},
    {"masked_normalize_global", masked_normalize_global},
    {"masked_normalize_rows", masked_normalize_rows},
    {"running_moments", running_moments},
    {"overlong_penalty", overlong_penalty},
    {"response_mask", response_mask},
    {"truncate_response", truncate_response},
    {"token_reward_with_kl", token_reward_with_kl},
    {"terminal_reward_with_kl", terminal_reward_with_kl},
    {"adaptive_kl_controller", adaptive_kl_controller},
    {"adaptive_kl_controller_fixed_gain", fixed_gain_kl_controller},
    {"value_metrics", value_metrics},
};

}  // namespace
}  // namespace golden
