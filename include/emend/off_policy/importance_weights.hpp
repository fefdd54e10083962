#pragma once

#include <emend/core/probability_divergence.hpp>
#include <emend/off_policy/log_ratio.hpp>

namespace emend {

/// Over how many tokens a ratio or a divergence is taken.
///   off            every weight is 1
///   token          r_t                                (verl token, TRL token_*, OpenRLHF and NeMo tis, icepop)
///   sequence       prod_t r_t                         (verl sequence, TRL sequence_*)
///   sequence_mean  (prod_t r_t)^(1/T), the geometric mean   (the gate of seq-mask-tis)
enum class importance_level { off, token, sequence, sequence_mean };

/// What becomes of a weight outside the bounds.
///   truncate  clamped to them                         (verl with an upper bound, TRL *_truncate, tis)
///   mask      0: the token is dropped                 (verl with both bounds, TRL *_mask, icepop, seq-mask-tis)
enum class bound_mode { truncate, mask };

/// Which quantity the bounds are about.
///   ratio            the ratio itself
///   binary_kl, total_variation   the `probability_divergence` of the sampled token
/// p, q: probabilities of the sampled token under learner and behaviour policy, clamped to [1e-6, 1 - 1e-6] (OpenRLHF).
enum class importance_gate { ratio, binary_kl, total_variation };

/// Options of `importance_weights`: level, mode and gate are independent, but truncation needs the ratio as its gate.
struct importance_options {
  importance_level level = importance_level::token;
  bound_mode mode = bound_mode::truncate;
  importance_gate gate = importance_gate::ratio;
  double lower = 0;                  ///< verl with one threshold, TRL: 0; IcePop, OpenRLHF, NeMo: below 1
  double upper = 2;                  ///< verl: 2, TRL: 3; of a divergence, its largest value
  bool is_weight_per_token = false;  ///< the level decides, and what is kept weighs by its own ratio (OpenRLHF, NeMo)
  double log_ratio_clamp = 20;  ///< of the log-ratio of the level, a whole sequence's sum too; verl 20, others infinity
  bool is_batch_normalised = false;  ///< weights, after the bounds, divided by their mean (verl batch_normalize)
  double batch_mean = 0;             ///< the mean over all parts of a batch; 0: of this call
};

/// Truncated importance sampling of every token (Yao et al. 2025): tis of OpenRLHF and NeMo, token of verl.
inline constexpr importance_options truncated_importance{};
/// IcePop: tokens outside the band are dropped (Ling team 2025).
inline constexpr importance_options icepop{.mode = bound_mode::mask, .lower = 0.5, .upper = 5};
/// seq-mask-tis of OpenRLHF and NeMo: a sequence is dropped by its geometric mean, its tokens weigh by their own
/// ratios.
inline constexpr importance_options sequence_masked_importance{.level = importance_level::sequence_mean,
                                                               .mode = bound_mode::mask,
                                                               .lower = 0.5,
                                                               .upper = 5,
                                                               .is_weight_per_token = true};

/// What `importance_weights` returns.
struct importance_result {
  std::vector<double> weight;  ///< [tokens], 0 where dropped or not counted
  index counted = 0;           ///< tokens of the layout
  index missing = 0;           ///< of these, without a behaviour log-probability
  index dropped = 0, truncated = 0;
  index sequences = 0, dropped_sequences = 0;  ///< with a counted token; of these, with no token kept
  double mean = 0;        ///< over counted tokens (sequences, where the level is a sequence's), before normalisation
  double mean_count = 0;  ///< how many that were, so that parts of a batch can be put together
  double dropped_share() const { return counted > 0 ? static_cast<double>(dropped) / static_cast<double>(counted) : 0; }
};

namespace detail {

/// One token's, or one sequence's, value that the bounds are about.
class importance_gauge {
 public:
  importance_gauge(const log_ratio_source& ratio, importance_gate gate) : ratio_(ratio), gate_(gate) {}

  double token(index t) const {
    if (gate_ == importance_gate::ratio) return ratio_(t);
    if (ratio_.is_missing(t)) return 0;
    const double p = probability(ratio_.learner(t)), q = probability(ratio_.behaviour(t));
    return divergence_of(gate_ == importance_gate::binary_kl ? probability_divergence::binary_kl
                                                             : probability_divergence::total_variation,
                         p, q, emend::log(q / p));
  }

 private:
  static double probability(double log_prob) { return emend::clamp(emend::exp(log_prob), 1e-6, 1 - 1e-6); }

