#pragma once

#include <emend/core/layout.hpp>

#include <vector>

namespace emend {

/// The mean of a column over the counted tokens of each sequence, written at each of those tokens; 0 elsewhere.
///   mean_t = sum_{u in b} x_u / (T_b + epsilon)
/// values: [layout.tokens()]. Throws std::invalid_argument on a length that does not fit.
template <sequence_layout L>
std::vector<double> sequence_means(column values, const L& layout, double epsilon = 0) {
  detail::require_length("values", values.size(), layout.tokens());
  std::vector<double> mean(static_cast<std::size_t>(layout.tokens()), 0);
  for (index b = 0; b < layout.sequences(); ++b) {
    double sum = 0, count = 0;
    layout.for_each_token(b, [&](index t) { sum += values[t], ++count; });
    layout.for_each_token(b, [&](index t) { mean[static_cast<std::size_t>(t)] = sum / (count + epsilon); });
  }
  return mean;
}

}  // namespace emend
