#pragma once

#include <emend/losses/policy_loss.hpp>

namespace emend {

/// Soft adaptive policy optimisation: a smooth gate in place of the clip.
///   loss_i = -A_i (4 / tau) sigmoid(tau (r_i - 1)),   tau = temperature_positive where A_i > 0, else
///   temperature_negative
/// old_log_prob, advantage: [N], constants; temperatures above 0. At r = 1 the gradient is the policy gradient.
/// Throws std::invalid_argument if a length is not N or a temperature is not above 0. Qwen team 2025 (TRL, verl,
/// AReaL).
struct sapo {
  column old_log_prob;
  column advantage;
  double temperature_positive = 1;
  double temperature_negative = 1.05;
  double log_ratio_bound = default_log_ratio_bound;

  static constexpr bool uses_log_sum_squares = false;
  static constexpr std::array metric_names = detail::policy_metric_names;
  void check(index n) const {
    detail::check_policy(*this, n);
    detail::require_positive("temperature_positive", temperature_positive);
    detail::require_positive("temperature_negative", temperature_negative);
  }

  template <class R, class A>
  constexpr R surrogate(const R& log_ratio, const R&, const A& a) const {
    const A tau = select(a > 0, A(temperature_positive), A(temperature_negative));
    const R ratio = emend::exp(emend::clamp(log_ratio, -log_ratio_bound, log_ratio_bound));
    return emend::select(a == 0, R(0), -(a * 4 / tau) * emend::sigmoid(tau * (ratio - 1)));
  }
  /// Never: the gate only fades.
  template <class R, class A>
  bool is_clipped(const R&, const A&) const {
    return false;
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
