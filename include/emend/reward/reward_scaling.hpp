#pragma once

#include <emend/advantage/running_moments.hpp>
#include <emend/carriers/real.hpp>
#include <emend/losses/kl_estimators.hpp>

namespace emend {

/// Options of `scale_rewards`.
struct reward_scaling_options {
  double bias = 0;   ///< added first (AReaL)
  double scale = 1;  ///< then multiplied; 1 / running_moments::deviation(): trlx (scale_reward = running), ROLL
  double low = -__builtin_inf();  ///< then clamped (trlx cliprange_reward, ROLL reward_clip, AReaL)
  double high = __builtin_inf();
};

/// Rewards shifted, scaled and clamped.
///   clamp((R + bias) scale, low, high)
/// reward: any length; NaN, an absent reward, stays. Normalisation over the batch or a group is `group_relative`.
/// Throws std::invalid_argument if low is above high, or an option is NaN.
inline std::vector<double> scale_rewards(column reward, const reward_scaling_options& options = {}) {
  if (!(options.low <= options.high)) detail::fail("low", "a number up to high", std::to_string(options.low));
  if (options.scale != options.scale) detail::fail("scale", "a number", "NaN");
  if (options.bias != options.bias) detail::fail("bias", "a number", "NaN");
  std::vector<double> result(static_cast<std::size_t>(reward.size()));
  for (index i = 0; i < reward.size(); ++i)
    result[static_cast<std::size_t>(i)] =
        reward[i] != reward[i]
            ? reward[i]
            : emend::clamp(detail::scaled_or_zero(options.scale, reward[i] + options.bias), options.low, options.high);
  return result;
}

}  // namespace emend
