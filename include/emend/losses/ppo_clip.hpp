#pragma once

#include <emend/losses/policy_loss.hpp>

namespace emend {

/// Clipped surrogate of token-level PPO.
///   loss_i = -min(r_i A_i, clamp(r_i, 1-clip_low, 1+clip_high) A_i),  r_i = exp(log_prob_i - old_log_prob_i)   [nats]
///   dual clip, where A_i < 0:   loss_i = min(loss_i, -dual_clip A_i)
/// old_log_prob, advantage: [N], constants. Throws std::invalid_argument if a length is not N, or an option is out of
/// range. A token of advantage 0 has loss 0 and gradient 0 whatever its ratio. Metrics, means over the evaluated
/// tokens: clip_fraction (the clamped branch is the smaller one), approximate_kl (k3: r - 1 - log r), log_ratio, ratio,
/// entropy. Schulman et al. 2017, eq. 7; clip_high apart from clip_low: DAPO (Yu et al. 2025); dual clip: Ye et al.
/// 2020.
struct ppo_clip {
  column old_log_prob;
  column advantage;
  double clip_low = 0.2;
  double clip_high = 0.2;
  double dual_clip = 0;  ///< c > 1; 0: off. verl 3; optional in OpenRLHF, NeMo, slime, AReaL; ROLL 1 + 2 clip
  double ratio_cap = detail::infinity;  ///< bound of the unclipped ratio for both signs of A: `delta` of TRL and Liger
  double log_ratio_bound = detail::infinity;  ///< see `default_log_ratio_bound`

  static constexpr bool uses_log_sum_squares = false;
  static constexpr std::array metric_names = detail::policy_metric_names;

  void check(index n) const {
    detail::check_policy(*this, n);
    if (!(dual_clip == 0 || dual_clip > 1))
      detail::fail("dual_clip", "0 (off) or a number above 1", std::to_string(dual_clip));
    detail::require_not_negative("clip_low", clip_low);
    detail::require_not_negative("clip_high", clip_high);
  }

  template <class R, class A>
  constexpr R surrogate(const R& log_ratio, const R&, const A& a) const {
    const R ratio = emend::exp(emend::clamp(log_ratio, -log_ratio_bound, log_ratio_bound));
    R loss = -emend::min(emend::clamp(ratio, 0, ratio_cap) * a, emend::clamp(ratio, 1 - clip_low, 1 + clip_high) * a);
    if (dual_clip > 0) loss = emend::select(a < 0, emend::min(loss, -dual_clip * a), loss);
    return emend::select(a == 0, R(0), loss);
  }

  template <class R, class A>
  decltype(R() < R()) is_clipped(const R& log_ratio, const A& a) const {
    const R ratio = emend::exp(emend::clamp(log_ratio, -log_ratio_bound, log_ratio_bound));
    return emend::clamp(ratio, 1 - clip_low, 1 + clip_high) * a < ratio * a;
  }
  /// Whether the dual clip holds: its bound is below the clipped loss.
  bool is_dual_clipped(double log_ratio, double a) const {
    const double ratio = emend::exp(emend::clamp(log_ratio, -log_ratio_bound, log_ratio_bound));
    return dual_clip > 0 && a < 0 &&
           -dual_clip * a < emend::max(-ratio * a, -emend::clamp(ratio, 1 - clip_low, 1 + clip_high) * a);
  }

  template <class R>
  R operator()(const token<R>& t) const {
    return detail::at_token(*this, t);
  }
  template <class R>
  std::array<R, 5> metrics(const token<R>& t) const {
    return detail::metrics_at_token(*this, t);
  }
};

}  // namespace emend
