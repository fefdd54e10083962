#pragma once

#include <emend/carriers/real.hpp>
#include <emend/core/layout.hpp>

namespace emend {

/// Where the value of a segment stands: a share of it on each of its tokens, or all on the last.
enum class segment_placement { spread, end };

/// Options of `segment_ends` and `segment_rewards`.
struct segment_options {
  double entropy_threshold = 1.75;
  index minimum_length = 1;               ///< tokens of a segment before it may close
  bool is_last_token_in_segment = false;  ///< false: the last token (the end of sequence) belongs to no segment
  segment_placement placement = segment_placement::spread;
  double mean_slope = 0, mean_offset = 0;            ///< of the value's mean over log position
  double deviation_slope = 0, deviation_offset = 1;  ///< of its deviation
  double clamp = 10;                                 ///< bound of |reward|
};

/// The positions that close the segments of a sequence: tokens at which the policy was unsure what to write next.
///   t closes a segment if entropy_t > entropy_threshold and the segment has minimum_length tokens; the last always
///   closes
/// entropy: [layout.tokens()]; the last segment closes at the last token, or at the one before it. A sequence of one
/// token is one segment. Throws std::invalid_argument on a length that does not fit.
template <layout_argument L>
std::vector<index> segment_ends(column entropy, const L& layout, index b, const segment_options& options = {}) {
  detail::require_length("entropy", entropy.size(), layout.tokens());
  if (options.minimum_length < 1)
    detail::fail("minimum_length", "a number above 0", std::to_string(options.minimum_length));
  if (options.entropy_threshold != options.entropy_threshold) detail::fail("entropy_threshold", "a number", "NaN");
  const index length = length_of(layout, b);
  const index inside = options.is_last_token_in_segment || length == 1 ? length : length - 1;
  std::vector<index> ends;
  index k = 0, size = 0;
  layout.for_each_token(b, [&](index t) {
    if (k++ >= inside) return;
    ++size;
    if (k < inside && !(entropy[t] > options.entropy_threshold && size >= options.minimum_length)) return;
    ends.push_back(t);
    size = 0;
  });
  return ends;
}

/// Rewards of segments: the reward model's value at the end of each, normalised for its place in the response.
///   v_s = (value at the end of s - (mean_slope log p + mean_offset)) / (deviation_slope log p + deviation_offset),
///   p = s / S, s = 1 .. S;   then v_s / length on each token of s, or v_s on its last;   clamped to +-clamp
/// entropy, value: [layout.tokens()]; 0 where a token is not counted or in no segment. As the score of `token_rewards`
/// it gets its divergence term. Throws std::invalid_argument on a length that does not fit, or options that give a
/// segment a deviation not above 0. Yin et al. 2025, by their code.
template <layout_argument L>
std::vector<double> segment_rewards(column entropy, column value, const L& layout,
                                    const segment_options& options = {}) {
  detail::require_length("value", value.size(), layout.tokens());
  detail::require_bound("clamp", options.clamp);
  std::vector<double> result(static_cast<std::size_t>(layout.tokens()), 0);
  std::vector<index> members;
  for (index b = 0; b < layout.sequences(); ++b) {
    const std::vector<index> ends = segment_ends(entropy, layout, b, options);
    std::size_t segment = 0;
    members.clear();
    layout.for_each_token(b, [&](index t) {
      if (segment == ends.size()) return;
      members.push_back(t);
      if (t != ends[segment]) return;
      const double place = emend::log(static_cast<double>(segment + 1) / static_cast<double>(ends.size()));
      const double deviation = options.deviation_slope * place + options.deviation_offset;
      if (!(deviation > 0))
        detail::fail("deviation_offset", "a deviation above 0 in every segment", detail::text_of(deviation));
      const double v = (value[t] - (options.mean_slope * place + options.mean_offset)) / deviation;
      const bool is_spread = options.placement == segment_placement::spread;
      if (is_spread)
        for (index member : members)
          result[static_cast<std::size_t>(member)] =
              emend::clamp(v / static_cast<double>(members.size()), -options.clamp, options.clamp);
      else
        result[static_cast<std::size_t>(t)] = emend::clamp(v, -options.clamp, options.clamp);
      members.clear();
      ++segment;
    });
  }
  return result;
}

}  // namespace emend
