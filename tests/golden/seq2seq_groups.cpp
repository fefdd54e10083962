#include "vector_case.hpp"

namespace golden {
namespace {

emend::seq2seq_reward_options reward_options(const vector_case& c, const std::vector<emend::index>& end_ids) {
  static const std::map<std::string, emend::reward_mode> modes = {{"sign", emend::reward_mode::sign},
                                                                  {"prob", emend::reward_mode::prob},
                                                                  {"margin", emend::reward_mode::margin},
                                                                  {"logratio", emend::reward_mode::logratio},
                                                                  {"dense", emend::reward_mode::dense}};
  static const std::map<std::string, emend::reward_normalisation> normalisations = {
      {"none", emend::reward_normalisation::none},
      {"per_length", emend::reward_normalisation::per_length},
      {"whiten", emend::reward_normalisation::whiten}};
  return {.mode = modes.at(c.text("mode")),
          .positive = c.parameter("positive"),
          .negative = c.parameter("negative"),
          .clip = c.has_parameter("clip") ? c.parameter("clip") : std::numeric_limits<double>::infinity(),
          .neutral = c.parameter("neutral"),
          .is_neutral_positive = c.parameter("neutral_is_positive") != 0,
          .has_truncation_penalty = c.parameter("truncation_penalty") != 0,
          .end_ids = end_ids,
          .normalise = normalisations.at(c.text("normalise")),
          .is_unbiased = c.has_parameter("unbiased") && c.parameter("unbiased") != 0,
          .whiten_epsilon = c.has_parameter("whiten_eps") ? c.parameter("whiten_eps") : 0};
}

std::string extract(vector_case& c) {
  in_precision(c, [&]<class T>() {
    const auto scores = c.input("rm_logits").scores<T>();
    const auto response = c.input("response").ids(), offsets = c.input("offsets").ids();
    const std::vector<emend::index> end_ids{static_cast<emend::index>(c.parameter("eos_id"))};
    auto options = reward_options(c, end_ids);
    std::vector<double> reference;
    if (options.mode == emend::reward_mode::dense) {
      reference = c.input("ref_log_prob").data;
      options.reference_log_prob = reference;
    }
    const auto rewards = emend::extract_rewards(scores, response, emend::ragged(offsets), options);
    c.expect("score", rewards.score);
    c.expect_exactly("argmax", rewards.arg_max);
    if (c.has_output("divergence")) c.expect_exactly("divergence", rewards.divergence);
    c.expect("sequence_score", rewards.sequence_score);
    if (c.has_output("copy_log_likelihood")) c.expect("copy_log_likelihood", rewards.copy_log_likelihood);
  });
  return {};
}

std::string training_pair(vector_case& c) {
  const auto separator = [&](const char* name) { return static_cast<emend::index>(c.parameter(name)); };
  const emend::seq2seq_template form{separator("sep_prompt"), separator("sep_given"), separator("sep_target")};
  const auto prompt = c.input("prompt").ids(), chosen = c.input("chosen").ids(), rejected = c.input("rejected").ids();
  const auto correction = emend::correction_example(form, prompt, chosen, rejected);
  const auto identity = emend::identity_example(form, prompt, chosen);
  c.expect_exactly("correction_ids", correction.ids);
  c.expect_exactly("correction_label", correction.label);
  c.expect_exactly("identity_ids", identity.ids);
  c.expect_exactly("identity_label", identity.label);
  return {};
}

std::string mle_loss(vector_case& c) {
  static const std::map<std::string, emend::aggregation> normalisations = {
      {"token_mean", emend::aggregation::token_mean},
      {"sequence_sum", emend::aggregation::sequence_sum},
      {"per_example_mean", emend::aggregation::per_example_mean}};
  in_precision(c, [&]<class T>() {
    const auto logits = c.input("logits").scores<T>();
    const auto label = c.input("label").ids(), offsets = c.input("offsets").ids();
    const std::vector<double> is_identity = c.input("is_identity").data;
    const auto result = emend::seq2seq_loss(
        logits, label, offsets, is_identity,
        {.lambda_identity = c.parameter("lambda_identity"), .normalise = normalisations.at(c.text("normaliser"))});
    c.expect("loss", result.value);
    c.expect("loss_correction", result.correction);
    c.expect("loss_identity", result.identity);
    c.expect_gradient("logits", result.gradient);
  });
  return {};
}

std::string pair_accuracy(vector_case& c) {
  const std::vector<double> chosen = c.input("chosen_score").data, rejected = c.input("rejected_score").data;
  c.expect("accuracy", emend::pair_accuracy(chosen, rejected).value);
  return {};
}

std::string ppo(vector_case& c) {
  const auto offsets = c.input("offsets").ids();
  const emend::ragged layout(offsets);
  const std::vector<double> log_prob = c.input("log_prob").data, value = c.input("value").data,
                            old_log_prob = c.input("old_log_prob").data, reference = c.input("ref_log_prob").data,
                            score = c.input("score").data, old_value = c.input("old_value").data,
                            scalar = c.input("scalar_reward").data;
  // With the scale 0 no reward of a whole sequence is given.
  const double scalar_scale = c.parameter("scalar_scale");
  const auto reward =
      emend::token_rewards(score, old_log_prob, reference, layout,
                           {.score_scale = c.parameter("score_scale"),
                            .kl_coefficient = c.parameter("kl_coef"),
                            .scalar_scale = scalar_scale,
                            .scalar_reward = scalar_scale == 0 ? emend::column() : emend::column(scalar),
                            .clamp = c.has_parameter("reward_clamp") ? c.parameter("reward_clamp")
                                                                     : std::numeric_limits<double>::infinity()});
  c.expect("reward", reward);
  const auto [advantage, returns] =
      emend::gae(reward, old_value, layout, {.gamma = c.parameter("gamma"), .lambda = c.parameter("lam")});
  c.expect("advantage", advantage);
  c.expect("returns", returns);
  const double tokens = static_cast<double>(log_prob.size());
  const emend::ppo_clip policy{old_log_prob, advantage, c.parameter("clip_low"), c.parameter("clip_high")};
  const emend::value_clip critic{old_value, returns, c.parameter("value_clip")};
  const auto policy_loss = emend::evaluate_log_probs(policy, log_prob, {.normaliser = tokens});
  const auto value_loss = emend::evaluate_values(critic, value, {.normaliser = tokens});
  const double coefficient = c.parameter("value_coef");
  c.expect("policy_loss", policy_loss.value);
  c.expect("value_loss", value_loss.value);
  c.expect("loss", policy_loss.value + coefficient * value_loss.value);
  c.expect_gradient("log_prob", policy_loss.gradient);
  std::vector<double> of_value = value_loss.gradient;
  for (double& g : of_value) g *= coefficient;
  c.expect_gradient("value", of_value);
  return {};
}

const known_group known[] = {
    {"seq2seq_reward/extract", extract},   {"seq2seq_reward/training_pair", training_pair},
    {"seq2seq_reward/mle_loss", mle_loss}, {"seq2seq_reward/pair_accuracy", pair_accuracy},
    {"seq2seq_reward/ppo", ppo},
};

}  // namespace
}  // namespace golden
