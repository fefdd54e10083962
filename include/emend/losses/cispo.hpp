#pragma once

#include <emend/losses/policy_loss.hpp>

namespace emend {

/// Clipped importance-sampling weights: the ratio weighs the policy gradient, clipped and constant.
///   loss_i = -sg[clamp(r_i, ratio_low, ratio_high)] A_i log_prob_i                                             [nats]
/// old_log_prob, advantage: [N], constants. Bounds are those of the ratio itself: [1-low, 1+high] in verl, slime and
/// NeMo, [0, epsilon_high] in TRL and Liger, [0, 1+high] in open-instruct. No token's gradient is cut off. Throws
/// std::invalid_argument if a length is not N, or ratio_low is above ratio_high. MiniMax-M1 2025, eq. 4 and 5.
struct cispo {
  column old_log_prob;
  column advantage;
  double ratio_low = 0;
  double ratio_high = 5;
  double log_ratio_bound = default_log_ratio_bound;

  static constexpr bool uses_log_sum_squares = false;
  static constexpr std::array metric_names = detail::policy_metric_names;
  void check(index n) const {
    detail::check_policy(*this, n);
    if (!(ratio_low <= ratio_high)) detail::fail("ratio_low", "a number up to ratio_high", std::to_string(ratio_low));
  }

  template <class R, class A>
  constexpr R surrogate(const R& log_ratio, const R& log_prob, const A& a) const {
    const R weight = emend::clamp(ratio_of(emend::detach(log_ratio)), ratio_low, ratio_high);
    return emend::select(a == 0, R(0), -detail::product_or_zero(R(weight * a), log_prob));
  }
  template <class R, class A>
  decltype(R() < R()) is_clipped(const R& log_ratio, const A&) const {
    const R ratio = ratio_of(log_ratio);
    return ratio < R(ratio_low) || ratio > R(ratio_high);
  }

  template <class R>
  R operator()(const token<R>& t) const {
    return detail::at_token(*this, t);
  }
  template <class R>
  std::array<R, 5> metrics(const token<R>& t) const {
    return detail::metrics_at_token(*this, t);
  }

 private:
  template <class R>
  constexpr R ratio_of(const R& log_ratio) const {
    return emend::exp(emend::clamp(log_ratio, -log_ratio_bound, log_ratio_bound));
  }
};

}  // namespace emend
