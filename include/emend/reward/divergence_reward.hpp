#pragma once

#include <emend/carriers/real.hpp>
#include <emend/losses/kl_estimators.hpp>

#include <type_traits>

namespace emend {

/// How much a token earns, with q_t the reward model's probability of the response token, q*_t that of its own choice
/// g_t. "Positive" before the divergence, "negative" where the token is not the model's choice after it.
///   sign       +1 / -1                                                     (the literal reading of the caption)
///   prob       +q_t / -(1 - q_t)
///   margin     +q_t / -(q*_t - q_t)
///   logratio   +1 / -min(log q*_t - log q_t, clip)
///   dense      log q_t - reference_log_prob_t everywhere, no divergence    (a baseline)
enum class reward_mode { sign, prob, margin, logratio, dense };

/// What one token of a response earns; a part of `seq2seq_reward_options`, which says what the numbers mean.
struct divergence_reward {
  reward_mode mode = reward_mode::sign;
  double positive = 1, negative = 1, clip = 5, neutral = 0;
  bool is_neutral_positive = false;

  // Calls without `emend::` find the functions of any carrier.
  /// log_prob: log q_t; max_log_prob: log q*_t; reference: of dense. R is any `real`, and Condition what its
  /// comparisons give.
  template <class R, class Condition>
  constexpr R operator()(const Condition& is_match, const std::type_identity_t<Condition>& has_diverged,
                         const R& log_prob, const std::type_identity_t<R>& max_log_prob,
                         const std::type_identity_t<R>& reference) const {
    if (mode == reward_mode::dense) return detail::log_ratio_between(log_prob, R(reference));
    const R otherwise =
        is_neutral_positive ? positive_value(log_prob) : R(select(has_diverged, R(neutral), positive_value(log_prob)));
    return select(has_diverged && !is_match, negative_value(log_prob, max_log_prob), otherwise);
  }

 private:
  template <class R>
  constexpr R positive_value(const R& log_prob) const {
    const bool is_graded = mode == reward_mode::prob || mode == reward_mode::margin;
    return positive * (is_graded ? R(exp(log_prob)) : R(1));
  }
  template <class R>
  constexpr R negative_value(const R& log_prob, const R& max_log_prob) const {
    if (negative == 0) return R(0);
    switch (mode) {
      case reward_mode::prob:
        return negative * expm1(log_prob);
      case reward_mode::margin:
        return negative * (exp(log_prob) - exp(max_log_prob));
      case reward_mode::logratio:
        return -negative * min(R(max_log_prob - log_prob), clip);
      default:
        return R(-negative);
    }
  }
};

}  // namespace emend
