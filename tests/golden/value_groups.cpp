// Value losses, whole PPO steps, aggregation, reward models, and masks by entropy.

#include "policy_case.hpp"

namespace golden {
namespace {

std::string value_loss(vector_case& c) {
  const array matrix = c.input("values_new");
  const std::vector<double> mask = c.input("mask").data, old = c.input("values_old").data, returns = c.input("returns").data;
  const emend::padded layout(matrix.rows(), matrix.columns(), mask);
  bool is_empty = true;
  for (double m : mask) is_empty = is_empty && m == 0;
  for (emend::index b = 0; b < layout.sequences(); ++b)
    if (emend::length_of(layout, b) == 0 && c.has_text("agg", "mean-of-sequence-means"))
      return "one fully masked row makes the peer's mean of means NaN; here it is no sequence";
  if (is_empty && std::isnan(c.output("loss").data[0])) return empty_batch;

  using emend::aggregation;
  const std::string name = c.text("agg");
  std::vector<double> weight;
  if (c.peer() == "nemo-rl") {
    weight = emend::token_weights(layout, aggregation::token_mean, {.counts = {.tokens = c.parameter("global_valid_toks")}, .token_epsilon = 1e-8});
  } else if (name == "token-mean") {
    weight = emend::token_weights(layout);
  } else if (name == "token-sum") {
    weight = emend::token_weights(layout, aggregation::token_sum);
  } else if (name == "seq-mean-token-sum") {
    weight = emend::token_weights(layout, aggregation::sequence_sum);
  } else if (name == "seq-mean-token-sum-norm") {
    weight = emend::token_weights(layout, aggregation::sequence_sum_per_length, {.length = static_cast<double>(matrix.columns())});
  } else {
    weight = emend::token_weights(layout, aggregation::per_example_mean, {.token_epsilon = c.peer() == "align-anything" ? 0 : 1e-8});
  }
  const emend::value_clip loss{.old_value = old,
                               .returns = returns,
                               .clip = c.has_parameter("clip") ? c.parameter("clip") : emend::detail::infinity,
                               .edge = c.peer() == "verl" ? emend::clip_edge::half : emend::clip_edge::whole,
                               .huber_delta = c.has_text("loss_fn", "huber") ? 10 : emend::detail::infinity};
  const std::vector<double> values = hide_masked(matrix.data, mask);
  const auto result = emend::evaluate_values(loss, values, {.mask = mask, .weight = weight});
  c.expect("loss", result.value);
  c.expect_gradient("values_new", result.gradient);
  for (const char* metric : {"clipfrac", "vf_clipfrac"})
    if (c.has_output(metric)) c.expect_metric(metric, result.metrics[0]);
  return {};
}

std::string policy_and_value(vector_case& c) {
  policy_case p(c);
  const std::vector<double> values = c.input("values_new").data, old = c.input("values_old").data, returns = c.input("returns").data;
  const auto weight = emend::token_weights(p.layout());
  const double clip = c.parameter("cliprange"), coefficient = c.parameter("vf_coef");
  const auto policy = emend::evaluate_log_probs(emend::ppo_clip{p.old_log_prob, p.advantage, clip, clip},
                                                hide_masked(p.log_prob, p.mask), {.mask = p.mask, .weight = weight});
  const auto critic = emend::evaluate_values(emend::value_clip{old, returns, c.parameter("cliprange_value")},
                                             hide_masked(values, p.mask), {.mask = p.mask, .weight = weight});
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
                            old_value = c.input("values_old").data, returns = c.input("returns").data, values = c.input("values_new").data;
  const auto labels = c.input("labels").ids();
  const emend::padded policy_layout(shape.rows(), shape.columns(), policy_mask), value_layout(shape.rows(), shape.columns(), value_mask);
  const emend::score_transform transform{.temperature = c.parameter("temperature") + c.parameter("temperature_added")};
  const double clip = c.parameter("cliprange"), coefficient = c.parameter("vf_coef");
  in_precision(c, [&]<class T>() {
    const auto logits = c.input("logits").matrix<T>();
    const auto policy_weight = emend::token_weights(policy_layout), value_weight = emend::token_weights(value_layout);
    const auto policy = emend::evaluate(emend::ppo_clip{old, advantage, clip, clip}, logits, labels,
                                        {.mask = policy_mask, .weight = policy_weight, .transform = transform});
    const auto critic = emend::evaluate_values(emend::value_clip{old_value, returns, c.parameter("cliprange_value")}, values,
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
  emend::aggregation_options options;
  if (c.has_parameter("batch_num_tokens")) options.counts.tokens = c.parameter("batch_num_tokens");
  if (c.has_parameter("global_batch_size")) options.counts.sequences = c.parameter("global_batch_size");
  if (c.has_parameter("global_normalization_factor")) options.counts.tokens = c.parameter("global_normalization_factor");
  options.counts_empty_sequences = peer == "roll";
  options.sequence_epsilon = peer == "roll" && mode != "seq-mean-token-sum-norm" ? 1e-8 : 0;
  aggregation how = aggregation::token_mean;
  if (mode == "token-sum") how = aggregation::token_sum;
  if (mode == "seq-mean-token-sum") how = aggregation::sequence_sum;
  if (mode == "seq-mean-token-mean" || mode == "mean-of-sequence-means") how = aggregation::per_example_mean;
  if (mode == "seq-mean-token-sum-norm") {
    how = aggregation::sequence_sum_per_length;
    options.length = c.has_parameter("loss_scale_factor") ? c.parameter("loss_scale_factor") : static_cast<double>(matrix.columns());
    if (peer == "roll") options.counts.sequences = 1;
  }
  if (mode == "seq-mean-token-mean" || peer == "nemo-rl") options.token_epsilon = 1e-8;
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
  const auto result = emend::pairwise_loss(chosen, rejected, {.margin = margin});
  c.expect("loss", result.value);
  c.expect_gradient("chosen", result.chosen);
  c.expect_gradient("rejected", result.rejected);
  return {};
}

std::string high_entropy(vector_case& c) {
  const array entropy = c.input("entropies");
  const std::vector<double> mask = c.input("mask").data;
  c.expect("kept", emend::high_entropy_mask(entropy.data, emend::padded(entropy.rows(), entropy.columns(), mask), c.parameter("quantile"), true));
  return {};
}

const known_group known[] = {
    {"value_loss", value_loss},
    {"policy_and_value", policy_and_value},
    {"ppo_step_from_logits", ppo_step},
    {"aggregate", aggregate},
    {"reward_model_pairwise", reward_model_pairwise},
    {"high_entropy_mask", high_entropy},
};

}  // namespace
}  // namespace golden
