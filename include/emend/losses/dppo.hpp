#pragma once

#include <emend/core/probability_divergence.hpp>
#include <emend/losses/policy_loss.hpp>

namespace emend {

/// Divergence proximal policy optimisation: tokens whose probability has moved too far, in the direction that the
/// advantage asks for, leave the loss; the ratio weighs the policy gradient, bounded and constant.
///   loss_i = -sg[min(r_i, ratio_cap)] A_i log_prob_i [i is kept]                                                [nats]
///   kept, where A_i > 0:  D(p, q) <= high or p <= q;   else:  D(p, q) <= low or p >= q
/// D of p, new, and q, old, with 1e-8 added to 1-q and 1-p. old_log_prob, advantage: [N], constants. Throws
/// std::invalid_argument if a length is not N, or a bound is out of range. verl "dppo_tv", "dppo_kl" (defaults of its
/// tests: 0.1 for total variation, 0.05 for binary KL; ratio_cap 20).
struct dppo {
  column old_log_prob;
  column advantage;
  probability_divergence divergence = probability_divergence::total_variation;
  double low = 0.1;
  double high = 0.1;
  double ratio_cap = 20;
  double log_ratio_bound = default_log_ratio_bound;

  static constexpr bool uses_log_sum_squares = false;
  static constexpr std::array metric_names = detail::policy_metric_names;
  void check(index n) const {
    detail::check_policy(*this, n);
    detail::require_not_negative("low", low);
    detail::require_not_negative("high", high);
  }

  template <class R>
  R operator()(const token<R>& t) const {
    const auto a = t.number(advantage);
    const R old = t(old_log_prob), now = emend::detach(t.log_prob);
    const R ratio = emend::exp(emend::clamp(detail::log_ratio_between(now, old), -log_ratio_bound, log_ratio_bound));
    return emend::select(a == 0 || !is_kept(now, old, a), R(0),
                         -detail::product_or_zero(R(emend::min(ratio, ratio_cap) * a), t.log_prob));
  }
  template <class R>
  std::array<R, 5> metrics(const token<R>& t) const {
    const auto a = t.number(advantage);
    const R old = t(old_log_prob),
            log_ratio = emend::clamp(detail::log_ratio_between(t.log_prob, old), -log_ratio_bound, log_ratio_bound);
    return detail::policy_metrics_of(!is_kept(t.log_prob, old, a), log_ratio, t.entropy);
  }

 private:
  template <class R, class A>
  decltype(R() <= R()) is_kept(const R& log_prob, const R& old, const A& a) const {
    const R p = emend::exp(log_prob), q = emend::exp(old), bound = select(a > 0, A(high), A(low));
    const auto is_up = a > 0;
    return (is_up && p <= q) || (!is_up && p >= q) ||
           detail::divergence_of(divergence, p, q, detail::log_ratio_between(old, log_prob), 1e-8) <= bound;
  }
};

}  // namespace emend
