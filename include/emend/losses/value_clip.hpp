#pragma once

#include <emend/evaluation/evaluate_numbers.hpp>

namespace emend {

/// Which error a clipped value loss takes: the larger of the clipped and the plain one (everybody), or the clipped one
/// alone (RL4LMs).
enum class value_clipping { larger, clipped };

/// What passes at exactly the edge of the clip: the whole gradient of the clipped branch (torch.clamp: everybody), or
/// half of it, which leaves three quarters in all (verl, whose clip is a max of a min).
enum class clip_edge { whole, half };

/// Error of a critic, its step from the old value clipped; a loss for `evaluate_values`.
///   loss_i = factor max(e(V_i - G_i), e(clamp(V_i, V_old_i - clip, V_old_i + clip) - G_i)),
///   e(x) = x^2,  or Huber's 2 delta (|x| - delta/2) where |x| > delta
/// old_value, returns: [N], constants; clip: above 0, infinity for none; old_value may be empty where there is no clip.
/// Throws std::invalid_argument if a length is not N or an option is not above 0.
/// Metric: clip_fraction, where the clipped error is the larger one (verl); slime counts |V - V_old| > clip.
/// Schulman et al. 2017's reference code.
struct value_clip {
  column old_value;
  column returns;
  double clip = 0.2;
  value_clipping clipping = value_clipping::larger;
  clip_edge edge = clip_edge::whole;
  double huber_delta = detail::infinity;  ///< AReaL "huber": 10
  double factor = 0.5;                    ///< 1 in slime, 1/2 in TRL, verl, OpenRLHF, NeMo, AReaL, align-anything

  static constexpr std::array metric_names = {"clip_fraction"};

  void check(index n) const {
    detail::require_length("returns", returns.size(), n);
    detail::require_bound("clip", clip);
    detail::require_bound("huber_delta", huber_delta);
    if (clip < detail::infinity || old_value.is_given()) detail::require_length("old_value", old_value.size(), n);
    if (factor != factor) detail::fail("factor", "a number", "NaN");
  }

  template <class R>
  R operator()(const number<R>& v) const {
    if (factor == 0) return R(0);
    const R plain = error(v.value - v(returns));
    if (!(clip < detail::infinity)) return factor * plain;
    const R clipped = error(clipped_value(v.value, v.position) - v(returns));
    return factor * (clipping == value_clipping::clipped ? clipped : emend::max(plain, clipped));
  }

  std::array<double, 1> metrics(const number<double>& v) const {
    if (!(clip < detail::infinity)) return {0};
    const double target = returns[v.position];
    return {error(clipped_value(v.value, v.position) - target) > error(v.value - target) ? 1.0 : 0.0};
  }

 private:
  template <class R>
  R clipped_value(const R& value, index i) const {
    const double low = old_value[i] - clip, high = old_value[i] + clip;
    return edge == clip_edge::half ? emend::max(emend::min(value, high), low) : emend::clamp(value, low, high);
  }
  template <class R>
  R error(const R& x) const {
    if (emend::abs(value_of(x)) <= huber_delta) return emend::square(x);
    return 2 * huber_delta * (emend::abs(x) - 0.5 * huber_delta);
  }
};

}  // namespace emend
