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

namespace detail {

/// The sums behind `off_policy_measures`, sequence by sequence.
class off_policy_sums {
 public:
  explicit off_policy_sums(const off_policy_metric_options& options) : options_(options) {
    found_.largest_log_perplexity_difference = -infinity;
    found_.smallest_log_perplexity_difference = infinity;
  }

  template <class L>
  void add_sequence(const log_ratio_source& ratio, const L& layout, index b) {
    double learner = 0, behaviour = 0, log_ratio = 0;
    index length = 0;
    layout.for_each_token(b, [&](index t) {
      if (ratio.is_missing(t)) {
        ++found_.missing;
        return;
      }
      const double d = ratio(t), r = clamped(d);
      learner -= ratio.learner(t);
      behaviour -= ratio.behaviour(t);
      log_ratio += d;
      found_.kl -= d;
      found_.k3 += kl_estimate(kl_kind::k3, -d);
      ratios_ += r;
      squares_ += r * r;
      ++length;
    });
    if (length == 0 && !options_.counts_empty_sequences) return;
    found_.counted += length;
    ++found_.sequences;
    const double count = static_cast<double>(length) + options_.mean_epsilon;
    learner = length == 0 ? 0 : learner / count;
    behaviour = length == 0 ? 0 : behaviour / count;
    // Of two infinite perplexities the difference is known token by token.
    const bool are_infinite = learner == infinity && behaviour == infinity;
    add_perplexities(learner, behaviour, are_infinite ? -log_ratio / count : learner - behaviour);
    const double r = clamped(log_ratio);
    sequence_ratios_ += r;
    sequence_squares_ += r * r;
  }

  off_policy_measures means() {
    const double tokens = static_cast<double>(found_.counted), sequences = static_cast<double>(found_.sequences);
    found_.kl /= tokens + options_.mean_epsilon;
    found_.k3 /= tokens + options_.mean_epsilon;
    for (double* mean : {&found_.learner_perplexity, &found_.learner_log_perplexity, &found_.behaviour_perplexity,
                         &found_.behaviour_log_perplexity, &found_.log_perplexity_difference,
                         &found_.log_perplexity_distance, &found_.perplexity_ratio})
      *mean /= sequences;
    if (found_.sequences == 0)
      found_.largest_log_perplexity_difference = found_.smallest_log_perplexity_difference = not_a_number;
    found_.token_chi_square = squares_ / (tokens + options_.mean_epsilon) - 1;
    found_.sequence_chi_square = sequence_squares_ / sequences - 1;
    found_.token_sample_share = ratios_ * ratios_ / (squares_ * tokens);
    found_.sequence_sample_share = sequence_ratios_ * sequence_ratios_ / (sequence_squares_ * sequences);
    return found_;
  }

 private:
  double clamped(double d) const {
    return emend::exp(emend::clamp(d, -options_.log_ratio_clamp, options_.log_ratio_clamp));
  }
  void add_perplexities(double learner, double behaviour, double difference) {
    found_.learner_log_perplexity += learner;
    found_.behaviour_log_perplexity += behaviour;
    found_.learner_perplexity += emend::exp(learner);
    found_.behaviour_perplexity += emend::exp(behaviour);
    found_.log_perplexity_difference += difference;
    found_.log_perplexity_distance += emend::abs(difference);
    found_.largest_log_perplexity_difference = emend::max(found_.largest_log_perplexity_difference, difference);
    found_.smallest_log_perplexity_difference = emend::min(found_.smallest_log_perplexity_difference, difference);
    found_.perplexity_ratio += emend::exp(difference);
  }

  const off_policy_metric_options& options_;
  off_policy_measures found_;
  double ratios_ = 0, squares_ = 0, sequence_ratios_ = 0, sequence_squares_ = 0;
};

}  // namespace detail

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
  detail::off_policy_sums sums(options);
  for (index b = 0; b < layout.sequences(); ++b) sums.add_sequence(ratio, layout, b);
  return sums.means();
}

}  // namespace emend
