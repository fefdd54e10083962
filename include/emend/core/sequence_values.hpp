#pragma once

#include <emend/core/layout.hpp>

namespace emend {

/// The number of each sequence at every counted token of it, 0 elsewhere.
/// per_sequence: [B]. Throws std::invalid_argument if its length does not fit.
template <layout_argument L>
std::vector<double> to_tokens(column per_sequence, const L& layout) {
  detail::require_length("per_sequence", per_sequence.size(), layout.sequences());
  std::vector<double> result(static_cast<std::size_t>(layout.tokens()), 0);
  for (index b = 0; b < layout.sequences(); ++b) {
    const double value = per_sequence[b];
    layout.for_each_token(b, [&](index t) { result[static_cast<std::size_t>(t)] = value; });
  }
  return result;
}

/// One number per sequence as a column of one per token: what a loss reads where a batch has an advantage, a weight or
/// a reward for each sequence.
///   emend::ppo_clip loss{.old_log_prob = old_log_prob, .advantage = emend::per_sequence(advantage, layout)};
/// values: [B] -> [layout.tokens()], 0 at uncounted tokens; the column owns its numbers. Throws std::invalid_argument
/// if the length does not fit. Cost: as `to_tokens`.
template <layout_argument L>
column per_sequence(column values, const L& layout) {
  return to_tokens(std::move(values), layout);
}

/// The sum of each sequence over its counted tokens, 0 where it has none.
/// per_token: [layout.tokens()] -> [B]. Throws std::invalid_argument if the length does not fit.
template <layout_argument L>
std::vector<double> sequence_sums(column per_token, const L& layout) {
  detail::require_length("per_token", per_token.size(), layout.tokens());
  std::vector<double> result(static_cast<std::size_t>(layout.sequences()), 0);
  for (index b = 0; b < layout.sequences(); ++b)
    layout.for_each_token(b, [&](index t) { result[static_cast<std::size_t>(b)] += per_token[t]; });
  return result;
}

/// The mean of a column over the counted tokens of each sequence, written at each of those tokens; 0 elsewhere.
///   mean_t = sum_{u in b} x_u / (T_b + epsilon)
/// per_token: [layout.tokens()]. Throws std::invalid_argument on a length that does not fit.
template <layout_argument L>
std::vector<double> sequence_means(column per_token, const L& layout, double epsilon = 0) {
  std::vector<double> mean = sequence_sums(per_token, layout);
  for (std::size_t b = 0; b < mean.size(); ++b)
    mean[b] /= static_cast<double>(length_of(layout, static_cast<index>(b))) + epsilon;
  return to_tokens(mean, layout);
}

}  // namespace emend
