#pragma once

#include <emend/losses/policy_loss.hpp>

namespace emend {

/// Variational sequence-level soft policy optimisation: a smooth, constant weight of the whole sequence; for
/// `evaluate_sequences`.
///   loss_t = -phi(w_b) A_t log_prob_t,   phi(w) = exp(lambda) w^k exp(-lambda w),
///   log w_b = clamp(sum_t clamp(log_prob_t - old_log_prob_t, +-20), log 1e-8, 20),   (k, lambda) by the sign of A_t
///   [nats]
/// phi is held constant, has its value 1 at w = 1, and is 0 where it overflows. old_log_prob, advantage: [N].
/// Throws std::invalid_argument if a length is not N or a lambda is not above 0. TRL and Liger "vespo", with their
/// defaults.
struct vespo {
  column old_log_prob;
  column advantage;
  double k_positive = 2, lambda_positive = 3;
  double k_negative = 3, lambda_negative = 2;

  static constexpr bool uses_log_sum_squares = false;
  void check(index n) const {
    detail::check_policy(*this, n);
    detail::require_positive("lambda_positive", lambda_positive);
    detail::require_positive("lambda_negative", lambda_negative);
  }

  template <class R>
  R summand(const token<R>& t) const {
    return emend::clamp(detail::log_ratio_between(R(emend::detach(t.log_prob)), t(old_log_prob)), -20, 20);
  }
  template <class R, class Length>
  R operator()(const token<R>& t, const R& summary, const Length&) const {
    const auto a = t.number(advantage);
    return select(a == 0, R(0), -detail::product_or_zero(R(weight(R(emend::detach(summary)), a) * a), t.log_prob));
  }

  /// phi of a sequence whose log-ratio is log_w.
  template <class R, class A>
  R weight(const R& log_w, const A& a) const {
    const R bounded = emend::clamp(log_w, -18.420680743952367, 20);
    const A k = select(a >= 0, k_positive, k_negative), lambda = select(a >= 0, lambda_positive, lambda_negative);
    const R phi = emend::exp(lambda + k * bounded - lambda * emend::exp(bounded));
    return select(phi <= 1.7976931348623157e308, phi, R(0));
  }
};

}  // namespace emend
