#pragma once

#include <emend/advantage/groups.hpp>
#include <emend/advantage/returns.hpp>

namespace emend {

/// Which tokens of a group share a time step.
///   token  the k-th counted tokens of their sequences                        verl, several turns ("tir")
///   place  those as far from the start of their rows, counted or not         verl, one turn; padded and ragged layouts
///   only
enum class time_step { token, place };

/// Options of `optimal_token_baseline`.
struct optimal_token_baseline_options {
  time_step step = time_step::token;
  double epsilon = 1e-8;      ///< added to the weights' sum: verl
  bool has_zero_tail = true;  ///< no baseline where the longest sequence has outlived all others of its group
  column importance = {};     ///< [N] truncated importance weights of the rollout; their square scales the energy
};

/// Returns less the baseline of least variance of each time step.
///   A_t = G_t - B_t,   B_t = sum_j G_jt W_jt / sum_j W_jt,   W_jt = sum_{s <= t} (1 - 2 p_js + sum p_js^2)
/// j over the sequences of the group that have a token at t. reward, log_prob (of the sampled token), sum_squares (of
/// all probabilities of the row): [layout.tokens()]; group: [B], empty: one group. A sequence alone in its group has
/// the baseline 0. Throws std::invalid_argument on a length that does not fit, or epsilon below 0. Cost: linear.
/// Weaver, Tao 2001; as verl computes it.
template <layout_argument L>
advantages optimal_token_baseline(column reward, column log_prob, column sum_squares, id_column group, const L& layout,
                                  const optimal_token_baseline_options& options = {}) {
  detail::require_length("log_prob", log_prob.size(), layout.tokens());
  detail::require_length("sum_squares", sum_squares.size(), layout.tokens());
  detail::require_not_negative("epsilon", options.epsilon);
  if (options.importance.is_given()) detail::require_length("importance", options.importance.size(), layout.tokens());
  if (!detail::contiguous_layout<L> && options.step == time_step::place)
    detail::fail("step", "time_step::token with a packed layout", "time_step::place");
  const groups of(group, layout.sequences());
  advantages result;
  result.returns = discounted_returns(reward, layout);
  result.advantage = result.returns;
  const auto for_each_step = [&](index b, auto&& f) {
    index k = 0;
    layout.for_each_token(b, [&](index t) {
      index step = k++;
      if constexpr (detail::contiguous_layout<L>)
        if (options.step == time_step::place) step = t - layout.first(b);
      f(t, static_cast<std::size_t>(step));
    });
  };
  std::vector<double> weighted, total;
  for (index g = 0; g < of.count(); ++g) {
    if (of.size(g) < 2) continue;
    weighted.clear();
    total.clear();
    index longest = 0, second = 0;
    for (index k = 0; k < of.size(g); ++k) {
      double energy = 0;
      for_each_step(of.member(g, k), [&](index t, std::size_t step) {
        const double weight = options.importance.is_given() ? options.importance[t] * options.importance[t] : 1;
        energy += (1 - 2 * __builtin_exp(log_prob[t]) + sum_squares[t]) * weight;
        if (step >= total.size()) weighted.resize(step + 1, 0), total.resize(step + 1, 0);
        weighted[step] += result.returns[static_cast<std::size_t>(t)] * energy;
        total[step] += energy;
      });
      const index length = length_of(layout, of.member(g, k));
      if (length > longest)
        second = longest, longest = length;
      else if (length > second)
        second = length;
    }
    for (index k = 0; k < of.size(g); ++k) {
      const index b = of.member(g, k);
      const bool outlives = options.has_zero_tail && length_of(layout, b) > second;
      for_each_step(b, [&](index t, std::size_t step) {
        const double divisor = total[step] + options.epsilon;
        if (!(outlives && static_cast<index>(step) >= second) && divisor != 0)
          result.advantage[static_cast<std::size_t>(t)] -= weighted[step] / divisor;
      });
    }
  }
  return result;
}

}  // namespace emend
