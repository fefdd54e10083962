#pragma once

#include <emend/losses/kl_estimators.hpp>
#include <emend/off_policy/log_ratio.hpp>

namespace emend {

/// What is compared with the bounds, and what falls with it: a token by its own estimate, or a whole sequence by the
/// sum, the mean or the largest of its tokens' estimates.
enum class rejection_level { token, sequence_sum, sequence_mean, sequence_max };

/// Options of `rejection`. verl names eleven of the combinations: token, sequence_sum (seq_sum) and sequence_mean
/// (seq_mean) with k1, k2, k3; sequence_max (seq_max) with k2, k3. Bounds that a peer gives as ratios l and u for k1
/// are lower = -log u, upper = -log l here.
struct rejection_options {
  rejection_level level = rejection_level::token;
  kl_kind estimate = kl_kind::k3;    ///< of KL(behaviour || learner): k3 = e^-d - 1 + d, d = behaviour - log_prob
  double lower = -detail::infinity;  ///< [nats], inclusive; of use for k1
  double upper = 0.01;               ///< [nats], inclusive
  double log_ratio_clamp = 20;       ///< of d, before the estimate; verl 20
};

/// What `rejection` returns.
struct rejection_result {
  std::vector<double> kept;  ///< [tokens], 1 or 0; 0 where not counted. To be multiplied into a mask.
  index counted = 0, missing = 0, rejected = 0;
  index sequences = 0, rejected_sequences = 0;  ///< with a counted token; of these, with no token kept
  double rejected_share() const {
    return counted > 0 ? static_cast<double>(rejected) / static_cast<double>(counted) : 0;
  }
};

/// Rejects tokens or whole sequences that the learner's policy would hardly have sampled: a mask beside the weights.
///   token t is kept if lower <= value_t <= upper,   value: the estimate, or its sum, mean or maximum over the sequence
/// log_prob, behaviour_log_prob: [layout.tokens()]. A missing behaviour log-probability (NaN) gives the estimate 0, in
/// a sequence too, and never rejects by itself; a NaN value is rejected. A sequence without counted tokens is not
/// counted. Throws std::invalid_argument on a length that does not fit, or bounds that are no interval. Cost: two
/// passes over two numbers a token. The rejection sampling of verl's rollout correction.
template <layout_argument L>
rejection_result rejection(column log_prob, column behaviour_log_prob, const L& layout,
                           const rejection_options& options = {}) {
  const detail::log_ratio_source ratio(log_prob, behaviour_log_prob, layout.tokens());
  detail::require_bound("log_ratio_clamp", options.log_ratio_clamp);
  if (!(options.upper >= options.lower))
    detail::fail("upper", "a number not below " + std::to_string(options.lower), std::to_string(options.upper));
  const auto estimate = [&](index t) {
    return kl_estimate(options.estimate, -ratio(t), {.input = options.log_ratio_clamp});
  };
  const auto is_inside = [&](double x) { return x >= options.lower && x <= options.upper; };

  rejection_result result;
  result.kept.assign(static_cast<std::size_t>(layout.tokens()), 0);
  for (index b = 0; b < layout.sequences(); ++b) {
    double sum = 0, largest = -detail::infinity;
    index length = 0, rejected = 0;
    layout.for_each_token(b, [&](index t) {
      const double value = estimate(t);
      sum += value;
      largest = emend::max(largest, value);
      result.missing += ratio.is_missing(t);
      ++length;
    });
    if (length == 0) continue;
    const double sequence_value = options.level == rejection_level::sequence_max    ? largest
                                  : options.level == rejection_level::sequence_mean ? sum / static_cast<double>(length)
                                                                                    : sum;
    layout.for_each_token(b, [&](index t) {
      const bool is_own = options.level == rejection_level::token;
      const bool is_kept = is_own ? ratio.is_missing(t) || is_inside(estimate(t)) : is_inside(sequence_value);
      result.kept[static_cast<std::size_t>(t)] = is_kept;
      rejected += !is_kept;
    });
    result.counted += length;
    result.rejected += rejected;
    ++result.sequences;
    result.rejected_sequences += rejected == length;
  }
  return result;
}

}  // namespace emend
