// The advantages that need a critic, or rewards per token.

#include "token_case.hpp"

namespace golden {
namespace {

/// A batch that the peer refuses to whiten: one token is its own mean.
std::string refused_whitening(const std::vector<double>& ours) {
  for (double a : ours)
    if (!(a < 1e-3 && a > -1e-3)) throw std::runtime_error("whitening of less than two tokens is not about 0");
  return "the peer refuses to whiten less than two tokens; ours gives zeros";
}

std::string gae(vector_case& c) {
  const token_shape shape(c, "rewards");
  const std::vector<double> reward = c.input("rewards").data, value = c.input("values").data;
  const std::string masking = c.text("masking");
  const emend::padded layout = masking == "none" ? shape.all() : shape.layout();
  emend::gae_options options = convention_of(c).gae;
  options.gamma = c.parameter("gamma");
  options.lambda = c.parameter("lam");
  auto [advantage, returns] = emend::gae(reward, value, layout, options);
  if (c.is_true("whiten")) emend::whiten_into(advantage, layout, whitening_of(c), advantage);
  if (c.is_refused()) return refused_whitening(advantage);
  if (c.has_nan()) return "the peer whitens one number to NaN; ours gives 0";
  std::vector<double> mask = masking == "none" ? std::vector<double>(reward.size(), 1) : shape.mask;
  if (const auto start = static_cast<emend::index>(c.has_parameter("start") ? c.parameter("start") : 0); start > 0) {
    // The peer returns the columns from `start` on; what stands before does not reach them.
    std::vector<double> a, g, m;
    for (emend::index t = 0; t < shape.rows * shape.columns; ++t)
      if (t % shape.columns >= start) {
        const auto at = static_cast<std::size_t>(t);
        a.push_back(advantage[at]);
        g.push_back(returns[at]);
        m.push_back(mask[at]);
      }
    advantage = a;
    returns = g;
    mask = m;
  }
  expect_counted(c, "advantages", advantage, mask);
  expect_counted(c, "returns", returns, mask);
  return {};
}

std::string gae_from_scores(vector_case& c) {
  const token_shape shape(c, "values");
  const std::vector<double> score = c.input("scores").data, value = c.input("values").data,
                            log_prob = c.input("log_prob").data, reference = c.input("ref_log_prob").data;
  emend::token_reward_options options = emend::conventions::nemo_rl.reward;
  options.kl_coefficient = c.is_true("use_kl_in_reward") ? c.parameter("reference_policy_kl_penalty") : 0;
  options.scalar_reward = score;
  options.kl = kl_kind_of(c.text("reference_policy_kl_type"));
  const std::vector<double> reward = emend::token_rewards({}, log_prob, reference, shape.layout(), options);
  const double lambda = c.parameter("gae_lambda"), alpha = c.parameter("length_adaptive_alpha");
  for (emend::index b = 0; b < shape.rows && c.is_double() && alpha > 0; ++b)
    if (const double adapted = 1 - 1 / (alpha * static_cast<double>(emend::length_of(shape.layout(), b)));
        adapted > 0 && static_cast<float>(adapted) != adapted)
      return "the peer adapts lambda to the length in single precision, in a case of double";
  auto [advantage, returns] =
      emend::gae(reward, value, shape.layout(),
                 {.gamma = c.parameter("gae_gamma"),
                  .lambda = c.has_parameter("gae_lambda_policy") ? c.parameter("gae_lambda_policy") : lambda,
                  .value_lambda = c.has_parameter("gae_lambda_value") ? c.parameter("gae_lambda_value") : lambda,
                  .length_adaptive_alpha = alpha});
  if (c.is_true("normalize_advantages")) emend::whiten_into(advantage, shape.layout(), whitening_of(c), advantage);
  expect_counted(c, "advantages", advantage, shape.mask);
  expect_counted(c, "returns", returns, shape.mask);
  return {};
}

std::string gae_packed(vector_case& c) {
  const token_shape shape(c, "rewards");
  const std::vector<double> reward = c.input("rewards").data, value = c.input("values").data;
  // A token that is done, or not of the response, is the last of its sequence; so is the last of a row.
  std::vector<double> is_end = c.input("dones").data;
  for (std::size_t t = 0; t < is_end.size(); ++t)
    if (shape.mask[t] == 0 || static_cast<emend::index>(t + 1) % shape.columns == 0) is_end[t] = 1;
  const std::vector<emend::index> offsets = emend::offsets_from_ends(is_end);
  const auto [advantage, returns] =
      emend::gae(reward, value, emend::ragged(offsets), {.gamma = c.parameter("gamma"), .lambda = c.parameter("lam")});
  c.expect("advantages", advantage);
  c.expect("returns", returns);
  return {};
}

std::string rollout_to_advantages(vector_case& c) {
  if (c.has_nan()) return "the peer whitens one number to NaN; ours gives 0";
  const array ids = c.input("response_ids");
  const emend::padded all(ids.rows(), ids.columns());
  const auto pad = static_cast<emend::index>(c.parameter("pad_token_id"));
  const std::vector<emend::index> response = ids.ids();
  // The peer takes the first padding for the end; a row that begins with it has its last token before the start.
  std::vector<double> mask(response.size(), 0), mask_with_next(response.size(), 0);
  std::vector<emend::index> length(static_cast<std::size_t>(ids.rows()));
  for (emend::index b = 0; b < ids.rows(); ++b) {
    emend::index n = 0;
    while (n < ids.columns() && response[static_cast<std::size_t>(b * ids.columns() + n)] != pad) ++n;
    length[static_cast<std::size_t>(b)] = n - 1;
    for (emend::index t = 0; t < ids.columns(); ++t) {
      mask[static_cast<std::size_t>(b * ids.columns() + t)] = t < n;
      mask_with_next[static_cast<std::size_t>(b * ids.columns() + t)] = t < n + 1;
    }
  }
  c.expect_exactly("sequence_lengths", length);
  const emend::padded counted(ids.rows(), ids.columns(), mask), with_next(ids.rows(), ids.columns(), mask_with_next);
  const std::vector<double> log_prob = c.input("log_prob").data, reference = c.input("ref_log_prob").data,
                            score = c.input("scores").data, value = c.input("values").data;
  const emend::convention& trl_ppo = emend::conventions::trl_ppo;
  const std::vector<emend::index> position = trl_ppo.score_positions(counted);
  std::vector<double> kl(response.size(), 0);
  const emend::kl_kind kind = kl_kind_of(c.text("kl_estimator"));
  for (std::size_t t = 0; t < kl.size(); ++t)
    if (mask[t] != 0) kl[t] = emend::kl_estimate(kind, log_prob[t] - reference[t]);
  c.expect("kl", kl);
  emend::token_reward_options options = trl_ppo.reward;
  options.kl_coefficient = c.parameter("kl_coef");
  options.scalar_reward = score;
  options.kl = kind;
  options.scalar_position = position;
  std::vector<double> reward = emend::token_rewards({}, log_prob, reference, counted, options);
  emend::whiten_options about_mean = trl_ppo.whitening;
  about_mean.is_mean_removed = false;
  if (c.is_true("whiten_rewards")) emend::whiten_into(reward, with_next, about_mean, reward);
  c.expect("rewards", reward);
  auto [advantage, returns] =
      emend::gae(reward, value, with_next, {.gamma = c.parameter("gamma"), .lambda = c.parameter("lam")});
  c.expect("returns", returns);
  emend::whiten_into(advantage, counted, trl_ppo.whitening, advantage);
  c.expect("advantages", advantage);
  return {};
}

std::string reinforce_plus_plus(vector_case& c) {
  const token_shape shape(c, "token_rewards");
  const std::vector<double> reward = c.input("token_rewards").data;
  const auto [advantage, returns] =
      emend::reinforce_plus_plus(reward, shape.layout(), {.gamma = c.parameter("gamma")}, whitening_of(c));
  expect_counted(c, "advantages", advantage, shape.mask);
  expect_counted(c, "returns", returns, shape.mask);
  return {};
}

std::string remax(vector_case& c) {
  const token_shape shape(c, "token_rewards");
  const std::vector<double> reward = c.input("token_rewards").data, baseline = c.input("baseline").data;
  const auto [advantage, returns] = emend::remax(reward, baseline, shape.layout());
  expect_counted(c, "advantages", advantage, shape.mask);
  expect_counted(c, "returns", returns, shape.mask);
  return {};
}

std::string optimal_token_baseline(vector_case& c) {
  const token_shape shape(c, "token_rewards");
  const std::vector<double> reward = c.input("token_rewards").data, log_prob = c.input("log_prob").data,
                            squares = c.input("sum_pi_squared").data;
  const auto [advantage, returns] =
      emend::optimal_token_baseline(reward, log_prob, squares, c.input("group").ids(), shape.layout(),
                                    {.step = emend::time_step::place,
                                     .epsilon = c.parameter("epsilon"),
                                     .has_zero_tail = c.is_true("handle_zero_tail")});
  expect_counted(c, "advantages", advantage, shape.mask);
  expect_counted(c, "returns", returns, shape.mask);
  return {};
}

std::string shaped_advantages(vector_case& c) {
  const token_shape shape(c, "kl");
  const std::vector<double> reward = c.input("rewards").data, kl = c.input("kl").data, value = c.input("values").data;
  const std::string estimator = c.text("estimator");
  const auto group = emend::groups::of_size(static_cast<emend::index>(c.parameter("group_size")), shape.rows);
  const emend::convention& openrlhf = emend::conventions::openrlhf;
  emend::group_relative_options without_deviation = openrlhf.group;
  without_deviation.deviation = emend::reward_scope::none;
  std::vector<double> shaped = reward;
  if (estimator == "rloo") shaped = emend::leave_one_out(reward, group);
  if (estimator == "reinforce_baseline" || estimator == "dr_grpo")
    shaped = emend::group_relative(reward, group, without_deviation).advantage;
  if (estimator == "group_norm") shaped = emend::group_relative(reward, group, openrlhf.group).advantage;
  const std::vector<double> zero(kl.size(), 0);
  emend::token_reward_options options = openrlhf.reward;
  options.kl_coefficient = c.parameter("beta");
  options.scalar_reward = shaped;
  if (c.has_parameter("score_clip")) {
    options.scalar_low = number_of(c.part("params").at("score_clip").at(0));
    options.scalar_high = number_of(c.part("params").at("score_clip").at(1));
  }
  const std::vector<double> token_reward = emend::token_rewards({}, kl, zero, shape.layout(), options);
  // The peer reports the sum over all positions, with the divergence of the padding.
  const std::vector<emend::index> last = emend::last_positions(shape.layout());
  options.scalar_position = last;
  c.expect("sequence_return",
           emend::sequence_sums(emend::token_rewards({}, kl, zero, shape.all(), options), shape.all()));
  emend::advantages result;
  if (estimator == "gae") {
    result = emend::gae(token_reward, value, shape.layout(),
                        {.gamma = c.parameter("gamma"), .lambda = c.parameter("lam"), .holes = openrlhf.gae.holes});
  } else {
    result.returns = emend::discounted_returns(token_reward, shape.layout(),
                                               {.gamma = c.parameter("gamma"), .holes = openrlhf.gae.holes});
    result.advantage = result.returns;
  }
  emend::whiten_options whitening = openrlhf.whitening;
  whitening.is_scaled = !c.is_true("no_std_norm");
  if (estimator == "gae" || estimator == "reinforce" || estimator == "reinforce_baseline")
    emend::whiten_into(result.advantage, shape.layout(), whitening, result.advantage);
  if (c.has_nan()) return "the peer's deviation of a group of one is NaN; ours is 0";
  c.expect("advantages", result.advantage);
  c.expect("returns", result.returns);
  return {};
}

const known_group known[] = {
    {"gae", gae},
    {"gae_from_scores", gae_from_scores},
    {"gae_packed", gae_packed},
    {"rollout_to_advantages", rollout_to_advantages},
    {"adv_reinforce_pp", reinforce_plus_plus},
    {"adv_remax", remax},
    {"adv_optimal_token_baseline", optimal_token_baseline},
    {"shaped_advantages", shaped_advantages},
};

}  // namespace
}  // namespace golden
