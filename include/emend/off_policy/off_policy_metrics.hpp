#pragma once

#include <emend/losses/kl_estimators.hpp>
#include <emend/off_policy/log_ratio.hpp>

namespace emend {

/// Options of `off_policy_metrics`.
struct off_policy_metric_options {
  double log_ratio_clamp = 20;          ///< before the squares of chi-square and of the sample sizes; verl 20
  double mean_epsilon = 0;              ///< added to the count under every mean over tokens; verl 1e-8
  bool counts_empty_sequences = false;  ///< a sequence without tokens counts as one of perplexity 1 and ratio 1 (verl)
};

/// How far the policy that learns is from the one that sampled. With d = log_prob - behaviour_log_prob and
/// log-perplexity_b = -mean_t log_prob_t; NaN where there is nothing to measure.
struct off_policy_measures {
  double kl = 0;                                              ///< mean_t -d: KL(behaviour || learner), k1 [nats]
  double k3 = 0;                                              ///< mean_t e^d - 1 - d [nats]
  double learner_perplexity = 0, learner_log_perplexity = 0;  ///< means over sequences
  double behaviour_perplexity = 0, behaviour_log_perplexity = 0;
  /// Of learner minus behaviour log-perplexity, over sequences: mean, mean magnitude, largest, smallest.
  double log_perplexity_difference = 0, log_perplexity_distance = 0;
  double largest_log_perplexity_difference = 0, smallest_log_perplexity_difference = 0;
  double perplexity_ratio = 0;       ///< mean over sequences of learner / behaviour perplexity
  double token_chi_square = 0;       ///< mean_t r_t^2 - 1
  double sequence_chi_square = 0;    ///< mean_b (prod_t r_t)^2 - 1
  double token_sample_share = 0;     ///< effective sample size (sum r)^2 / sum r^2, as a share of the tokens
  double sequence_sample_share = 0;  ///< the same of the sequences' ratios
  index counted = 0, missing = 0, sequences = 0;
};

/// Measures the distance of learner and behaviour policy on the sampled tokens.
/// log_prob, behaviour_log_prob: [layout.tokens()]. Tokens without a behaviour log-probability (NaN) are left out of
/// every measure, and counted in `missing`; sequences without other tokens are left out but for the option. Throws
/// std::invalid_argument on a length that does not fit. Cost: one pass over two numbers a token. The measures of verl's
/// rollout correction; their formulas are with their fields.
template <layout_argument L>
off_policy_measures off_policy_metrics(column log_prob, column behaviour_log_prob, const L& layout,
                                       const off_policy_metric_options& options = {}) {
  const detail::log_ratio_source ratio(log_prob, behaviour_log_prob, layout.tokens());
  detail::require_bound("log_ratio_clamp", options.log_ratio_clamp);
  detail::require_not_negative("mean_epsilon", options.mean_epsilon);
  const auto clamped = [&](double d) {
    return emend::exp(emend::clamp(d, -options.log_ratio_clamp, options.log_ratio_clamp));
  };

  off_policy_measures result;
  result.largest_log_perplexity_difference = -detail::infinity;
  result.smallest_log_perplexity_difference = detail::infinity;
  double ratios = 0, squares = 0, sequence_ratios = 0, sequence_squares = 0;
  for (index b = 0; b < layout.sequences(); ++b) {
    double learner = 0, behaviour = 0, log_ratio = 0;
    index length = 0;
    layout.for_each_token(b, [&](index t) {
      if (ratio.is_missing(t)) {
        ++result.missing;
        return;
      }
      const double d = ratio(t), r = clamped(d);
      learner -= ratio.learner(t);
      behaviour -= ratio.behaviour(t);
      log_ratio += d;
      result.kl -= d;
      result.k3 += kl_estimate(kl_kind::k3, -d);
      ratios += r;
      squares += r * r;
      ++length;
    });
    if (length == 0 && !options.counts_empty_sequences) continue;
    result.counted += length;
    ++result.sequences;
    const double count = static_cast<double>(length) + options.mean_epsilon;
    learner = length == 0 ? 0 : learner / count;
    behaviour = length == 0 ? 0 : behaviour / count;
    // Of two infinite perplexities the difference is known token by token.
    const bool are_infinite = learner == detail::infinity && behaviour == detail::infinity;
    const double difference = are_infinite ? -log_ratio / count : learner - behaviour, r = clamped(log_ratio);
    result.learner_log_perplexity += learner;
    result.behaviour_log_perplexity += behaviour;
    result.learner_perplexity += emend::exp(learner);
    result.behaviour_perplexity += emend::exp(behaviour);
    result.log_perplexity_difference += difference;
    result.log_perplexity_distance += emend::abs(difference);
    result.largest_log_perplexity_difference = emend::max(result.largest_log_perplexity_difference, difference);
    result.smallest_log_perplexity_difference = emend::min(result.smallest_log_perplexity_difference, difference);
    result.perplexity_ratio += emend::exp(difference);
    sequence_ratios += r;
    sequence_squares += r * r;
  }
  const double tokens = static_cast<double>(result.counted), sequences = static_cast<double>(result.sequences);
  result.kl /= tokens + options.mean_epsilon;
  result.k3 /= tokens + options.mean_epsilon;
  for (double* mean : {&result.learner_perplexity, &result.learner_log_perplexity, &result.behaviour_perplexity,
                       &result.behaviour_log_perplexity, &result.log_perplexity_difference,
                       &result.log_perplexity_distance, &result.perplexity_ratio})
    *mean /= sequences;
  if (result.sequences == 0)
    result.largest_log_perplexity_difference = result.smallest_log_perplexity_difference = detail::not_a_number;
  result.token_chi_square = squares / (tokens + options.mean_epsilon) - 1;
  result.sequence_chi_square = sequence_squares / sequences - 1;
  result.token_sample_share = ratios * ratios / (squares * tokens);
  result.sequence_sample_share = sequence_ratios * sequence_ratios / (sequence_squares * sequences);
  return result;
}

}  // namespace emend
