#pragma once

#include <emend/core/column.hpp>

#include <vector>

namespace emend {

/// Rewards with those of responses that were cut off scaled down, or replaced.
///   reward'_b = coefficient reward_b   where truncated_b, coefficient in [0, 1]
///             = coefficient            where truncated_b, coefficient < 0
///             = reward_b               elsewhere
/// reward, truncated: [B] (any number but 0: cut off) -> [B]. Scaling moves a negative reward up, towards 0; a
/// coefficient below 0 does not. Throws std::invalid_argument if the lengths differ or the coefficient is above 1 or
/// NaN. "Stop properly penalty" of ProRL v2: OpenRLHF; NeMo (0 to 1 only, 0 in its recipe).
inline std::vector<double> truncation_penalty(column reward, column truncated, double coefficient) {
  detail::require_length("truncated", truncated.size(), reward.size());
  if (!(coefficient <= 1)) detail::fail("coefficient", "a number up to 1", std::to_string(coefficient));
  std::vector<double> result(static_cast<std::size_t>(reward.size()));
  for (index b = 0; b < reward.size(); ++b) {
    const double kept = coefficient == 0 ? 0 : coefficient < 0 ? coefficient : coefficient * reward[b];
    result[static_cast<std::size_t>(b)] = truncated[b] != 0 ? kept : reward[b];
  }
  return result;
}

}  // namespace emend
