#pragma once

#include <emend/core/moments.hpp>

namespace emend {

/// How well a critic's values foretell the returns.
struct value_summary {
  double mean = 0, minimum = 0, maximum = 0;  ///< of the values; 0 without a counted token
  double explained_variance = 0;              ///< 1: all of the returns' variance; below 0: worse than their mean
};

/// Options of `value_metrics`.
struct value_metric_options {
  bool is_unbiased = true;
  double epsilon = 1e-5;  ///< added to the variance of the returns: verl
};

/// Mean, extremes and explained variance of a critic over the counted tokens.
///   explained_variance = 1 - var(G - V) / (var(G) + epsilon)
/// value, returns: [layout.tokens()]. With fewer than two tokens there is no variance, and it is 1 (verl: NaN); var(G) = 0
/// with epsilon 0 gives -inf, or 1 if the values are the returns. Throws std::invalid_argument on a length that does not fit.
template <sequence_layout L>
value_summary value_metrics(column value, column returns, const L& layout, const value_metric_options& options = {}) {
  detail::require_length("value", value.size(), layout.tokens());
  detail::require_length("returns", returns.size(), layout.tokens());
  std::vector<char> storage;
  const column mask = detail::counted_positions(layout, storage);
  moments of_value, of_return, of_error;
  value_summary result;
  for (index t = 0; t < layout.tokens(); ++t) {
    if (!mask.empty() && mask[t] == 0) continue;
    const double v = value[t], g = returns[t];
    if (of_value.count == 0 || v < result.minimum) result.minimum = v;
    if (of_value.count == 0 || v > result.maximum) result.maximum = v;
    of_value.add(v);
    of_return.add(g);
    of_error.add(g - v);
  }
  result.mean = of_value.mean;
  const double unexplained = of_error.variance(options.is_unbiased);
  const double variance = of_return.variance(options.is_unbiased) + options.epsilon;
  result.explained_variance = unexplained == 0 ? 1 : 1 - unexplained / variance;
  return result;
}

}  // namespace emend
