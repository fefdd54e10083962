#pragma once

#include <emend/carriers/real.hpp>
#include <emend/core/layout.hpp>
#include <emend/losses/kl_estimators.hpp>

namespace emend {

/// Options of `q_rm_advantages`.
struct q_rm_options {
  double kl_coefficient = 0;
  double value_coefficient = 1;
};

/// Advantages straight from a discriminative token-level reward model, in place of GAE.
///   A_t = Z_t - kl_coefficient (log_prob_t - reference_log_prob_t) - value_coefficient V_t
/// token_score, value, log_prob, reference_log_prob: [layout.tokens()]; 0 where a token is not counted. Throws
/// std::invalid_argument on a length that does not fit. Chen et al. 2025 (Q-RM), arXiv 2505.23363.
template <layout_argument L>
std::vector<double> q_rm_advantages(column token_score, column value, column log_prob, column reference_log_prob,
                                    const L& layout, const q_rm_options& options = {}) {
  detail::require_length("token_score", token_score.size(), layout.tokens());
  detail::require_length("value", value.size(), layout.tokens());
  detail::require_length("log_prob", log_prob.size(), layout.tokens());
  detail::require_length("reference_log_prob", reference_log_prob.size(), layout.tokens());
  std::vector<double> result(static_cast<std::size_t>(layout.tokens()), 0);
  for (index b = 0; b < layout.sequences(); ++b)
    layout.for_each_token(b, [&](index t) {
      result[static_cast<std::size_t>(t)] =
          token_score[t] -
          detail::scaled_or_zero(options.kl_coefficient,
                                 detail::log_ratio_between(log_prob[t], reference_log_prob[t])) -
          detail::scaled_or_zero(options.value_coefficient, value[t]);
    });
  return result;
}

/// Options of `q_rm_loss`.
struct q_rm_loss_options {
  double beta = 0.2;
  double margin = 2;
  double normaliser = 0;  ///< pairs of the whole batch; 0: those of this one
};

/// What `q_rm_loss` returns: the value, and its derivatives with respect to the token scores.
struct q_rm_loss_result {
  double value = 0;
  std::vector<double> chosen_gradient, rejected_gradient;
};

/// Training loss of that reward model from pairs of responses.
///   loss = -(1 / pairs) sum_b log sigmoid(beta (mean_t Z_chosen - mean_t Z_rejected) - margin)
/// chosen, rejected: token scores, each over its own layout of as many sequences; the mean of a sequence without tokens
/// is 0. Throws std::invalid_argument on a length that does not fit.
template <layout_argument C, layout_argument R>
q_rm_loss_result q_rm_loss(column chosen, const C& chosen_layout, column rejected, const R& rejected_layout,
                           const q_rm_loss_options& options = {}) {
  detail::require_length("chosen", chosen.size(), chosen_layout.tokens());
  detail::require_length("rejected", rejected.size(), rejected_layout.tokens());
  detail::require_length("rejected_layout", rejected_layout.sequences(), chosen_layout.sequences());
  detail::require_not_negative("normaliser", options.normaliser);
  q_rm_loss_result result;
  result.chosen_gradient.assign(static_cast<std::size_t>(chosen.size()), 0);
  result.rejected_gradient.assign(static_cast<std::size_t>(rejected.size()), 0);
  const double pairs = options.normaliser > 0 ? options.normaliser : static_cast<double>(chosen_layout.sequences());
  const auto mean = [](const column& scores, const auto& layout, index b) {
    double sum = 0;
    layout.for_each_token(b, [&](index t) { sum += scores[t]; });
    const index length = length_of(layout, b);
    return length > 0 ? sum / static_cast<double>(length) : 0;
  };
  for (index b = 0; b < chosen_layout.sequences(); ++b) {
    const double x =
        options.beta * (mean(chosen, chosen_layout, b) - mean(rejected, rejected_layout, b)) - options.margin;
    result.value -= emend::log_sigmoid(x) / pairs;
    const double slope = -emend::sigmoid(-x) * options.beta / pairs;
    const double of_chosen = slope / static_cast<double>(length_of(chosen_layout, b));
    const double of_rejected = -slope / static_cast<double>(length_of(rejected_layout, b));
    chosen_layout.for_each_token(b, [&](index t) { result.chosen_gradient[static_cast<std::size_t>(t)] = of_chosen; });
    rejected_layout.for_each_token(
        b, [&](index t) { result.rejected_gradient[static_cast<std::size_t>(t)] = of_rejected; });
  }
  return result;
}

}  // namespace emend
