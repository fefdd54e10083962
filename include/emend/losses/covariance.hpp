#pragma once

#include <emend/core/layout.hpp>
#include <emend/core/random.hpp>
#include <emend/losses/policy_loss.hpp>

#include <queue>
#include <vector>

namespace emend {

/// Each counted token's share of the covariance of advantage and log-probability; 0 where not counted.
///   c_i = (A_i - mean A)(log_prob_i - mean log_prob),   means over the N counted tokens, sum / (N + epsilon)
/// advantage, log_prob: [layout.tokens()]. Throws std::invalid_argument on a length that does not fit, and if a counted
/// number is not finite: tokens outside the support are to be masked.
/// Cui et al. 2025, eq. 8; epsilon: 1e-8 in verl's Clip-Cov, 0 in its KL-Cov.
template <layout_argument L>
std::vector<double> token_covariance(column advantage, column log_prob, const L& layout, double epsilon = 0) {
  detail::require_length("advantage", advantage.size(), layout.tokens());
  detail::require_length("log_prob", log_prob.size(), layout.tokens());
  double of_advantage = 0, of_log_prob = 0, count = epsilon;
  for (index b = 0; b < layout.sequences(); ++b)
    layout.for_each_token(b, [&](index t) { of_advantage += advantage[t], of_log_prob += log_prob[t], ++count; });
  // One that is not finite leaves no covariance to any other.
  const auto require_finite = [](const char* argument, double sum) {
    if (sum - sum != 0)
      detail::fail(argument, "finite numbers at counted tokens", "numbers that sum to " + std::to_string(sum));
  };
  require_finite("advantage", of_advantage);
  require_finite("log_prob", of_log_prob);
  std::vector<double> covariance(static_cast<std::size_t>(layout.tokens()), 0);
  for (index b = 0; b < layout.sequences(); ++b)
    layout.for_each_token(b, [&](index t) {
      covariance[static_cast<std::size_t>(t)] =
          (advantage[t] - of_advantage / count) * (log_prob[t] - of_log_prob / count);
    });
  return covariance;
}

/// Options of `select_clip_cov` and `select_kl_cov`.
struct covariance_options {
  double share = 2e-4;          ///< of the counted tokens that are selected, at least one token: verl 2e-4 in both
  double lower = 1, upper = 5;  ///< Clip-Cov: tokens of a covariance strictly between are candidates (verl 1, 5)
  std::uint64_t seed = 0;       ///< Clip-Cov draws among its candidates
};

namespace detail {

template <layout_argument L>
std::size_t selected_count(const L& layout, double share) {
  if (!(share >= 0 && share <= 1)) fail("share", "a number from 0 to 1", std::to_string(share));
  index count = 0;
  for (index b = 0; b < layout.sequences(); ++b) count += length_of(layout, b);
  if (count == 0) return 0;
  const auto selected = static_cast<std::size_t>(share * static_cast<double>(count));
  return selected < 1 ? 1 : selected;
}

/// A token and what it is chosen by.
struct ranked_token {
  double key;
  index position;
  /// The order in which tokens are chosen: small keys first, the lowest position first at ties.
  bool operator<(const ranked_token& other) const {
    return key < other.key || (key == other.key && position < other.position);
  }
};

/// 1 at the first `count` candidates, 0 elsewhere.
inline std::vector<double> select_first(const std::vector<ranked_token>& candidates, std::size_t count, index tokens) {
  std::priority_queue<ranked_token> first;
  for (const ranked_token& candidate : candidates) {
    first.push(candidate);
    if (first.size() > count) first.pop();
  }
  std::vector<double> selected(static_cast<std::size_t>(tokens), 0);
  for (; !first.empty(); first.pop()) selected[static_cast<std::size_t>(first.top().position)] = 1;
  return selected;
}

}  // namespace detail

/// Tokens that Clip-Cov takes out of the gradient: drawn among those of high covariance that the clip has not caught.
/// Returns 1 at a selected token, else 0, [layout.tokens()]; give PPO's loss the weight times (1 - selected).
/// loss: a `ppo_clip` or another `policy_loss`; log_prob: [layout.tokens()]. The draw is that of options.seed alone.
/// Throws std::invalid_argument on a length that does not fit, a share outside [0, 1], and as `token_covariance`.
/// Cui et al. 2025, eq. 10.
template <policy_loss Loss, layout_argument L>
std::vector<double> select_clip_cov(const Loss& loss, column log_prob, const L& layout,
                                    const covariance_options& options = {}) {
  loss.check(layout.tokens());
  const std::vector<double> covariance = token_covariance(loss.advantage, log_prob, layout, 1e-8);
  std::vector<detail::ranked_token> candidates;
  for (index b = 0; b < layout.sequences(); ++b)
    layout.for_each_token(b, [&](index t) {
      const double c = covariance[static_cast<std::size_t>(t)];
      if (c > options.lower && c < options.upper &&
          !loss.is_clipped(detail::log_ratio_between(log_prob[t], loss.old_log_prob[t]), loss.advantage[t]))
        candidates.push_back({counter_random{options.seed}.uniform(0, static_cast<std::uint64_t>(t)), t});
    });
  return detail::select_first(candidates, detail::selected_count(layout, options.share), layout.tokens());
}

/// Tokens that KL-Cov holds back: those of the highest covariance. Returns 1 at a selected token, else 0.
/// advantage, log_prob: [layout.tokens()]. Throws as `select_clip_cov`. Cui et al. 2025, eq. 11.
template <layout_argument L>
std::vector<double> select_kl_cov(column advantage, column log_prob, const L& layout,
                                  const covariance_options& options = {}) {
  const std::vector<double> covariance = token_covariance(advantage, log_prob, layout);
  std::vector<detail::ranked_token> candidates;
  for (index b = 0; b < layout.sequences(); ++b)
    layout.for_each_token(b, [&](index t) { candidates.push_back({-covariance[static_cast<std::size_t>(t)], t}); });
  return detail::select_first(candidates, detail::selected_count(layout, options.share), layout.tokens());
}

/// KL-Cov: the unclipped surrogate, with a divergence penalty on the selected tokens.
///   loss_i = -r_i A_i + coefficient |log r_i| selected_i                                                       [nats]
/// old_log_prob, advantage, selected: [N]. Throws std::invalid_argument if a length is not N. Cui et al. 2025, eq. 12;
/// verl.
struct kl_cov {
  column old_log_prob;
  column advantage;
  column selected;
  double coefficient = 1;
  double log_ratio_bound = detail::infinity;

  static constexpr bool uses_log_sum_squares = false;
  void check(index n) const {
    detail::check_policy(*this, n);
    detail::require_length("selected", selected.size(), n);
    if (coefficient != coefficient) detail::fail("coefficient", "a number", "NaN");
  }
  template <class R>
  R operator()(const token<R>& t) const {
    const R log_ratio = emend::clamp(detail::log_ratio_at(t, old_log_prob), -log_ratio_bound, log_ratio_bound);
    const auto a = t.number(advantage);
    const R loss = emend::select(a == 0, R(0), -a * emend::exp(log_ratio));
    if (coefficient == 0) return loss;
    return emend::select(t.number(selected) != 0, loss + coefficient * emend::abs(log_ratio), loss);
  }
};

}  // namespace emend
