#pragma once

#include <emend/losses/kl_penalty.hpp>
#include <emend/losses/policy_loss.hpp>

namespace emend {

namespace detail {

template <class P>
concept sequence_policy = requires(const P& p, const token<double>& t) { p.summand(t); };

/// The names of a policy's five metrics, empty where it gives none, and that of the divergence.
template <class P>
constexpr std::array<const char*, 6> names_with_kl() {
  std::array<const char*, 6> names{"", "", "", "", "", "kl"};
  if constexpr (requires { P::metric_names[4]; })
    for (std::size_t k = 0; k < 5; ++k) names[k] = P::metric_names[k];
  return names;
}

}  // namespace detail

/// What a policy is trained on, in one pass over its scores: a policy loss, a divergence penalty, an entropy bonus.
///   value = sum_i w_i (policy_i + kl_i) - entropy_coefficient sum_i v_i entropy_i
/// policy: any token loss for `evaluate`, or any sequence-level loss for `evaluate_sequences`.
/// weight w, entropy_weight v: [N] from `token_weights`, entropy_weight empty for the same; call with normaliser 1, and
/// with a mask, because weights of 0 are the objective's own business. kl.coefficient 0: no penalty, and no reference
/// needed. Throws std::invalid_argument if a length is not N. Metrics: those of the policy loss, then kl.
template <class Policy>
struct policy_objective {
  Policy policy;
  column weight;
  kl_penalty kl = {.reference_log_prob = {}, .coefficient = 0};
  double entropy_coefficient = 0;
  column entropy_weight = {};

  static constexpr bool uses_log_sum_squares = false;
  static constexpr std::array metric_names = detail::names_with_kl<Policy>();

  void check(index n) const {
    policy.check(n);
    detail::require_length("weight", weight.size(), n);
    if (entropy_weight.is_given()) detail::require_length("entropy_weight", entropy_weight.size(), n);
    if (entropy_coefficient != entropy_coefficient) detail::fail("entropy_coefficient", "a number", "NaN");
    if (kl.coefficient != 0 || kl.reference_log_prob.is_given()) kl.check(n);
  }

  template <class R>
    requires(!detail::sequence_policy<Policy>)
  R operator()(const token<R>& t) const {
    R loss = policy(t);
    if (kl.coefficient != 0) loss = loss + kl(t);
    return total(loss, t);
  }
  template <class R>
    requires detail::sequence_policy<Policy>
  R summand(const token<R>& t) const {
    return policy.summand(t);
  }
  template <class R, class Length>
    requires detail::sequence_policy<Policy>
  R operator()(const token<R>& t, const R& summary, const Length& length) const {
    R loss = policy(t, summary, length);
    if (kl.coefficient != 0) loss = loss + sequence_kl(t, summary, length);
    return total(loss, t);
  }

  template <class R>
    requires(!detail::sequence_policy<Policy> && requires(const Policy& p, const token<R>& t) { p.metrics(t); })
  std::array<R, 6> metrics(const token<R>& t) const {
    return with_kl(policy.metrics(t), t);
  }
  template <class R, class Length>
    requires(detail::sequence_policy<Policy> && requires(const Policy& p, const token<R>& t, const R& summary,
                                                         const Length& length) { p.metrics(t, summary, length); })
  std::array<R, 6> metrics(const token<R>& t, const R& summary, const Length& length) const {
    return with_kl(policy.metrics(t, summary, length), t);
  }

 private:
  template <class R>
  R total(const R& loss, const token<R>& t) const {
    // A weight of 0 is a token left out: nothing of it may come back, whatever its loss is.
    const auto w = t.number(weight);
    const R weighted = emend::select(w == 0, R(0), w * loss);
    if (entropy_coefficient == 0) return weighted;
    const auto v = entropy_coefficient * t.number(entropy_weight.is_given() ? entropy_weight : weight);
    return emend::select(v == 0, weighted, weighted - v * t.entropy);
  }
  template <class R, class Length>
  R sequence_kl(const token<R>& t, const R& summary, const Length& length) const {
    if constexpr (requires { policy.log_ratio_of(t.log_prob, summary, length); })
      if (kl.weighting == kl_weighting::ratio)
        return kl.coefficient *
               detail::product_or_zero(R(emend::exp(policy.log_ratio_of(t.log_prob, summary, length))),
                                       kl_estimate(kl.kind, detail::log_ratio_at(t, kl.reference_log_prob), kl.clamps));
    return kl(t);
  }
  template <class R>
  std::array<R, 6> with_kl(const std::array<R, 5>& of_policy, const token<R>& t) const {
    std::array<R, 6> all{};
    for (std::size_t k = 0; k < of_policy.size(); ++k) all[k] = of_policy[k];
    if (kl.coefficient != 0) all[5] = kl.metrics(t)[0];
    return all;
  }
};

}  // namespace emend
