#include "conventions.hpp"

namespace golden {
namespace {

emend::padded layout_of(const vector_case& c, const std::vector<double>& mask) {
  const array x = c.input("log_prob");
  return {x.rows(), x.columns(), mask};
}

std::string importance_weights(vector_case& c) {
  if (c.is_refused())
    return "every weight is dropped here, and the peer's own metrics divide by their sum: it recorded no weights";
  const std::vector<double> learner = c.input("log_prob").data, behaviour = c.input("rollout_log_prob").data,
                            mask = c.input("mask").data;
  emend::importance_options options = emend::conventions::verl.importance;
  if (!c.has_text("level", "token")) options.level = emend::importance_level::sequence;
  options.is_batch_normalised = c.is_true("batch_normalize");
  if (c.is_text("threshold")) {
    options.mode = emend::bound_mode::mask;
    options.lower = 0.5;
    options.upper = 2;
  } else {
    options.upper = c.parameter("threshold");
  }
  c.expect("weights", emend::importance_weights(learner, behaviour, layout_of(c, mask), options).weight);
  return {};
}

std::string metrics(vector_case& c) {
  const std::vector<double> learner = c.input("log_prob").data, behaviour = c.input("rollout_log_prob").data,
                            mask = c.input("mask").data;
  const auto m = emend::off_policy_metrics(learner, behaviour, layout_of(c, mask), emend::conventions::verl.off_policy);
  c.expect("kl", m.kl);
  c.expect("k3_kl", m.k3);
  c.expect("training_ppl", m.learner_perplexity);
  c.expect("training_log_ppl", m.learner_log_perplexity);
  c.expect("rollout_ppl", m.behaviour_perplexity);
  c.expect("rollout_log_ppl", m.behaviour_log_perplexity);
  c.expect("log_ppl_diff", m.log_perplexity_difference);
  c.expect("log_ppl_abs_diff", m.log_perplexity_distance);
  c.expect("log_ppl_diff_max", m.largest_log_perplexity_difference);
  c.expect("log_ppl_diff_min", m.smallest_log_perplexity_difference);
  c.expect("ppl_ratio", m.perplexity_ratio);
  c.expect("chi2_token", m.token_chi_square);
  c.expect("chi2_seq", m.sequence_chi_square);
  return {};
}

std::string sequence_mask(vector_case& c) {
  const std::vector<double> learner = c.input("log_prob").data, behaviour = c.input("sampling_log_prob").data,
                            mask = c.input("mask").data, advantage = c.input("advantages").data;
  c.expect("kept", emend::off_policy_sequence_mask(learner, behaviour, advantage, layout_of(c, mask),
                                                   c.parameter("threshold")));
  return {};
}

const known_group known[] = {{"rollout_importance_weights", importance_weights},
                             {"offpolicy_metrics", metrics},
                             {"off_policy_sequence_mask", sequence_mask}};

}  // namespace
}  // namespace golden
