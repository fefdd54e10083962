#pragma once

#include <emend/core/moments.hpp>

namespace emend {

/// How well a critic's values foretell the returns.
struct value_summary {
  double mean = 0, minimum = 0, maximum = 0;  ///< of the values; 0 without a counted token
  double explained_variance = 0;              ///< 1: all of the returns' variance; below 0: worse than their mean
};

/// What the metrics are made of; merges over micro-batches and ranks.
struct value_moments {
  moments value, returns, error;  ///< error: G - V
  double minimum = 0, maximum = 0;

  void merge(const value_moments& other) {
    if (other.value.count == 0) return;
    if (value.count == 0 || other.minimum < minimum) minimum = other.minimum;
    if (value.count == 0 || other.maximum > maximum) maximum = other.maximum;
    value.merge(other.value);
    returns.merge(other.returns);
    error.merge(other.error);
  }
};

/// The moments of a critic's values, of the returns and of their difference over the counted tokens.
/// value, returns: [layout.tokens()]. Throws std::invalid_argument on a length that does not fit. Cost: one pass.
template <layout_argument L>
value_moments value_moments_of(column value, column returns, const L& layout) {
  detail::require_length("value", value.size(), layout.tokens());
  detail::require_length("returns", returns.size(), layout.tokens());
  value_moments result;
  for (index b = 0; b < layout.sequences(); ++b)
    layout.for_each_token(b, [&](index t) {
      const double v = value[t], g = returns[t];
      if (result.value.count == 0 || v < result.minimum) result.minimum = v;
      if (result.value.count == 0 || v > result.maximum) result.maximum = v;
      result.value.add(v);
      result.returns.add(g);
      result.error.add(g - v);
    });
  return result;
}

/// Options of `value_metrics`.
struct value_metric_options {
  bool is_unbiased = true;
  double epsilon = 1e-5;  ///< added to the variance of the returns: verl
};

/// Mean, extremes and explained variance of a critic.
///   explained_variance = 1 - var(G - V) / (var(G) + epsilon)
/// With fewer than two tokens there is no variance, and it is 1 (verl: NaN); var(G) = 0 with epsilon 0 gives -inf, or 1
/// if the errors do not vary either.
inline value_summary value_metrics(const value_moments& m, const value_metric_options& options = {}) {
  const double unexplained = m.error.variance(options.is_unbiased);
  const double variance = m.returns.variance(options.is_unbiased) + options.epsilon;
  return {m.value.mean, m.minimum, m.maximum, unexplained == 0 ? 1 : 1 - unexplained / variance};
}

/// The same straight from the columns, see `value_moments_of`.
template <layout_argument L>
value_summary value_metrics(column value, column returns, const L& layout, const value_metric_options& options = {}) {
  return value_metrics(value_moments_of(value, returns, layout), options);
}

}  // namespace emend
