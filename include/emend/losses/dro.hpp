#pragma once

#include <emend/losses/policy_loss.hpp>

namespace emend {

/// Direct reward optimisation: the policy gradient with a quadratic pull to the old policy.
///   loss_i = -A_i log_prob_i + (beta / 2) (log_prob_i - old_log_prob_i)^2                                      [nats]
/// old_log_prob, advantage: [N], constants. Throws std::invalid_argument if a length is not N.
/// Richemond et al. 2024; verl "dro".
struct dro {
  column old_log_prob;
  column advantage;
  double beta = 0.5;

  static constexpr bool uses_log_sum_squares = false;
  static constexpr std::array metric_names = detail::policy_metric_names;
  void check(index n) const {
    detail::check_policy(*this, n);
    if (beta != beta) detail::fail("beta", "a number", "NaN");
  }

  template <class R, class A>
  constexpr R surrogate(const R& log_ratio, const R& log_prob, const A& a) const {
    const R pull = beta == 0 ? R(0) : R(0.5 * beta * emend::square(log_ratio));
    return emend::select(a == 0, pull, -a * log_prob + pull);
  }
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
