#pragma once

#include <emend/core/layout.hpp>

namespace emend {

/// What an uncounted token between two counted ones does to the recursion.
///   carry  nothing: the next token is the next counted one                              verl, NeMo, AReaL
///   decay  it is a step with reward 0 and value 0, and discounts like any               OpenRLHF, align-anything, NeMo-Aligner
/// trlx, slime and ROLL have no mask: a layout without one. Packed layouts have no holes.
enum class hole_rule { carry, decay };

/// Options of `gae`.
struct gae_options {
  double gamma = 1;
  double lambda = 0.95;              ///< in [0, 1]
  double value_lambda = -1;          ///< lambda of the returns; below 0: the same (decoupled: VAPO, NeMo, with 1)
  double length_adaptive_alpha = 0;  ///< above 0: the advantages' lambda is max(0, 1 - 1 / (alpha length)) (VAPO, NeMo: 0.05)
  hole_rule holes = hole_rule::carry;
  column bootstrap = {};  ///< [B] value after the last token of a cut sequence; empty: 0, the sequence has ended
};

/// What `gae` returns, 0 where a token is not counted.
struct advantages {
  std::vector<double> advantage, returns;
};

namespace detail {

/// The recursion backwards through one sequence.
struct gae_scan {
  double gamma, decay, value_decay;
  double next_value, carried = 0, value_carried = 0;

  constexpr void step(double reward, double value) {
    const double delta = reward + gamma * next_value - value;
    carried = delta + decay * carried;
    value_carried = delta + value_decay * value_carried;
    next_value = value;
  }
};

template <sequence_layout L, class A, class G>
void gae_of_sequence(const column& reward, const column& value, const L& layout, index b, hole_rule holes, gae_scan scan,
                     A* advantage, G* returns) {
  const auto write = [&](index t, double v) {
    advantage[t] = static_cast<A>(scan.carried);
    returns[t] = static_cast<G>(scan.value_carried + v);
  };
  if constexpr (contiguous_layout<L>) {
    double r[run_length], v[run_length], is_counted[run_length];
    const index first = layout.first(b);
    bool has_begun = false;  // what stands behind the last counted token must not discount the bootstrap
    for (index end = layout.last(b); end > first;) {
      const index begin = end - first < run_length ? first : end - run_length, size = end - begin;
      reward.read(begin, size, r);
      value.read(begin, size, v);
      read_mask(layout.mask(), begin, size, is_counted);
      for (index i = size - 1; i >= 0; --i) {
        if (is_counted[i] != 0) {
          has_begun = true;
          scan.step(r[i], v[i]);
          write(begin + i, v[i]);
        } else {
          if (has_begun && holes == hole_rule::decay) scan.step(0, 0);
          advantage[begin + i] = 0;
          returns[begin + i] = 0;
        }
      }
      end = begin;
    }
  } else {
    std::vector<index> positions;
    layout.for_each_token(b, [&](index t) { positions.push_back(t); });
    for (auto t = positions.rbegin(); t != positions.rend(); ++t) {
      scan.step(reward[*t], value[*t]);
      write(*t, value[*t]);
    }
  }
}

}  // namespace detail

/// `gae` into memory of the caller's: advantage and returns are contiguous ranges of float or double, which receive the
/// numbers of `gae`, rounded to their type. Allocates nothing for padded and ragged layouts.
template <sequence_layout L, detail::number_output A, detail::number_output G>
void gae_into(column reward, column value, const L& layout, const gae_options& options, A&& advantage, G&& returns) {
  detail::require_length("reward", reward.size(), layout.tokens());
  detail::require_length("value", value.size(), layout.tokens());
  detail::require_length("advantage", static_cast<index>(advantage.size()), layout.tokens());
  detail::require_length("returns", static_cast<index>(returns.size()), layout.tokens());
  if (!options.bootstrap.empty()) detail::require_length("bootstrap", options.bootstrap.size(), layout.sequences());
  if (!(options.gamma >= 0)) detail::fail("gamma", "a number not below 0", std::to_string(options.gamma));
  if (!(options.lambda >= 0 && options.lambda <= 1)) detail::fail("lambda", "a number in [0, 1]", std::to_string(options.lambda));
  if (!(options.value_lambda <= 1)) detail::fail("value_lambda", "a number up to 1", std::to_string(options.value_lambda));
  if (!(options.length_adaptive_alpha >= 0))
    detail::fail("length_adaptive_alpha", "a number not below 0", std::to_string(options.length_adaptive_alpha));
  if constexpr (!detail::contiguous_layout<L>)
    for (index t = 0; t < layout.tokens(); ++t) advantage.data()[t] = 0, returns.data()[t] = 0;
  const double value_lambda = options.value_lambda < 0 ? options.lambda : options.value_lambda;
  for (index b = 0; b < layout.sequences(); ++b) {
    double lambda = options.lambda;
    if (options.length_adaptive_alpha > 0) {
      const double adapted = 1 - 1 / (options.length_adaptive_alpha * static_cast<double>(length_of(layout, b)));
      lambda = adapted > 0 ? adapted : 0;
    }
    const detail::gae_scan scan{options.gamma, options.gamma * lambda, options.gamma * value_lambda,
                                options.bootstrap.empty() ? 0 : options.bootstrap[b]};
    detail::gae_of_sequence(reward, value, layout, b, options.holes, scan, advantage.data(), returns.data());
  }
}

/// Generalised advantage estimation over every sequence of a layout.
///   delta_t = r_t + gamma V_{t+1} - V_t,   A_t = delta_t + gamma lambda A_{t+1}
///   G_t = A'_t + V_t,  A' as A with value_lambda
/// reward, value: [layout.tokens()]; uncounted entries are not used. Throws std::invalid_argument on a length that does
/// not fit and on gamma, lambda out of range. Cost: one pass.
/// Schulman et al. 2016, eq. 16; the two lambdas and their adaption to the length: Yue et al. 2025 (VAPO).
template <sequence_layout L>
advantages gae(column reward, column value, const L& layout, const gae_options& options = {}) {
  advantages result;
  result.advantage.resize(static_cast<std::size_t>(layout.tokens()));
  result.returns.resize(static_cast<std::size_t>(layout.tokens()));
  gae_into(reward, value, layout, options, result.advantage, result.returns);
  return result;
}

}  // namespace emend
