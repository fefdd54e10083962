#pragma once

#include <emend/carriers/real.hpp>

namespace emend {

/// How much a token earns, with q_t the reward model's probability of the response token, q*_t that of its own choice g_t.
/// "Positive" before the divergence, "negative" where the token is not the model's choice after it.
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

  /// log_prob: log q_t; max_log_prob: log q*_t; reference: of dense.
  constexpr double operator()(bool is_match, bool has_diverged, double log_prob, double max_log_prob, double reference) const {
    if (mode == reward_mode::dense) return log_prob - reference;
    if (has_diverged && !is_match) return negative_value(log_prob, max_log_prob);
    return has_diverged && !is_neutral_positive ? neutral : positive_value(log_prob);
  }

 private:
  constexpr double positive_value(double log_prob) const {
    const bool is_graded = mode == reward_mode::prob || mode == reward_mode::margin;
    return positive * (is_graded ? emend::exp(log_prob) : 1.0);
  }
  constexpr double negative_value(double log_prob, double max_log_prob) const {
    switch (mode) {
      case reward_mode::prob: return negative * emend::expm1(log_prob);
      case reward_mode::margin: return negative * (emend::exp(log_prob) - emend::exp(max_log_prob));
      case reward_mode::logratio: return -negative * emend::min(max_log_prob - log_prob, clip);
      default: return -negative;
    }
  }
};

}  // namespace emend
