// Whole objectives of TRL, Liger and NeMo: policy loss, divergence penalty, entropy bonus, with their normalisers.

#include "policy_case.hpp"

namespace golden {
namespace {

/// The parameters of a TRL or Liger case as options of ours.
class grpo_case {
 public:
  explicit grpo_case(vector_case& c)
      : c_(c), old_(c.input("old_log_prob").data), reference_(c.input("ref_log_prob").data) {
    const array mask = c.input("mask");
    mask_ = mask.data;
    rows_ = mask.rows();
    length_ = mask.columns();
    for (double a : c.input("advantages").data)
      advantage_.insert(advantage_.end(), static_cast<std::size_t>(length_), a);
    type_ = c.text("loss_type");
    set_weights();
  }

  /// Why the case is skipped, or an empty string.
  std::string accident() const {
    const bool is_broadcast = c_.has_text("importance_sampling_level", "sequence") && c_.parameter("beta") != 0;
    return type_ == "luspo" && is_broadcast
               ? "the peer's mean runs over the padding once a penalty per token is added (mended since)"
               : "";
  }

  /// Runs `go(policy)` with the case's policy loss, over tokens or over sequences.
  template <class F>
  void with_policy(F&& go) const {
    const bool is_sequence = c_.has_text("importance_sampling_level", "sequence");
    const auto at_level = [&](const auto& loss) {
      if (is_sequence)
        go(convention_.at_sequence(loss));
      else
        go(loss);
    };
    if (type_ == "cispo") {
      emend::cispo loss = convention_.cispo_loss(old_, advantage_);
      loss.ratio_high = c_.parameter("epsilon_high");
      at_level(loss);
    } else if (type_ == "sapo") {
      at_level(emend::sapo{.old_log_prob = old_,
                           .advantage = advantage_,
                           .temperature_positive = c_.parameter("sapo_temperature_pos"),
                           .temperature_negative = c_.parameter("sapo_temperature_neg"),
                           .log_ratio_bound = convention_.ppo.log_ratio_bound});
    } else if (type_ == "vespo") {
      go(emend::vespo{.old_log_prob = old_,
                      .advantage = advantage_,
                      .k_positive = c_.parameter("vespo_k_pos"),
                      .lambda_positive = c_.parameter("vespo_lambda_pos"),
                      .k_negative = c_.parameter("vespo_k_neg"),
                      .lambda_negative = c_.parameter("vespo_lambda_neg")});
    } else {
      emend::ppo_clip loss = convention_.ppo_loss(old_, advantage_);
      loss.clip_low = c_.parameter("epsilon_low");
      loss.clip_high = c_.parameter("epsilon_high");
      if (c_.has_parameter("delta")) loss.ratio_cap = c_.parameter("delta");
      at_level(loss);
    }
  }

  template <class Policy>
  emend::policy_objective<Policy> objective(const Policy& policy) const {
    emend::kl_penalty kl = convention_.kl_loss(reference_, old_);
    kl.coefficient = c_.parameter("beta");
    kl.weighting = c_.is_true("use_bias_correction_kl") ? emend::kl_weighting::ratio : emend::kl_weighting::none;
    return {.policy = policy,
            .weight = weight_,
            .kl = kl,
            .entropy_coefficient = c_.has_input("logits") ? c_.parameter("entropy_coef") : 0,
            .entropy_weight = entropy_weight_};
  }

  emend::column mask() const { return takes_padding_ ? emend::column() : emend::column(mask_); }
  emend::padded layout() const { return {rows_, length_, mask()}; }

 private:
  void set_weights() {
    using emend::aggregation;
    const emend::padded layout(rows_, length_, mask_);
    emend::aggregation_options rules = convention_.aggregation_rules;
    entropy_weight_ = emend::token_weights(layout, aggregation::token_mean);
    if (type_ == "grpo" || type_ == "sapo") {
      weight_ = emend::token_weights(layout, aggregation::per_example_mean, rules);
    } else if (type_ == "bnpo") {
      weight_ = entropy_weight_;
    } else if (type_ == "dr_grpo") {
      rules.length = c_.parameter("max_completion_length");
      weight_ = emend::token_weights(layout, aggregation::sequence_sum_per_length, rules);
    } else if (type_ == "luspo" && c_.has_text("importance_sampling_level", "sequence")) {
      weight_ = emend::token_weights(layout, aggregation::sequence_sum, rules);
    } else if (type_ == "luspo") {
      // At this commit the peer's mean runs over the padding, too; later it is the mean of row sums.
      takes_padding_ = true;
      for (emend::index b = 0; b < rows_; ++b)
        weight_.insert(weight_.end(), static_cast<std::size_t>(length_),
                       static_cast<double>(emend::length_of(layout, b)) / static_cast<double>(rows_ * length_));
    } else {
      rules.counts.tokens = c_.parameter("num_items_in_batch");
      weight_ = emend::token_weights(layout, aggregation::token_mean, rules);
      entropy_weight_ = weight_;
    }
  }

