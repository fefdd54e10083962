// Value losses, whole PPO steps, aggregation, reward models, and masks by entropy.

#include "policy_case.hpp"

namespace golden {
namespace {

std::string value_loss(vector_case& c) {
  const array matrix = c.input("values_new");
  const std::vector<double> mask = c.input("mask").data, old = c.input("values_old").data,
                            returns = c.input("returns").data;
  const emend::padded layout(matrix.rows(), matrix.columns(), mask);
  bool is_empty = true;
  for (double m : mask) is_empty = is_empty && m == 0;
  for (emend::index b = 0; b < layout.sequences(); ++b)
    if (emend::length_of(layout, b) == 0 && c.has_text("agg", "mean-of-sequence-means"))
      return "one fully masked row makes the peer's mean of means NaN; here it is no sequence";
  if (is_empty && std::isnan(c.output("loss").data[0])) return empty_batch;

  using emend::aggregation;
  const std::string name = c.text("agg");
  emend::aggregation_options rules = convention_of(c).aggregation_rules;
  rules.length = static_cast<double>(matrix.columns());
  if (c.has_parameter("global_valid_toks")) rules.counts.tokens = c.parameter("global_valid_toks");
  const aggregation how = name == "token-mean"                ? aggregation::token_mean
                          : name == "token-sum"               ? aggregation::token_sum
                          : name == "seq-mean-token-sum"      ? aggregation::sequence_sum
                          : name == "seq-mean-token-sum-norm" ? aggregation::sequence_sum_per_length
                                                              : aggregation::per_example_mean;
  const std::vector<double> weight = emend::token_weights(layout, how, rules);
  emend::value_clip loss = convention_of(c).value_loss(old, returns);
  loss.clip = c.has_parameter("clip") ? c.parameter("clip") : emend::detail::infinity;
  if (c.has_text("loss_fn", "huber")) loss.huber_delta = 10;
  const std::vector<double> values = hide_masked(matrix.data, mask);
  const auto result = emend::evaluate_values(loss, values, {.mask = mask, .weight = weight});
  c.expect("loss", result.value);
  c.expect_gradient("values_new", result.gradient);
  for (const char* metric : {"clipfrac", "vf_clipfrac"})
    if (c.has_output(metric)) c.expect_metric(metric, result.metrics[0]);
  return {};
}

emend::convention clipped_as(const vector_case& c, emend::convention convention) {
  convention.ppo.clip_low = convention.ppo.clip_high = c.parameter("cliprange");
  convention.critic.clip = c.parameter("cliprange_value");
  return convention;
}

std::string policy_and_value(vector_case& c) {
  policy_case p(c);
  const std::vector<double> values = c.input("values_new").data, old = c.input("values_old").data,
                            returns = c.input("returns").data;
  const auto weight = emend::token_weights(p.layout());
  const double coefficient = c.parameter("vf_coef");
  const emend::convention trlx = clipped_as(c, emend::conventions::trlx);
  const auto policy = emend::evaluate_log_probs(trlx.ppo_loss(p.old_log_prob, p.advantage),
                                                hide_masked(p.log_prob, p.mask), {.mask = p.mask, .weight = weight});
  const auto critic = emend::evaluate_values(trlx.value_loss(old, returns), hide_masked(values, p.mask),
                                             {.mask = p.mask, .weight = weight});
  c.expect("loss", policy.value + coefficient * critic.value);
  c.expect_gradient("log_prob", policy.gradient);
  std::vector<double> of_value = critic.gradient;
  for (double& g : of_value) g *= coefficient;
  c.expect_gradient("values_new", of_value);
  return {};
}

std::string ppo_step(vector_case& c) {
  const array shape = c.input("policy_mask");
  const std::vector<double> policy_mask = shape.data, value_mask = c.input("value_mask").data,
                            old = c.input("old_log_prob").data, advantage = c.input("advantages").data,
                            old_value = c.input("values_old").data, returns = c.input("returns").data,
                            values = c.input("values_new").data;
  const auto labels = c.input("labels").ids();
  const emend::padded policy_layout(shape.rows(), shape.columns(), policy_mask),
      value_layout(shape.rows(), shape.columns(), value_mask);
  const emend::score_transform transform{.temperature = c.parameter("temperature") + c.parameter("temperature_added")};
  const double coefficient = c.parameter("vf_coef");
  const emend::convention trl_ppo = clipped_as(c, emend::conventions::trl_ppo);
  in_precision(c, [&]<class T>() {
    const auto logits = c.input("logits").scores<T>();
    const auto policy_weight = emend::token_weights(policy_layout), value_weight = emend::token_weights(value_layout);
    const auto policy = emend::evaluate(trl_ppo.ppo_loss(old, advantage), logits, labels,
                                        {.mask = policy_mask, .weight = policy_weight, .transform = transform});
    const auto critic = emend::evaluate_values(trl_ppo.value_loss(old_value, returns), values,
                                               {.mask = value_mask, .weight = value_weight});
    c.expect("pg_loss", policy.value);
    c.expect("vf_loss", critic.value);
    c.expect("loss", policy.value + coefficient * critic.value);
    c.expect_metric("pg_clipfrac", policy.metrics[0]);
    c.expect_metric("vf_clipfrac", critic.metrics[0]);
    c.expect_gradient("logits", policy.gradient);
    std::vector<double> of_value = critic.gradient;
    for (double& g : of_value) g *= coefficient;
    c.expect_gradient("values_new", of_value);
    // The peer sets masked log-probabilities to a sentinel, and averages two of its metrics over them, too.
    const auto columns = emend::statistics(logits, labels, {.transform = transform});
    std::vector<double> log_prob = columns.log_prob;
    double kl = 0, ratio = 0, entropy = 0;
    for (std::size_t i = 0; i < log_prob.size(); ++i) {
      if (policy_mask[i] == 0) log_prob[i] = c.parameter("invalid_logprob");
      kl += 0.5 * emend::square(log_prob[i] - old[i]) / static_cast<double>(log_prob.size());
      ratio += std::exp(log_prob[i] - old[i]) / static_cast<double>(log_prob.size());
      entropy += columns.entropy[i] / static_cast<double>(log_prob.size());
    }
    c.expect("new_logprobs", log_prob);
    c.expect_metric("approxkl", kl);
    c.expect_metric("ratio_mean_unmasked", ratio);
    c.expect("entropy_mean_unmasked", entropy);
  });
  return {};
}

std::string aggregate(vector_case& c) {
  const array matrix = c.input("loss_mat");
  const std::vector<double> mask = c.input("mask").data;
  const emend::padded layout(matrix.rows(), matrix.columns(), mask);
  const std::string mode = c.text("mode"), peer = c.peer();
  if (peer == "roll" && mode == "token-mean") return "the peer forgets the mask in the numerator";
  if (std::isnan(c.output("loss").data[0])) return "no counted token, or a row without one: the peer divides 0 by 0";

  using emend::aggregation;
  emend::aggregation_options options = convention_of(c).aggregation_rules;
  if (c.has_parameter("batch_num_tokens")) options.counts.tokens = c.parameter("batch_num_tokens");
  if (c.has_parameter("global_batch_size")) options.counts.sequences = c.parameter("global_batch_size");
  if (c.has_parameter("global_normalization_factor"))
    options.counts.tokens = c.parameter("global_normalization_factor");
  aggregation how = aggregation::token_mean;
  if (mode == "token-sum") how = aggregation::token_sum;
  if (mode == "seq-mean-token-sum") how = aggregation::sequence_sum;
  if (mode == "seq-mean-token-mean" || mode == "mean-of-sequence-means") how = aggregation::per_example_mean;
  if (mode == "seq-mean-token-sum-norm") {
    how = aggregation::sequence_sum_per_length;
    options.length =
        c.has_parameter("loss_scale_factor") ? c.parameter("loss_scale_factor") : static_cast<double>(matrix.columns());
    // ROLL divides by the length alone.
    if (peer == "roll") options.counts.sequences = 1, options.sequence_epsilon = 0;
  }
  const std::vector<double> weight = emend::token_weights(layout, how, options);
  const double ranks = c.has_parameter("dp_size") ? c.parameter("dp_size") : 1;
  double loss = 0;
  std::vector<double> gradient;
  for (std::size_t i = 0; i < weight.size(); ++i) {
    if (weight[i] != 0) loss += ranks * weight[i] * matrix.data[i];
    gradient.push_back(ranks * weight[i]);
  }
  c.expect("loss", loss);
  if (c.has_gradient("loss_mat")) c.expect_gradient("loss_mat", gradient);
  return {};
}

std::string reward_model_pairwise(vector_case& c) {
  const std::vector<double> chosen = c.input("chosen").data, rejected = c.input("rejected").data;
  const std::vector<double> margin = c.is_true("use_margin") ? c.input("margin").data : std::vector<double>();
  const auto result = emend::pairwise_loss(chosen, rejected, {.margin = emend::column_unless_empty(margin)});
  c.expect("loss", result.value);
  c.expect_gradient("chosen", result.chosen);
  c.expect_gradient("rejected", result.rejected);
  return {};
}

std::string high_entropy(vector_case& c) {
  const array entropy = c.input("entropies");
  const std::vector<double> mask = c.input("mask").data;
  c.expect("kept", emend::high_entropy_mask(entropy.data, emend::padded(entropy.rows(), entropy.columns(), mask),
                                            c.parameter("quantile"), true));
  return {};
}

const known_group known[] = {
    {"value_loss", value_loss}, {"policy_and_value", policy_and_value},           {"ppo_step_from_logits", ppo_step},
    {"aggregate", aggregate},   {"reward_model_pairwise", reward_model_pairwise}, {"high_entropy_mask", high_entropy},
};

}  // namespace
}  // namespace golden
