#pragma once

#include <emend/losses/policy_loss.hpp>

#include <vector>

namespace emend {

/// Optimal value of a prompt, from rewards of responses that the reference policy gave to it.
///   V* = beta (log sum_k exp(r_k / beta) - log K)
/// reward: [K], K > 0; beta > 0. Between mean (beta large) and maximum (beta small) of the rewards, and within a few
/// roundings of the spread of the rewards at every beta. A NaN gives NaN. Throws std::invalid_argument on no rewards or
/// a beta not above 0. A*-PO, Brantley et al. 2025, eq. 4; TRL "a2po".
inline double optimal_value(column reward, double beta) {
  if (reward.empty()) detail::fail("reward", "at least one reward", "none");
  detail::require_positive("beta", beta);
  const double count = static_cast<double>(reward.size());
  double largest = reward[0], smallest = reward[0];
  for (index k = 1; k < reward.size(); ++k) {
    largest = emend::max(largest, reward[k]);
    smallest = emend::min(smallest, reward[k]);
  }
  if (!(largest < detail::infinity) || largest == -detail::infinity) return largest;
  const double spread = largest - smallest;
  if (spread <= 1e-8 * beta) {
    // mean + variance / (2 beta): the next term is below 1e-16 of the spread, and a quotient by beta could underflow.
    double mean = 0, variance = 0;
    for (index k = 0; k < reward.size(); ++k) mean += (reward[k] - largest) / count;
    for (index k = 0; k < reward.size(); ++k) {
      const double step = reward[k] - largest - mean;
      variance += step / beta * step / count;
    }
    return largest + (mean + variance / 2);
  }
  double less = 0, sum = 0;
  for (index k = 0; k < reward.size(); ++k) {
    less += emend::expm1((reward[k] - largest) / beta);
    sum += emend::exp((reward[k] - largest) / beta);
  }
  // Near a mean of 1 the logarithm of the mean loses its digits, near a mean of 0 log1p does.
  const double log_mean = less > -0.5 * count ? emend::log1p(less / count) : emend::log(sum) - emend::log(count);
  return largest + beta * log_mean;
}

/// Regression of the policy's log-ratio on the optimal advantage; for `evaluate_sequences`.
///   loss_b = (beta sum_t (log_prob_t - reference_log_prob_t) - A*_b)^2,   A*_b = r_b - V*
/// Every token of the sequence has the sequence's loss: aggregate by per_example_mean.
/// reference_log_prob, advantage: [N], advantage A*_b at each token. Throws std::invalid_argument if a length is not N,
/// or beta is not above 0. A*-PO, Brantley et al. 2025, eq. 5; TRL "a2po".
struct a_star_po {
  column reference_log_prob;
  column advantage;
  double beta = 1;

  static constexpr bool uses_entropy = false, uses_log_sum_squares = false;
  void check(index n) const {
    detail::require_length("reference_log_prob", reference_log_prob.size(), n);
    detail::require_length("advantage", advantage.size(), n);
    detail::require_positive("beta", beta);
  }
  template <class R>
  R summand(const token<R>& t) const {
    return detail::log_ratio_at(t, reference_log_prob);
  }
  template <class R, class Length>
  R operator()(const token<R>& t, const R& summary, const Length&) const {
    return emend::square(R(beta * summary - t(advantage)));
  }
};

}  // namespace emend
