#pragma once

#include <emend/losses/policy_loss.hpp>

namespace emend {

/// Importance-weighted policy gradient that leaves out, whatever the sign of the advantage, tokens whose probability
/// has moved too far, with a quadratic pull to the behaviour policy.
///   loss_i = -[|p_i - q_i| <= bound] sg[min(r_i, ratio_cap)] A_i log_prob_i + tau (log r_i)^2
///   p = exp(log_prob), q = exp(old_log_prob), r = p / q                                                        [nats]
/// old_log_prob: the behaviour policy's; advantage: [N], constants. Throws std::invalid_argument if a length is not N.
/// prime-rl's default loss ("IPO"); `dppo` is the form that looks at the sign. The pull acts on left-out tokens, too.
struct ipo_mask {
  column old_log_prob;
  column advantage;
  double bound = 0.2;
  double tau = 0;
  double ratio_cap = detail::infinity;

  static constexpr bool uses_log_sum_squares = false;
  static constexpr std::array metric_names = detail::policy_metric_names;
  void check(index n) const {
    detail::check_policy(*this, n);
    detail::require_positive("bound", bound);
    if (tau != tau) detail::fail("tau", "a number", "NaN");
  }

  template <class R>
  R operator()(const token<R>& t) const {
    const R log_ratio = detail::log_ratio_at(t, old_log_prob);
    const auto a = t.number(advantage);
    const R pull = tau == 0 ? R(0) : R(tau * emend::square(log_ratio));
    const R weighted =
        detail::product_or_zero(R(emend::min(emend::exp(emend::detach(log_ratio)), ratio_cap) * a), t.log_prob);
    return emend::select(a == 0 || !is_kept(emend::detach(t.log_prob), t(old_log_prob)), pull, pull - weighted);
  }
  template <class R>
  std::array<R, 5> metrics(const token<R>& t) const {
    const R old = t(old_log_prob), log_ratio = detail::log_ratio_between(t.log_prob, old);
    return detail::policy_metrics_of(!is_kept(t.log_prob, old), log_ratio, t.entropy);
  }

 private:
  template <class R>
  decltype(R() <= R()) is_kept(const R& log_prob, const R& old) const {
    return emend::abs(emend::exp(log_prob) - emend::exp(old)) <= R(bound);
  }
};

}  // namespace emend
