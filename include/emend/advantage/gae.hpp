#pragma once

#include <emend/core/output_column.hpp>
#include <emend/advantage/gae_scan.hpp>

namespace emend {

/// What an uncounted token between two counted ones does to the recursion.
///   carry  nothing: the next token is the next counted one                              verl, NeMo, AReaL
///   decay  it is a step with reward 0 and value 0, and discounts like any               OpenRLHF, align-anything,
///   NeMo-Aligner
/// trlx, slime and ROLL have no mask: a layout without one. Packed layouts have no holes.
enum class hole_rule { carry, decay };

/// Options of `gae`.
struct gae_options {
  double gamma = 1;
  double lambda = 0.95;      ///< in [0, 1]
  double value_lambda = -1;  ///< lambda of the returns; below 0: the same (decoupled: VAPO, NeMo, with 1)
  double length_adaptive_alpha =
      0;  ///< above 0: the advantages' lambda is max(0, 1 - 1 / (alpha length)) (VAPO, NeMo: 0.05)
  hole_rule holes = hole_rule::carry;
  column bootstrap = {};  ///< [B] value after the last token of a cut sequence; empty: 0, the sequence has ended
};

/// What `gae` returns, 0 where a token is not counted.
struct advantages {
  std::vector<double> advantage, returns;
};

namespace detail {

inline void check(const gae_options& options) {
  require_not_negative("gamma", options.gamma);
  if (!(options.lambda >= 0 && options.lambda <= 1))
    fail("lambda", "a number in [0, 1]", std::to_string(options.lambda));
  if (!(options.value_lambda <= 1)) fail("value_lambda", "a number up to 1", std::to_string(options.value_lambda));
  require_not_negative("length_adaptive_alpha", options.length_adaptive_alpha);
}

}  // namespace detail

/// `gae` into memory of the caller's: advantage and returns are ranges, rows, blocks or maps of float or double, which
/// receive the numbers of `gae`, rounded to their type. They may be the memory of reward and value, but not one memory
/// for both. Allocates nothing for padded and ragged layouts, if the memory
/// is contiguous; else a buffer of its size.
template <layout_argument L, detail::output_argument A, detail::output_argument G>
void gae_into(column reward, column value, const L& layout, const gae_options& options, A&& advantage, G&& returns) {
  detail::require_length("reward", reward.size(), layout.tokens());
  detail::require_length("value", value.size(), layout.tokens());
  detail::contiguous_output advantage_memory("advantage", advantage, layout.tokens());
  detail::contiguous_output returns_memory("returns", returns, layout.tokens());
  if (options.bootstrap.is_given()) detail::require_length("bootstrap", options.bootstrap.size(), layout.sequences());
  detail::check(options);
  auto* const advantage_data = advantage_memory.data();
  auto* const returns_data = returns_memory.data();
  if (layout.tokens() > 0 && static_cast<const void*>(advantage_memory.first()) == returns_memory.first())
    detail::fail("returns", "memory apart from that of advantage", "the same memory");
  const double value_lambda = options.value_lambda < 0 ? options.lambda : options.value_lambda;
  const auto row_of = [&](index b) {
    double lambda = options.lambda;
    if (options.length_adaptive_alpha > 0) {
      const double adapted = 1 - 1 / (options.length_adaptive_alpha * static_cast<double>(length_of(layout, b)));
      lambda = adapted > 0 ? adapted : 0;
    }
    detail::gae_row row;
    row.decay = options.gamma * lambda;
    row.value_decay = options.gamma * value_lambda;
    row.next_value = options.bootstrap.is_given() ? options.bootstrap[b] : 0;
    return row;
  };
  if constexpr (detail::contiguous_layout<L>) {
    const column& mask = layout.mask();
    const detail::gae_batch<std::remove_reference_t<decltype(*advantage_data)>,
                            std::remove_reference_t<decltype(*returns_data)>>
        batch{reward, value, mask, options.gamma, options.holes == hole_rule::decay, advantage_data, returns_data};
    for (index b = 0; b < layout.sequences(); ++b) {
      detail::gae_row row = row_of(b);
      row.first = layout.first(b);
      row.end = layout.last(b);
      detail::scan_row(batch, row);
    }
  } else {
    // The outputs may be the inputs: a token's place is written once it was read, and the others at the end.
    std::vector<bool> is_counted(static_cast<std::size_t>(layout.tokens()));
    for (index b = 0; b < layout.sequences(); ++b) {
      layout.for_each_token(b, [&](index t) { is_counted[static_cast<std::size_t>(t)] = true; });
      detail::scan_positions(reward, value, layout, b, options.gamma, row_of(b), advantage_data, returns_data);
    }
    for (index t = 0; t < layout.tokens(); ++t)
      if (!is_counted[static_cast<std::size_t>(t)]) advantage_data[t] = 0, returns_data[t] = 0;
  }
  advantage_memory.finish();
  returns_memory.finish();
}

/// Generalised advantage estimation over every sequence of a layout.
///   delta_t = r_t + gamma V_{t+1} - V_t,   A_t = delta_t + gamma lambda A_{t+1}
///   G_t = A'_t + V_t,  A' as A with value_lambda
/// A gamma or lambda of 0 leaves its term out, be it infinite or NaN.
/// reward, value: [layout.tokens()]; uncounted entries are not used. Throws std::invalid_argument on a length that does
/// not fit and on gamma, lambda out of range. Cost: one pass.
/// Schulman et al. 2016, eq. 16; the two lambdas and their adaption to the length: Yue et al. 2025 (VAPO).
template <layout_argument L>
advantages gae(column reward, column value, const L& layout, const gae_options& options = {}) {
  advantages result;
  result.advantage.resize(static_cast<std::size_t>(layout.tokens()));
  result.returns.resize(static_cast<std::size_t>(layout.tokens()));
  gae_into(reward, value, layout, options, result.advantage, result.returns);
  return result;
}

}  // namespace emend
