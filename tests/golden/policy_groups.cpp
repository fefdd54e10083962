// Policy losses of verl, align-anything, OpenRLHF, AReaL, slime, open-instruct and trlx, over log-probabilities.

#include "policy_case.hpp"

namespace golden {
namespace {

/// Loss, gradient and verl's metrics of a loss over tokens or over sequences.
template <class Loss>
std::string expect_loss(vector_case& c, policy_case& p, const Loss& loss, const std::vector<double>& weight) {
  if (c.has_output("loss") && std::isnan(c.output("loss").data[0]) && p.is_empty()) return empty_batch;
  const std::vector<double> log_prob = hide_masked(p.log_prob, p.mask);
  const emend::number_options options{.mask = p.mask, .weight = weight};
  const auto run = [&] {
    if constexpr (requires(emend::token<double> t) { loss(t); })
      return emend::evaluate_log_probs(loss, log_prob, options);
    else
      return emend::evaluate_log_prob_sequences(loss, log_prob, p.layout(), options);
  };
  const auto result = run();
  if (c.has_output("loss")) c.expect("loss", result.value);
  c.expect_gradient("log_prob", result.gradient);
  return {};
}

/// verl's metrics are means over the counted tokens, of weight 0 included.
template <class Loss>
void expect_metrics(vector_case& c, const policy_case& p, const Loss& loss) {
  if (!c.has_output("ppo_kl")) return;
  const auto of = [&](std::size_t k) {
    return p.mean([&](std::size_t i) {
      const auto t = emend::detail::token_of_log_prob(p.log_prob[i], static_cast<emend::index>(i));
      if constexpr (requires { loss.metrics(t); })
        return loss.metrics(t)[k];
      else
        return loss.metrics(t, 0, 1)[k];
    });
  };
  c.expect_metric("ppo_kl", -of(2));
  if (c.has_output("pg_clipfrac")) c.expect_metric("pg_clipfrac", of(0));
}

using emend::conventions::verl;

/// The loss with the bounds of a case of verl.
template <class Loss>
Loss clipped_as(const vector_case& c, Loss loss) {
  const auto bound = [&](const char* side) { return c.parameter(c.has_parameter(side) ? side : "clip_ratio"); };
  loss.clip_low = bound("clip_ratio_low");
  loss.clip_high = bound("clip_ratio_high");
  return loss;
}

std::string ppo_dual_clip(vector_case& c) {
  policy_case p(c);
  emend::ppo_clip loss = clipped_as(c, verl.ppo_loss(p.old_log_prob, p.advantage));
  loss.dual_clip = c.parameter("clip_ratio_c");
  expect_metrics(c, p, loss);
  c.expect_metric("pg_clipfrac_lower", p.mean([&](std::size_t i) {
    return loss.is_dual_clipped(p.log_prob[i] - p.old_log_prob[i], p.advantage[i]) ? 1 : 0;
  }));
  return expect_loss(c, p, loss, weights_named(c, p, c.text("agg")));
}

std::string ppo(vector_case& c) {
  policy_case p(c);
  emend::ppo_clip loss = convention_of(c).ppo_loss(p.old_log_prob, p.advantage);
  loss.clip_low = loss.clip_high = c.parameter("clip");
  return expect_loss(c, p, loss, weights_named(c, p, c.text("agg")));
}

std::string cispo(vector_case& c) {
  policy_case p(c);
  emend::cispo loss = verl.cispo_loss(p.old_log_prob, p.advantage);
  loss.ratio_low = 1 - c.parameter("clip_ratio_low");
  loss.ratio_high = 1 + c.parameter("clip_ratio_high");
  expect_metrics(c, p, loss);
  return expect_loss(c, p, loss, weights_named(c, p, c.text("agg")));
}

std::string sapo(vector_case& c) {
  policy_case p(c);
  const emend::sapo loss{p.old_log_prob, p.advantage, c.parameter("tau_pos"), c.parameter("tau_neg")};
  expect_metrics(c, p, loss);
  return expect_loss(c, p, loss, weights_named(c, p, c.text("agg")));
}

std::string dro(vector_case& c) {
  policy_case p(c);
  const emend::dro loss{p.old_log_prob, p.advantage, c.parameter("dro_beta")};
  expect_metrics(c, p, loss);
  return expect_loss(c, p, loss, weights_named(c, p, c.text("agg")));
}

std::string gpg(vector_case& c) {
  policy_case p(c);
  return expect_loss(c, p, emend::reinforce{p.advantage}, weights_named(c, p, c.text("agg")));
}

std::string dppo(vector_case& c, emend::probability_divergence divergence) {
  policy_case p(c);
  const emend::dppo loss{.old_log_prob = p.old_log_prob,
                         .advantage = p.advantage,
                         .divergence = divergence,
                         .low = c.parameter("clip_ratio"),
                         .high = c.parameter("clip_ratio"),
                         .ratio_cap = c.parameter("clip_ratio_c")};
  expect_metrics(c, p, loss);
  return expect_loss(c, p, loss, weights_named(c, p, c.text("agg")));
}

std::string gspo(vector_case& c) {
  policy_case p(c);
  emend::sequence_level<emend::ppo_clip> loss = verl.sequence_loss(p.old_log_prob, p.advantage);
  loss.loss = clipped_as(c, loss.loss);
  return expect_loss(c, p, loss, weights_named(c, p, c.text("agg")));
}

std::string gmpo(vector_case& c) {
  policy_case p(c);
  // The peer multiplies a sequence by the geometric mean of its importance weights.
  std::vector<double> log_factor(p.factor.size());
  for (std::size_t i = 0; i < p.factor.size(); ++i)
    log_factor[i] = c.has_input("rollout_is_weights") ? std::log(p.factor[i] + 1e-10) : 0;
  const std::vector<double> mean = emend::sequence_means(log_factor, p.layout(), 1e-8);
  for (std::size_t i = 0; i < p.factor.size(); ++i) p.factor[i] = std::exp(mean[i]);
  const std::vector<double> advantage = emend::sequence_means(p.advantage, p.layout(), 1e-8);
  const emend::gmpo loss{.old_log_prob = p.old_log_prob,
                         .advantage = p.advantage,
                         .sequence_advantage = advantage,
                         .clip_low = c.parameter("clip_ratio"),
                         .clip_high = c.parameter("clip_ratio"),
                         .length_epsilon = 1e-8};
  // The peer's clip fraction counts tokens outside the bounds on either side, caught or not; ours counts the caught
  // ones.
  c.expect_metric("ppo_kl", -p.mean([&](std::size_t i) { return p.log_prob[i] - p.old_log_prob[i]; }));
  return expect_loss(c, p, loss, p.weights(emend::aggregation::per_example_mean, {.counts_empty_sequences = true}));
}

std::string clip_cov(vector_case& c) {
  policy_case p(c);
  const emend::ppo_clip loss = clipped_as(c, emend::ppo_clip{p.old_log_prob, p.advantage});
  const std::vector<double> selected = emend::select_clip_cov(loss, p.log_prob, p.layout(),
                                                              {.share = c.parameter("clip_cov_ratio"),
                                                               .lower = c.parameter("clip_cov_lb"),
                                                               .upper = c.parameter("clip_cov_ub")});
  c.expect_metric("pg_clipfrac", p.mean([&](std::size_t i) { return selected[i]; }));
  for (std::size_t i = 0; i < selected.size(); ++i) p.factor[i] *= 1 - selected[i];
  return expect_loss(c, p, loss, weights_named(c, p, c.text("agg")));
}

std::string kl_cov(vector_case& c) {
  policy_case p(c);
  const std::vector<double> selected =
      emend::select_kl_cov(p.advantage, p.log_prob, p.layout(), {.share = c.parameter("kl_cov_ratio")});
  return expect_loss(c, p, emend::kl_cov{p.old_log_prob, p.advantage, selected, c.parameter("ppo_kl_coef")},
                     weights_named(c, p, c.text("agg")));
}

std::string openrlhf(vector_case& c) {
  policy_case p(c);
  const emend::convention& openrlhf = emend::conventions::openrlhf;
  const auto with_bounds = [&](emend::ppo_clip loss) {
    loss.clip_low = c.parameter("clip_eps_low");
    loss.clip_high = c.parameter("clip_eps_high");
    loss.dual_clip = c.has_parameter("dual_clip") ? c.parameter("dual_clip") : 0;
    return loss;
  };
  if (c.is_true("enable_vllm_is_correction")) {
    emend::importance_options options = openrlhf.importance;
    options.lower = c.numbers("vllm_is_truncated_threshold")[0];
    options.upper = c.numbers("vllm_is_truncated_threshold")[1];
    const std::string type = c.text("vllm_is_correction_type");
    if (type != "tis") options.mode = emend::bound_mode::mask;
    if (type == "seq-mask-tis") options.level = emend::importance_level::sequence_mean;
    p.factor = emend::importance_weights(p.old_log_prob, c.input("rollout_log_prob").data, p.layout(), options).weight;
  }
  const bool is_gspo = c.has_text("policy_loss_type", "gspo");
  const auto weight =
      weights_named(c, p, c.is_true("token_level_loss") && !is_gspo ? "token-mean" : "seq-mean-token-mean");
  if (!is_gspo) return expect_loss(c, p, with_bounds(openrlhf.ppo_loss(p.old_log_prob, p.advantage)), weight);
  emend::sequence_level<emend::ppo_clip> loss = openrlhf.sequence_loss(p.old_log_prob, p.advantage);
  loss.loss = with_bounds(loss.loss);
  return expect_loss(c, p, loss, weight);
}

std::string areal(vector_case& c) {
  policy_case p(c);
  const bool is_sequence = c.has_text("importance_sampling_level", "sequence");
  const std::vector<double> mean = emend::sequence_means(p.advantage, p.layout());
  const emend::convention& areal = emend::conventions::areal;
  emend::ppo_clip loss = areal.ppo_loss(p.old_log_prob, is_sequence ? emend::column(mean) : emend::column(p.advantage));
  loss.clip_low = c.parameter("eps_clip");
  loss.clip_high = c.parameter(c.has_parameter("eps_clip_higher") ? "eps_clip_higher" : "eps_clip");
  loss.dual_clip = c.has_parameter("c_clip") ? c.parameter("c_clip") : 0;
  const auto weight = p.weights(areal.aggregate, areal.aggregation_rules);
  if (is_sequence) return expect_loss(c, p, areal.at_sequence(loss), weight);
  return expect_loss(c, p, loss, weight);
}

/// slime and open-instruct give a matrix of losses; the gradient is that of its sum, plus a share of the divergence's.
template <class Loss>
std::string expect_unreduced(vector_case& c, policy_case& p, const Loss& loss) {
  std::vector<double> matrix;
  for (std::size_t i = 0; i < p.log_prob.size(); ++i)
    matrix.push_back(loss(emend::detail::token_of_log_prob(p.log_prob[i], static_cast<emend::index>(i))));
  c.expect("loss_mat", matrix);
  auto result = emend::evaluate_log_probs(loss, p.log_prob);
  if (c.has_output("kl")) {
    static const emend::kl_kind kinds[] = {emend::kl_kind::k1, emend::kl_kind::k2, emend::kl_kind::k3,
                                           emend::kl_kind::k3};
    const int which = static_cast<int>(c.parameter("kl_estimator"));
    const std::vector<double> reference = c.input("ref_log_prob").data;
    emend::kl_penalty penalty = emend::conventions::open_instruct.kl_loss(reference);
    penalty.kind = kinds[which];
    std::vector<double> kl;
    // Estimator 3 is r k1 with its own gradient.
    const auto weighted = [&](const auto& t) {
      return which == 3 ? emend::exp(t.log_prob - t(p.old_log_prob)) *
                              emend::kl_estimate(emend::kl_kind::k1, t.log_prob - t(reference), penalty.clamps)
                        : penalty(t);
    };
    for (std::size_t i = 0; i < p.log_prob.size(); ++i)
      kl.push_back(weighted(emend::detail::token_of_log_prob(p.log_prob[i], static_cast<emend::index>(i))));
    c.expect("kl", kl);
    const auto of_kl = emend::evaluate_log_probs(weighted, p.log_prob);
    for (std::size_t i = 0; i < kl.size(); ++i)
      result.gradient[i] += c.parameter("kl_weight_in_grad") * of_kl.gradient[i];
  }
  c.expect_gradient("log_prob", result.gradient);
  std::vector<double> clipped;
  for (std::size_t i = 0; i < p.log_prob.size(); ++i)
    clipped.push_back(loss.is_clipped(p.log_prob[i] - p.old_log_prob[i], p.advantage[i]) ? 1 : 0);
  if (c.has_output("clipped")) c.expect("clipped", clipped);
  return {};
}

std::string unreduced(vector_case& c) {
  policy_case p(c);
  if (c.has_text("loss_fn", "cispo")) {
    emend::cispo loss = convention_of(c).cispo_loss(p.old_log_prob, p.advantage);
    loss.ratio_high = 1 + c.parameter("clip_higher");
    return expect_unreduced(c, p, loss);
  }
  const bool is_open_instruct = c.has_text("loss_fn", "dapo");
  emend::ppo_clip loss = convention_of(c).ppo_loss(p.old_log_prob, p.advantage);
  loss.clip_low = c.parameter(is_open_instruct ? "clip_lower" : "eps_clip");
  loss.clip_high = c.parameter(is_open_instruct ? "clip_higher" : "eps_clip_high");
  if (c.has_parameter("eps_clip_c")) loss.dual_clip = c.parameter("eps_clip_c");
  return expect_unreduced(c, p, loss);
}

std::string unreduced_cispo(vector_case& c) {
  policy_case p(c);
  emend::cispo loss = convention_of(c).cispo_loss(p.old_log_prob, p.advantage);
  loss.ratio_low = 1 - c.parameter("eps_clip");
  loss.ratio_high = 1 + c.parameter("eps_clip_high");
  return expect_unreduced(c, p, loss);
}

const known_group known[] = {
    {"policy_ppo_dual_clip", ppo_dual_clip},
    {"policy_ppo", ppo},
    {"policy_cispo", cispo},
    {"policy_sapo", sapo},
    {"policy_dro", dro},
    {"policy_gpg", gpg},
    {"policy_dppo_tv", [](vector_case& c) { return dppo(c, emend::probability_divergence::total_variation); }},
    {"policy_dppo_kl", [](vector_case& c) { return dppo(c, emend::probability_divergence::binary_kl); }},
    {"policy_gspo", gspo},
    {"policy_gmpo", gmpo},
    {"policy_clip_cov_all", clip_cov},
    {"policy_kl_cov", kl_cov},
    {"policy_openrlhf", openrlhf},
    {"policy_areal", areal},
    {"policy_unreduced", unreduced},
    {"policy_unreduced_cispo", unreduced_cispo},
};

}  // namespace
}  // namespace golden
