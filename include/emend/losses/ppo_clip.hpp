#pragma once

#include <emend/core/token.hpp>

#include <array>

namespace emend {

/// Clipped surrogate of token-level PPO.
///   loss_i = -min(r_i A_i, clamp(r_i, 1-clip_low, 1+clip_high) A_i),  r_i = exp(log_prob_i - old_log_prob_i)   [nats]
/// old_log_prob, advantage: [N], constants. Throws std::invalid_argument if a length is not N.
/// Metrics, means over the evaluated tokens: clip_fraction (the clamped branch is the smaller one), approximate_kl
/// (k3: r - 1 - log r), ratio, entropy.
/// Schulman et al. 2017, eq. 7; clip_high apart from clip_low: DAPO (Yu et al. 2025).
struct ppo_clip {
  column old_log_prob;
  column advantage;
  double clip_low = 0.2;
  double clip_high = 0.2;

  static constexpr bool uses_log_sum_squares = false;
  static constexpr std::array metric_names = {"clip_fraction", "approximate_kl", "ratio", "entropy"};

  void check(index n) const {
    detail::require_length("old_log_prob", old_log_prob.size(), n);
    detail::require_length("advantage", advantage.size(), n);
  }

  template <class R>
  R operator()(const token<R>& t) const {
    const R ratio = emend::exp(t.log_prob - t(old_log_prob));
    const R advantage_i = t(advantage);
    return -emend::min(ratio * advantage_i, emend::clamp(ratio, 1 - clip_low, 1 + clip_high) * advantage_i);
  }

  std::array<double, 4> metrics(const token<double>& t) const {
    const double log_ratio = t.log_prob - t(old_log_prob), ratio = emend::exp(log_ratio), a = t(advantage);
    const bool is_clipped = emend::clamp(ratio, 1 - clip_low, 1 + clip_high) * a < ratio * a;
    return {is_clipped ? 1.0 : 0.0, emend::expm1(log_ratio) - log_ratio, ratio, t.entropy};
  }
};

}  // namespace emend
