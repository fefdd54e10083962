#pragma once

#include <emend/losses/kl_estimators.hpp>

namespace emend {

namespace detail {

/// clamp(kl / target - 1, +-bound), all of them checked.
inline double bounded_kl_error(double coefficient, double kl, double target, double bound) {
  require_not_negative("coefficient", coefficient);
  require_not_negative("bound", bound);
  if (kl != kl) fail("kl", "a number", "NaN");
  return clamp(kl / target - 1, -bound, bound);
}

/// coefficient * factor; 0 stays 0. Throws std::invalid_argument on a product that would stay infinite or NaN for ever.
inline double next_kl_coefficient(double coefficient, double factor, double kl) {
  const double next = factor > 0 ? scaled_or_zero(coefficient, factor) : coefficient * factor;
  if (!(next < infinity)) fail("kl", "a divergence that leaves the coefficient finite", text_of(kl));
  return next;
}

}  // namespace detail

/// A coefficient of the divergence that follows a target.
///   coefficient *= 1 + clamp(kl / target - 1, +-0.2) steps / horizon
/// kl is the mean over sequences of the sum over tokens in OpenAI's code and trlx, of the mean over tokens in verl and
/// ROLL: the same target then means something else by a factor of the length. Ziegler et al. 2019.
struct adaptive_kl_controller {
  double coefficient = 0.2;
  double target = 6;
  double horizon = 10000;
  double bound = 0.2;

  /// Takes the divergence of a batch of `steps` sequences and returns the new coefficient.
  /// Throws std::invalid_argument if target or horizon is not above 0, the coefficient, bound or steps below 0, kl is
  /// NaN, the coefficient would be infinite, or so many steps would make it negative: at least horizon / bound. The
  /// coefficient then stays.
  double update(double kl, double steps) {
    detail::require_positive("target", target);
    detail::require_positive("horizon", horizon);
    detail::require_not_negative("steps", steps);
    const double error = detail::bounded_kl_error(coefficient, kl, target, bound);
    const double factor = 1 + detail::scaled_or_zero(error, steps / horizon);
    if (!(factor > 0))
      detail::fail("steps", "fewer than horizon / bound = " + std::to_string(horizon / bound), std::to_string(steps));
    return coefficient = detail::next_kl_coefficient(coefficient, factor, kl);
  }
};

/// The same with a fixed gain, whatever the size of the batch.
///   coefficient *= 1 + gain clamp((kl - target) / target, +-0.2)
/// RL4LMs.
struct fixed_gain_kl_controller {
  double coefficient = 0.2;
  double target = 6;
  double gain = 0.1;
  double bound = 0.2;

  /// Throws std::invalid_argument if target is not above 0, the coefficient, gain or bound is below 0, kl is NaN, or
  /// the gain would make the coefficient negative, or kl make it infinite. The coefficient then stays.
  double update(double kl) {
    detail::require_positive("target", target);
    detail::require_not_negative("gain", gain);
    const double factor = 1 + detail::scaled_or_zero(gain, detail::bounded_kl_error(coefficient, kl, target, bound));
    if (!(factor > 0)) detail::fail("gain", "below 1 / bound = " + std::to_string(1 / bound), std::to_string(gain));
    return coefficient = detail::next_kl_coefficient(coefficient, factor, kl);
  }
};

/// A constant coefficient, for code that takes any controller.
struct fixed_kl_controller {
  double coefficient = 0.02;

  double update(double, double = 0) const { return coefficient; }
};

}  // namespace emend
