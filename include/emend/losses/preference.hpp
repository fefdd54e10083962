#pragma once

#include <emend/carriers/real.hpp>
#include <emend/core/column.hpp>
#include <emend/losses/kl_estimators.hpp>

#include <vector>

namespace emend {

/// What the losses over P preference pairs return: the mean over pairs, and its derivative with respect to each number.
struct preference_evaluation {
  double value = 0;
  std::vector<double> chosen, rejected;  ///< [P], d value / d chosen_p and d value / d rejected_p
  double accuracy = 0;                   ///< share of pairs whose margin is above 0, ties half
};

namespace detail {

/// The pairs of the whole batch: `explicit_count`, or, if that is 0, those of this part of it. Throws
/// std::invalid_argument on a count below those of this part, or an infinite one.
inline double pairs_of_batch(double explicit_count, index pairs) {
  const auto least = static_cast<double>(pairs);
  if (explicit_count == 0) return least;
  if (!(explicit_count >= least && explicit_count > 0 && explicit_count < infinity))
    fail("pairs", "0, or a number not below the " + std::to_string(pairs) + " pairs", text_of(explicit_count));
  return explicit_count;
}

}  // namespace detail

/// Options of `pairwise_loss`.
struct pairwise_options {
  column margin = {};  ///< [P], subtracted from the difference of scores (Llama 2; OpenRLHF)
  double pairs = 0;    ///< explicit count, so that parts of a batch add up; 0: count these pairs
};

/// Loss of a scalar reward model over preference pairs (Bradley and Terry 1952; Ouyang et al. 2022, eq. 1).
///   loss = -(1 / P) sum_p log sigmoid(chosen_p - rejected_p - margin_p)                                        [nats]
/// chosen, rejected: [P], scores. No pair gives 0. Throws std::invalid_argument on a length that does not fit, or an
/// explicit count of pairs below P.
inline preference_evaluation pairwise_loss(column chosen, column rejected, const pairwise_options& options = {}) {
  detail::require_length("rejected", rejected.size(), chosen.size());
  if (options.margin.is_given()) detail::require_length("margin", options.margin.size(), chosen.size());
  const double pairs = detail::pairs_of_batch(options.pairs, chosen.size());
  preference_evaluation result;
  for (index p = 0; p < chosen.size(); ++p) {
    const double difference = chosen[p] - rejected[p],
                 x = difference - (options.margin.is_given() ? options.margin[p] : 0);
    result.value -= emend::log_sigmoid(x) / pairs;
    result.chosen.push_back(-emend::sigmoid(-x) / pairs);
    result.rejected.push_back(emend::sigmoid(-x) / pairs);
    result.accuracy += (difference > 0 ? 1 : difference == 0 ? 0.5 : 0) / pairs;
  }
  return result;
}

/// Options of `dpo_loss`.
struct dpo_options {
  double beta = 0.1;
  double label_smoothing = 0;  ///< share of pairs assumed to be swapped, below 1/2 ("conservative" DPO; TRL)
  double pairs = 0;            ///< explicit count, so that parts of a batch add up; 0: count these pairs
};

/// Direct preference optimisation, over log-probabilities of whole responses.
///   x_p = beta ((chosen_p - reference_chosen_p) - (rejected_p - reference_rejected_p))
///   loss = -(1 / P) sum_p ((1 - s) log sigmoid(x_p) + s log sigmoid(-x_p)),   s = label_smoothing              [nats]
/// All arguments: [P]. The derivative of a response's log-probability is that of each of its tokens: evaluate the
/// tokens with
/// `[&](const auto& t) { return t(derivative) * t.log_prob; }` for the gradient of the scores.
/// Throws std::invalid_argument on a length that does not fit or an option out of range. Rafailov et al. 2023, eq. 7.
inline preference_evaluation dpo_loss(column chosen, column rejected, column reference_chosen,
                                      column reference_rejected, const dpo_options& options = {}) {
  detail::require_length("rejected", rejected.size(), chosen.size());
  detail::require_length("reference_chosen", reference_chosen.size(), chosen.size());
  detail::require_length("reference_rejected", reference_rejected.size(), chosen.size());
  detail::require_positive("beta", options.beta);
  const double pairs = detail::pairs_of_batch(options.pairs, chosen.size());
  const double smoothing = options.label_smoothing;
  if (!(smoothing >= 0 && smoothing < 0.5))
    detail::fail("label_smoothing", "a number from 0 to below 1/2", std::to_string(smoothing));
  preference_evaluation result;
  for (index p = 0; p < chosen.size(); ++p) {
    const double x = options.beta * (detail::log_ratio_between(chosen[p], reference_chosen[p]) -
                                     detail::log_ratio_between(rejected[p], reference_rejected[p]));
    result.value -=
        ((1 - smoothing) * emend::log_sigmoid(x) + detail::scaled_or_zero(smoothing, emend::log_sigmoid(-x))) / pairs;
    const double slope = options.beta * (smoothing * emend::sigmoid(x) - (1 - smoothing) * emend::sigmoid(-x)) / pairs;
    result.chosen.push_back(slope);
    result.rejected.push_back(-slope);
    result.accuracy += (x > 0 ? 1 : x == 0 ? 0.5 : 0) / pairs;
  }
  return result;
}

}  // namespace emend
