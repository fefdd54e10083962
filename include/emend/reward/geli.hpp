#pragma once

#include <emend/core/layout.hpp>
#include <emend/evaluation/evaluate_numbers.hpp>

namespace emend {

/// Return decomposition: token rewards that add up to the return of their sequence.
///   loss = (1 / normaliser) sum_b ((T_b / K_b) sum_{t sampled} r_t - R_b)^2
/// T_b counted tokens, K_b sampled ones. token_reward: [layout.tokens()]; episode_return: [B]; is_sampled:
/// [layout.tokens()], not 0 at a random subset of the tokens (the randomised form, unbiased, for long sequences);
/// empty: all. A sequence without a sampled token adds nothing. normaliser: sequences of the whole batch, above 0.
/// Throws std::invalid_argument on a length that does not fit. Ren et al. 2022; Lee et al. 2024 (GELI).
template <layout_argument L>
number_evaluation geli_loss(column token_reward, column episode_return, const L& layout, column is_sampled = {},
                            double normaliser = 1) {
  detail::require_length("token_reward", token_reward.size(), layout.tokens());
  detail::require_length("episode_return", episode_return.size(), layout.sequences());
  if (is_sampled.is_given()) detail::require_length("is_sampled", is_sampled.size(), layout.tokens());
  detail::require_positive("normaliser", normaliser);
  number_evaluation result;
  result.gradient.assign(static_cast<std::size_t>(layout.tokens()), 0);
  for (index b = 0; b < layout.sequences(); ++b) {
    double sum = 0, counted = 0, sampled = 0;
    const auto for_each_sampled = [&](auto&& f) {
      layout.for_each_token(b, [&](index t) {
        if (!is_sampled.is_given() || is_sampled[t] != 0) f(t);
      });
    };
    layout.for_each_token(b, [&](index) { counted += 1; });
    for_each_sampled([&](index t) {
      sum += token_reward[t];
      sampled += 1;
    });
    if (sampled == 0) continue;
    const double scale = counted / sampled, error = scale * sum - episode_return[b];
    result.value += error * error / normaliser;
    for_each_sampled([&](index t) { result.gradient[static_cast<std::size_t>(t)] = 2 * error * scale / normaliser; });
    result.evaluated += static_cast<index>(sampled);
  }
  return result;
}

}  // namespace emend
