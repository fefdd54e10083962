#pragma once

#include <emend/core/token.hpp>
#include <emend/losses/kl_estimators.hpp>

#include <array>

namespace emend {

/// A policy loss in terms of the log-ratio of the new policy to the old one: what `sequence_level` and the token form
/// share.
///
/// Valid expressions, with `l` a const L, R a carrier:
///   l.old_log_prob, l.advantage                       columns, [N]
///   l.surrogate(R log_ratio, R log_prob, double advantage) -> R     the loss; as a template over the advantage's type,
///   and without
///                                                     `if`, it can be called on all tokens at once, too
///   l.is_clipped(double log_ratio, double advantage) -> bool        whether the token's gradient is cut off, for the
///   metrics; likewise
/// A model: `ppo_clip`. Every model is also a `token_loss`, with log_ratio = log_prob - old_log_prob of its token;
/// where both policies give the token the probability 0, log_ratio is the constant 0: a ratio of 1 without a gradient.
template <class L>
concept policy_loss = requires(const L& l, const token_dual& x) {
  { l.old_log_prob } -> std::convertible_to<column>;
  { l.advantage } -> std::convertible_to<column>;
  { l.surrogate(x, x, 0.0) } -> std::convertible_to<token_dual>;
  { l.is_clipped(0.0, 0.0) } -> std::convertible_to<bool>;
};

namespace detail {

inline constexpr std::array policy_metric_names = {"clip_fraction", "approximate_kl", "log_ratio", "ratio", "entropy"};

/// What every policy loss reports of a token: approximate_kl is k3 of the old policy to the new one, r - 1 - log r.
template <class R, class Condition>
std::array<R, 5> policy_metrics_of(const Condition& is_clipped, const R& log_ratio, const R& entropy) {
  return {emend::select(is_clipped, R(1), R(0)), kl_estimate(kl_kind::k3, R(-log_ratio)), log_ratio,
          emend::exp(log_ratio), entropy};
}

/// The log-ratio is the bounded one where the loss has a bound.
template <class L, class R>
std::array<R, 5> policy_metrics(const L& loss, const token<R>& t, R log_ratio) {
  if constexpr (requires { loss.log_ratio_bound; })
    log_ratio = emend::clamp(log_ratio, -loss.log_ratio_bound, loss.log_ratio_bound);
  return policy_metrics_of(loss.is_clipped(log_ratio, t.number(loss.advantage)), log_ratio, t.entropy);
}

template <class L>
void check_policy(const L& loss, index n) {
  require_length("old_log_prob", loss.old_log_prob.size(), n);
  require_length("advantage", loss.advantage.size(), n);
  if constexpr (requires { loss.log_ratio_bound; }) require_bound("log_ratio_bound", loss.log_ratio_bound);
  if constexpr (requires { loss.ratio_cap; }) require_bound("ratio_cap", loss.ratio_cap);
}

/// The log-ratio of the token's new to its old policy.
template <class R>
R log_ratio_at(const token<R>& t, const column& old_log_prob) {
  return log_ratio_between(t.log_prob, t(old_log_prob));
}

template <class L, class R>
R at_token(const L& loss, const token<R>& t) {
  return loss.surrogate(log_ratio_at(t, loss.old_log_prob), t.log_prob, t.number(loss.advantage));
}

template <class L, class R>
std::array<R, 5> metrics_at_token(const L& loss, const token<R>& t) {
  return policy_metrics(loss, t, log_ratio_at(t, loss.old_log_prob));
}

}  // namespace detail

/// Bound of a log-ratio before it is exponentiated; beyond it the gradient is 0. The peers' values:
///   20        verl (PPO, CISPO, SAPO, DPPO), OpenRLHF (PPO)
///   10        verl's GSPO, from above only
///   infinity  TRL, Liger, align-anything, NeMo, AReaL, slime, ROLL, open-instruct; verl's GMPO, Clip-Cov, KL-Cov
/// The default keeps a ratio finite in double whatever comes.
inline constexpr double default_log_ratio_bound = 20;

}  // namespace emend
