#pragma once

#include <emend/carriers/real.hpp>
#include <emend/core/errors.hpp>

namespace emend {

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
  /// Throws std::invalid_argument if target or horizon is not above 0.
  double update(double kl, double steps) {
    detail::require_positive("target", target);
    detail::require_positive("horizon", horizon);
    coefficient *= 1 + emend::clamp(kl / target - 1, -bound, bound) * steps / horizon;
    return coefficient;
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

  /// Throws std::invalid_argument if target is not above 0.
  double update(double kl) {
    detail::require_positive("target", target);
    coefficient *= 1 + gain * emend::clamp((kl - target) / target, -bound, bound);
    return coefficient;
  }
};

/// A constant coefficient, for code that takes any controller.
struct fixed_kl_controller {
  double coefficient = 0.02;

  double update(double, double = 0) const { return coefficient; }
};

}  // namespace emend
