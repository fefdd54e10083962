#pragma once

#include <emend/carriers/real.hpp>
#include <emend/core/column.hpp>
#include <emend/losses/kl_estimators.hpp>

#include <vector>

namespace emend {

/// Options of `overlong_penalty`.
struct overlong_options {
  double maximum_length;  ///< tokens
  double buffer = 4096;   ///< the last tokens before the maximum, above 0 and up to it
  double factor = 1;      ///< the penalty at the maximum
  bool is_capped = true;  ///< beyond the maximum it stays at factor (OpenRLHF, DAPO); false: it grows on (NeMo, AReaL)
};

/// The soft punishment of long responses, to be added to their rewards.
///   -factor clamp((length - (maximum_length - buffer)) / buffer, 0, 1)
/// length: [B], in tokens -> [B]. Throws std::invalid_argument unless 0 < buffer <= maximum_length, or on a length that
/// is below 0 or NaN.
/// Yu et al. 2025 (DAPO).
inline std::vector<double> overlong_penalty(column length, const overlong_options& options) {
  if (!(options.buffer > 0 && options.buffer <= options.maximum_length))
    detail::fail("buffer", "a number above 0 and up to maximum_length", std::to_string(options.buffer));
  const double free = options.maximum_length - options.buffer;
  std::vector<double> result(static_cast<std::size_t>(length.size()));
  for (index b = 0; b < length.size(); ++b) {
    detail::require_not_negative("length", length[b]);
    const double share = (length[b] - free) / options.buffer;
    result[static_cast<std::size_t>(b)] =
        share > 0 ? -detail::scaled_or_zero(options.factor, options.is_capped ? emend::min(share, 1.0) : share) : 0;
  }
  return result;
}

}  // namespace emend