  vector_case& c_;
  const emend::convention& convention_ = convention_of(c_);
  std::vector<double> old_, reference_, mask_, advantage_, weight_, entropy_weight_;
  emend::index rows_ = 0, length_ = 0;
  std::string type_;
  bool takes_padding_ = false;
};

std::string grpo_from_logits(vector_case& c) {
  const grpo_case g(c);
  if (!g.accident().empty()) return g.accident();
  const auto labels = c.input("labels").ids();
  in_precision(c, [&]<class T>() {
    const auto logits = c.input("logits").scores<T>();
    g.with_policy([&](const auto& policy) {
      const auto objective = g.objective(policy);
      if constexpr (emend::token_loss<decltype(objective)>) {
        const auto result = emend::evaluate(objective, logits, labels, {.mask = g.mask()});
        c.expect("loss", result.value);
        c.expect_gradient("logits", result.gradient);
        if constexpr (emend::policy_loss<std::remove_cvref_t<decltype(policy)>>) {
          // With sequences of one position the peer takes a matrix of tokens for one of sequences.
          if (c.has_output("metric_clip_ratio_region_mean") && g.layout().tokens() != g.layout().sequences())
            c.expect_metric("metric_clip_ratio_region_mean", result.metrics[0]);
          if (c.has_output("metric_kl") && c.parameter("use_bias_correction_kl") == 0 &&
              g.layout().tokens() != g.layout().sequences())
            c.expect_metric("metric_kl", result.metrics[5]);
        }
      } else {
        const auto result = emend::evaluate_sequences(objective, logits, labels, g.layout());
        c.expect("loss", result.value);
        c.expect_gradient("logits", result.gradient);
      }
    });
  });
  return {};
}

std::string grpo_from_log_probs(vector_case& c) {
  const grpo_case g(c);
  if (!g.accident().empty()) return g.accident();
  const std::vector<double> log_prob = c.input("log_prob").data;
  g.with_policy([&](const auto& policy) {
    const auto objective = g.objective(policy);
    const auto expect = [&](const auto& result) {
      c.expect("loss", result.value);
      c.expect_gradient("log_prob", result.gradient);
    };
    if constexpr (emend::token_loss<decltype(objective)>)
      expect(emend::evaluate_log_probs(objective, log_prob, {.mask = g.mask()}));
    else
      expect(emend::evaluate_log_prob_sequences(objective, log_prob, g.layout(), {}));
  });
  return {};
}

std::string rloo_from_logits(vector_case& c) {
  const array mask = c.input("mask");
  const emend::padded layout(mask.rows(), mask.columns(), mask.data);
  const std::vector<double> of_row = c.input("advantages").data, old_of_row = c.input("old_sequence_log_prob").data;
  for (emend::index b = 0; b < layout.sequences(); ++b)
    if (emend::length_of(layout, b) == 0)
      return "a row without a token counts there, with the ratio exp(0 - old); here it has no loss";
  // The peer has the old policy's sum over the sequence: here the first token carries it all.
  std::vector<double> advantage(mask.data.size(), 0), old(mask.data.size(), 0);
  for (emend::index b = 0; b < layout.sequences(); ++b) {
    double left = old_of_row[static_cast<std::size_t>(b)];
    layout.for_each_token(b, [&](emend::index t) {
      advantage[static_cast<std::size_t>(t)] = of_row[static_cast<std::size_t>(b)];
      old[static_cast<std::size_t>(t)] = std::exchange(left, 0);
    });
  }
  const auto weight = emend::token_weights(layout, emend::aggregation::per_example_mean);
  const emend::sequence_level<emend::ppo_clip> loss{
      .loss = {old, advantage, c.parameter("epsilon_low"), c.parameter("epsilon_high")},
      .ratio = emend::sequence_ratio::sum};
  in_precision(c, [&]<class T>() {
    const auto result = emend::evaluate_sequences(loss, c.input("logits").scores<T>(), c.input("labels").ids(), layout,
                                                  {.weight = weight});
    c.expect("loss", result.value);
    c.expect_gradient("logits", result.gradient);
  });
  return {};
}

/// NeMo's ClippedPGLossFn: ratio level, clip, dual clip, importance correction and divergence penalty in any mixture.
std::string nemo(vector_case& c) {
  policy_case p(c);
  const std::vector<double> token_mask = p.mask, sample = c.input("sample_mask").data;
  const std::vector<double> generation = c.input("generation_log_prob").data, reference = c.input("ref_log_prob").data;
  for (std::size_t i = 0; i < p.mask.size(); ++i) p.mask[i] *= sample[i / static_cast<std::size_t>(p.length)];
  const bool is_sequence = c.is_true("sequence_level_importance_ratios");

  std::vector<double> correction(p.mask.size(), 1), difference(p.mask.size());
  for (std::size_t i = 0; i < difference.size(); ++i) difference[i] = p.old_log_prob[i] - generation[i];
  if (c.is_true("use_importance_sampling_correction")) {
    const std::vector<double> mean = emend::sequence_means(difference, p.layout()),
                              rounded_mean = emend::sequence_means(difference, p.layout(), 1e-8);
    const double high =
        c.has_parameter("truncated_importance_sampling_ratio") ? c.parameter("truncated_importance_sampling_ratio") : 0;
    const double low = c.has_parameter("truncated_importance_sampling_ratio_min")
                           ? c.parameter("truncated_importance_sampling_ratio_min")
                           : 0;
    for (emend::index b = 0; b < p.rows; ++b)
      p.layout().for_each_token(b, [&](emend::index t) {
        const auto i = static_cast<std::size_t>(t);
        const double sum = mean[i] * static_cast<double>(emend::length_of(p.layout(), b));
        double weight = std::exp(is_sequence ? sum : difference[i]);
        if (c.has_text("truncated_importance_sampling_type", "tis")) weight = emend::clamp(weight, low, high);
        if (c.has_text("truncated_importance_sampling_type", "icepop"))
          weight = weight >= low && weight <= high ? weight : 0;
        if (c.has_text("truncated_importance_sampling_type", "seq-mask-tis")) {
          const double gate = std::exp(rounded_mean[i]);
          weight = gate >= low && gate <= high ? weight : 0;
        }
        correction[i] = weight;
      });
  }

  const auto how =
      c.is_true("token_level_loss") ? emend::aggregation::token_mean : emend::aggregation::per_example_mean;
  const emend::convention& nemo_rl = emend::conventions::nemo_rl;
  emend::aggregation_options rules = nemo_rl.aggregation_rules;
  rules.counts = {.tokens = c.parameter("global_valid_toks"), .sequences = c.parameter("global_valid_seqs")};
  const std::vector<double> plain = emend::token_weights(p.layout(), how, rules);
  std::vector<double> weight = plain;
  for (std::size_t i = 0; i < weight.size(); ++i) weight[i] *= correction[i];

  static const std::map<std::string, emend::kl_kind> kinds = {
      {"k1", emend::kl_kind::k1}, {"k2", emend::kl_kind::k2}, {"k3", emend::kl_kind::k3}};
  emend::kl_penalty penalty = nemo_rl.kl_loss(
      reference, c.is_true("use_on_policy_kl_approximation") ? emend::column(generation) : emend::column());
  penalty.coefficient = c.parameter("reference_policy_kl_penalty");
  penalty.kind = kinds.at(c.text("reference_policy_kl_type"));
  if (c.has_nan()) return "the peer's gradient is 0 * inf where a ratio overflows; ours is 0 or finite";
  const std::vector<double> log_prob = hide_masked(p.log_prob, p.mask);
  const auto of_kl = emend::evaluate_log_probs(penalty, log_prob, {.mask = p.mask, .weight = plain});

  const auto finish = [&](const auto& result) {
    c.expect("loss", result.value + of_kl.value);
    if (c.has_output("kl_penalty") && penalty.coefficient != 0)
      c.expect_metric("kl_penalty", of_kl.value / penalty.coefficient);
    std::vector<double> gradient = result.gradient;
    for (std::size_t i = 0; i < gradient.size(); ++i) gradient[i] += of_kl.gradient[i];
    c.expect_gradient("log_prob", gradient);
  };
  const emend::number_options options{.mask = p.mask, .weight = weight};
  const auto at_level = [&](const auto& loss) {
    if (!is_sequence) return finish(emend::evaluate_log_probs(loss, log_prob, options));
    finish(emend::evaluate_log_prob_sequences(nemo_rl.at_sequence(loss), log_prob, p.layout(), options));
  };
  if (c.is_true("disable_ppo_ratio")) {
    finish(emend::evaluate_log_probs(emend::reinforce{p.advantage}, log_prob, options));
  } else if (c.is_true("use_cispo")) {
    emend::cispo loss = nemo_rl.cispo_loss(p.old_log_prob, p.advantage);
    loss.ratio_low = 1 - c.parameter("ratio_clip_min");
    loss.ratio_high = 1 + c.parameter("ratio_clip_max");
    at_level(loss);
  } else {
    emend::ppo_clip loss = nemo_rl.ppo_loss(p.old_log_prob, p.advantage);
    loss.clip_low = c.parameter("ratio_clip_min");
    loss.clip_high = c.parameter("ratio_clip_max");
    if (c.has_parameter("ratio_clip_c")) loss.dual_clip = c.parameter("ratio_clip_c");
    at_level(loss);
  }
  return {};
}

const known_group known[] = {
    {"grpo_loss_from_logits", grpo_from_logits},
    {"grpo_loss_from_logprobs", grpo_from_log_probs},
    {"rloo_loss_from_logits", rloo_from_logits},
    {"policy_nemo", nemo},
};

}  // namespace
}  // namespace golden
