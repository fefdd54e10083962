// Dense token-level rewards in place of a scalar one.

#include "vector_case.hpp"

namespace golden {
namespace {

emend::padded one_sequence(std::size_t tokens) { return emend::padded(1, static_cast<emend::index>(tokens)); }

std::string rlmec(vector_case& c) {
  in_precision(c, [&]<class T>() {
    const auto logits = c.input("rm_logits").scores<T>();
    const std::vector<double> log_prob = emend::statistics(logits, c.input("response").ids()).log_prob;
    const std::vector<int> is_correct{c.is_true("correct")};
    std::vector<double> prob;
    for (double x : log_prob) prob.push_back(emend::exp(x));
    c.expect("prob", prob);
    c.expect("reward", emend::rlmec_rewards(log_prob, is_correct, one_sequence(log_prob.size())));
  });
  return {};
}

std::string rlmec_loss(vector_case& c) {
  in_precision(c, [&]<class T>() {
    const auto logits = c.input("rewrite_logits").scores<T>();
    const std::vector<double> log_prob = c.input("log_prob").data, old = c.input("old_log_prob").data,
                              reward = c.input("reward").data, edited = c.input("edited").data;
    const auto rewrite = c.input("rewrite").ids();
    const emend::rlmec_options options{.clip_low = c.parameter("clip_low"),
                                       .clip_high = c.parameter("clip_high"),
                                       .edited_weight = c.parameter("edited_weight"),
                                       .other_weight = c.parameter("other_weight"),
                                       .rewrite_coefficient = c.parameter("sft_coef")};
    const std::vector<double> rewrite_log_prob = emend::statistics(logits, rewrite).log_prob;
    const auto result = emend::rlmec_loss(log_prob, old, reward, rewrite_log_prob, edited, options);
    c.expect("loss", result.value);
    c.expect("token_loss", result.token_loss);
    c.expect("sft_loss", result.rewrite_loss);
    c.expect_gradient("log_prob", result.log_prob_gradient);
    // Through the score rows: the weights carry what the rewrite's log-probabilities receive.
    std::vector<double> weight = result.rewrite_gradient;
    for (double& w : weight) w = -w;
    c.expect_gradient("rewrite_logits",
                      emend::evaluate(emend::cross_entropy{}, logits, rewrite, {.weight = weight}).gradient);
  });
  return {};
}

std::string abc(vector_case& c) {
  const array attention = c.input("attention");
  const std::vector<double> log_prob = c.input("log_prob").data, reference = c.input("ref_log_prob").data;
  const auto layout = one_sequence(log_prob.size());
  std::vector<double> mean = emend::mean_over_heads(attention.data, attention.rows());
  mean.erase(mean.begin(), mean.begin() + static_cast<emend::index>(c.parameter("prompt_len")));
  const std::vector<double> share =
      emend::attention_shares(c.has_text("variant", "uniform") ? emend::column{} : emend::column(mean), layout);
  c.expect("weight", share);
  const std::vector<double> whole{c.parameter("reward")};
  const std::vector<double> score = emend::abc_rewards(share, whole, layout, {.beta = c.parameter("beta")});
  c.expect("reward",
           emend::token_rewards(score, log_prob, reference, layout, {.kl_coefficient = c.parameter("kl_coef")}));
  return {};
}

std::string red(vector_case& c) {
  std::vector<double> prefix = c.input("prefix_score").data;
  const std::vector<double> empty{prefix.front()};
  const double sum = prefix.back() - prefix.front();
  prefix.erase(prefix.begin());
  const auto layout = one_sequence(prefix.size());
  c.expect("reward", emend::red_rewards(prefix, empty, layout, {.dense_weight = c.parameter("dense_weight")}));
  double dense = 0;
  for (double r : emend::red_rewards(prefix, empty, layout)) dense += r;
  c.expect("dense_sum", dense);
  if (dense - sum > 1e-9 || sum - dense > 1e-9) throw std::runtime_error("the differences do not add up");
  return {};
}

std::string rto(vector_case& c) {
  const std::vector<double> dpo = c.input("dpo_log_prob").data, log_prob = c.input("log_prob").data,
                            reference = c.input("ref_log_prob").data, whole{c.parameter("reward")};
  const auto layout = one_sequence(dpo.size());
  const std::vector<double> score =
      emend::rto_scores(dpo, reference, layout,
                        {.scale = c.parameter("b1"),
                         .clip = c.has_parameter("c") ? c.parameter("c") : std::numeric_limits<double>::infinity()});
  c.expect("reward",
           emend::token_rewards(score, log_prob, reference, layout,
                                {.kl_coefficient = c.parameter("b2"), .scalar_scale = 1, .scalar_reward = whole}));
  return {};
}

std::string tlcr(vector_case& c) {
  const auto source = c.input("source").ids(), revised = c.input("revised").ids();
  const emend::tlcr_labels labels = emend::tlcr_labels_of(source, revised);
  c.expect_exactly("source_label", labels.source);
  c.expect_exactly("revised_label", labels.revised);
  std::vector<emend::index> kept, is_new;
  for (emend::index label : labels.source) kept.push_back(label == -1);
  for (char x : emend::edited_tokens(source, revised)) is_new.push_back(x);
  c.expect_exactly("source_kept", kept);
  c.expect_exactly("revised_new", is_new);
  std::vector<double> logit = c.input("source_logit").data;
  std::vector<emend::index> label = labels.source;
  for (double x : c.input("revised_logit").data) logit.push_back(x);
  for (emend::index x : labels.revised) label.push_back(x);
  const emend::number_evaluation loss = emend::tlcr_loss(logit, label);
  c.expect("loss", loss.value);
  const auto middle = static_cast<emend::index>(source.size());
  c.expect_gradient("source_logit", std::vector<double>(loss.gradient.begin(), loss.gradient.begin() + middle));
  c.expect_gradient("revised_logit", std::vector<double>(loss.gradient.begin() + middle, loss.gradient.end()));
  const std::vector<double> reward = emend::tlcr_rewards(logit, one_sequence(logit.size()));
  c.expect("source_reward", std::vector<double>(reward.begin(), reward.begin() + middle));
  c.expect("revised_reward", std::vector<double>(reward.begin() + middle, reward.end()));
  return {};
}

std::string segment(vector_case& c) {
  const std::vector<double> entropy = c.input("entropy").data, value = c.input("rm_value").data,
                            log_prob = c.input("log_prob").data, reference = c.input("ref_log_prob").data;
  const auto layout = one_sequence(entropy.size());
  const emend::segment_options options{
      .entropy_threshold = c.parameter("entropy_threshold"),
      .minimum_length = static_cast<emend::index>(c.parameter("minimum_length")),
      .is_last_token_in_segment = c.is_true("last_token_in_segment"),
      .placement = c.has_text("placement", "end") ? emend::segment_placement::end : emend::segment_placement::spread,
      .mean_slope = c.parameter("w_mean"),
      .mean_offset = c.parameter("b_mean"),
      .deviation_slope = c.parameter("w_std"),
      .deviation_offset = c.parameter("b_std"),
      .clamp = c.parameter("clamp")};
  c.expect_exactly("segment_end", emend::segment_ends(entropy, layout, 0, options));
  const std::vector<double> score = emend::segment_rewards(entropy, value, layout, options);
  c.expect("reward",
           emend::token_rewards(score, log_prob, reference, layout, {.kl_coefficient = c.parameter("kl_coef")}));
  return {};
}

std::string q_rm_advantage(vector_case& c) {
  const std::vector<double> score = c.input("token_score").data, value = c.input("value").data,
                            log_prob = c.input("log_prob").data, reference = c.input("ref_log_prob").data;
  c.expect("advantage", emend::q_rm_advantages(score, value, log_prob, reference, one_sequence(score.size()),
                                               {.kl_coefficient = c.parameter("kl_coef"),
                                                .value_coefficient = c.parameter("value_coef")}));
  return {};
}

std::string q_rm_loss(vector_case& c) {
  const std::vector<double> chosen = c.input("chosen").data, rejected = c.input("rejected").data;
  const auto chosen_offset = c.input("chosen_offset").ids(), rejected_offset = c.input("rejected_offset").ids();
  const auto loss = emend::q_rm_loss(chosen, emend::ragged(chosen_offset), rejected, emend::ragged(rejected_offset),
                                     {.beta = c.parameter("beta"), .margin = c.parameter("margin")});
  c.expect("loss", loss.value);
  c.expect_gradient("chosen", loss.chosen_gradient);
  c.expect_gradient("rejected", loss.rejected_gradient);
  return {};
}

std::string geli_loss(vector_case& c) {
  const std::vector<double> reward = c.input("token_reward").data, whole{c.parameter("episode_return")};
  std::vector<double> is_sampled(reward.size(), 0);
  for (emend::index t : c.input("index").ids()) is_sampled[static_cast<std::size_t>(t)] = 1;
  const auto loss = emend::geli_loss(reward, whole, one_sequence(reward.size()),
                                     c.has_text("form", "full") ? emend::column{} : emend::column(is_sampled));
  c.expect("loss", loss.value);
  c.expect_gradient("token_reward", loss.gradient);
  return {};
}

std::string rudder(vector_case& c) {
  const std::vector<double> prediction = c.input("return_prediction").data;
  c.expect("reward", emend::rudder_rewards(prediction, one_sequence(prediction.size())));
  return {};
}

const known_group known[] = {
    {"token_rewards/rlmec", rlmec},
    {"token_rewards/rlmec_loss", rlmec_loss},
    {"token_rewards/abc", abc},
    {"token_rewards/red", red},
    {"token_rewards/rto", rto},
    {"token_rewards/tlcr", tlcr},
    {"token_rewards/segment", segment},
    {"token_rewards/q_rm_advantage", q_rm_advantage},
    {"token_rewards/q_rm_loss", q_rm_loss},
    {"token_rewards/geli_loss", geli_loss},
    {"token_rewards/rudder", rudder},
};

}  // namespace
}  // namespace golden