  const log_ratio_source& ratio_;
  importance_gate gate_;
};

inline void check(const importance_options& options) {
  require_bound("log_ratio_clamp", options.log_ratio_clamp);
  require_not_negative("lower", options.lower);
  if (!(options.upper >= options.lower))
    fail("upper", "a number not below " + std::to_string(options.lower), std::to_string(options.upper));
  require_not_negative("batch_mean", options.batch_mean);
  if (options.batch_mean > 0 && !options.is_batch_normalised)
    fail("is_batch_normalised", "true, since batch_mean is given", "false");
  if (options.mode == bound_mode::truncate && options.gate != importance_gate::ratio)
    fail("mode", "mask, because a divergence is no weight to truncate", "truncate");
}

}  // namespace detail

/// Weights that correct tokens sampled by another policy (an older one, or the same in a rollout engine of another
/// precision).
///   r_t = exp(clamp(log_prob_t - behaviour_log_prob_t)),   w_t = r_t or the ratio of its sequence, bounded
/// log_prob, behaviour_log_prob: [layout.tokens()], of the sampled tokens; constants to every loss. A behaviour
/// log-probability of NaN is missing: that ratio is exactly 1, never bounded, and counted in `missing`; in a sequence
/// it adds a log-ratio of 0, as does a token to which both policies give the probability 0. Bounds are inclusive; a NaN
/// value lies outside them. Dropped weights are 0 by selection, whatever the ratio was. A sequence without counted
/// tokens is neither kept nor dropped. A mean of 1e-8 or less does not normalise. Throws std::invalid_argument on a
/// length that does not fit, bounds that are no interval, or mode truncate with a gate that is no ratio. Cost: two
/// passes over two numbers a token. verl, TRL, OpenRLHF, NeMo: their names are with each option.
template <layout_argument L>
importance_result importance_weights(column log_prob, column behaviour_log_prob, const L& layout,
                                     const importance_options& options = {}) {
  const detail::log_ratio_source ratio(log_prob, behaviour_log_prob, layout.tokens());
  detail::check(options);
  const detail::importance_gauge gauge(ratio, options.gate);
  const bool is_off = options.level == importance_level::off, is_token = options.level == importance_level::token;
  const bool is_mask = options.mode == bound_mode::mask, is_ratio = options.gate == importance_gate::ratio;
  const auto clamped = [&](double x) { return emend::clamp(x, -options.log_ratio_clamp, options.log_ratio_clamp); };
  const auto is_inside = [&](double x) { return x >= options.lower && x <= options.upper; };

  importance_result result;
  result.weight.assign(static_cast<std::size_t>(layout.tokens()), 0);
  double total = 0;
  for (index b = 0; b < layout.sequences(); ++b) {
    double log_ratio = 0, gauged = 0;
    index length = 0, missing = 0;
    layout.for_each_token(b, [&](index t) {
      log_ratio += ratio(t);
      gauged += gauge.token(t);
      missing += ratio.is_missing(t);
      ++length;
    });
    if (length == 0) continue;
    const double share = options.level == importance_level::sequence_mean ? 1 / static_cast<double>(length) : 1;
    const double sequence_ratio = emend::exp(clamped(share * log_ratio));
    const bool is_sequence_inside = is_inside(is_ratio ? sequence_ratio : share * gauged);
    index dropped = 0;
    double sequence_weight = 0;
    layout.for_each_token(b, [&](index t) {
      double& weight = result.weight[static_cast<std::size_t>(t)];
      const bool is_missing = ratio.is_missing(t), is_own = is_token || options.is_weight_per_token;
      weight = is_off || (is_own && is_missing) ? 1 : is_own ? emend::exp(clamped(ratio(t))) : sequence_ratio;
      if (!is_off && is_mask) {
        const bool is_kept =
            !is_token ? is_sequence_inside : is_missing || is_inside(is_ratio ? weight : gauge.token(t));
        if (!is_kept) weight = 0, ++dropped;
      } else if (!is_off && !(is_own && is_missing)) {
        const double bounded = emend::clamp(weight, options.lower, options.upper);
        result.truncated += bounded != weight && weight == weight;
        weight = bounded;
      }
      sequence_weight += weight;
    });
    result.counted += length;
    result.missing += missing;
    result.dropped += dropped;
    ++result.sequences;
    result.dropped_sequences += dropped == length;
    const bool is_per_sequence = !is_off && !is_token;
    total += is_per_sequence ? sequence_weight / static_cast<double>(length) : sequence_weight;
    result.mean_count += is_per_sequence ? 1 : static_cast<double>(length);
  }
  result.mean = result.mean_count > 0 ? total / result.mean_count : 0;
  const double mean = options.batch_mean > 0 ? options.batch_mean : result.mean;
  if (options.is_batch_normalised && mean > 1e-8)
    for (double& weight : result.weight) weight /= mean;
  return result;
}

}  // namespace emend
