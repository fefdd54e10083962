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

/// Sequences that are scanned side by side: each step waits for the one before, and the others fill the wait.
inline constexpr index gae_rows = 8;
inline constexpr index gae_run = 64;

/// The recursion backwards through one sequence, and how far it has come.
struct gae_row {
  index first = 0, end = 0;
  double decay = 0, value_decay = 0;
  double next_value = 0, carried = 0, value_carried = 0;
  bool has_begun = false;  ///< what stands behind the last counted token must not discount the bootstrap
};

/// A run of one sequence as steps of the recursion, x_t = delta_t + factor_t x_{t+1}.
struct gae_steps {
  double value[gae_run + 1];  // and the value behind the run
  double delta[gae_run], factor[gae_run], value_factor[gae_run];
  double advantage[gae_run], value_advantage[gae_run];
  long long flags[gae_run];
  bool is_all_counted;
};

inline void fill_steps(const column& reward, const column& value, const column& mask, index size, double gamma, hole_rule holes,
                       gae_row& row, gae_steps& steps) {
  double r[gae_run];
  const index begin = row.end - size;
  reward.read(begin, size, r);
  value.read(begin, size, steps.value);
  if (!mask.empty()) mask.read_flags(begin, size, steps.flags);
  steps.is_all_counted = mask.empty();
  if (!mask.empty()) {
    long long all = -1;
    for (index i = 0; i < size; ++i) all &= steps.flags[i];
    steps.is_all_counted = all != 0;
  }
  if (steps.is_all_counted) {
    row.has_begun = true;
    steps.value[size] = row.next_value;
    row.next_value = steps.value[0];
    for (index i = 0; i < size; ++i) steps.delta[i] = r[i] + gamma * steps.value[i + 1] - steps.value[i];
    for (index i = 0; i < size; ++i) steps.factor[i] = row.decay;
    for (index i = 0; i < size; ++i) steps.value_factor[i] = row.value_decay;
    return;
  }
  for (index i = size - 1; i >= 0; --i) {
    const bool is_counted = steps.flags[i] != 0;
    row.has_begun = row.has_begun || is_counted;
    const bool is_step = is_counted || (row.has_begun && holes == hole_rule::decay);
    const double own = is_counted ? steps.value[i] : 0;
    steps.delta[i] = is_step ? (is_counted ? r[i] : 0) + gamma * row.next_value - own : 0;
    steps.factor[i] = is_step ? row.decay : 1;
    steps.value_factor[i] = is_step ? row.value_decay : 1;
    if (is_step) row.next_value = own;
  }
}

/// The recursion over the runs of `Rows` sequences side by side.
template <index Rows>
void scan_steps(gae_row* rows, gae_steps* steps, index size, bool is_decoupled) {
  double carried[Rows], value_carried[Rows];
  for (index k = 0; k < Rows; ++k) carried[k] = rows[k].carried, value_carried[k] = rows[k].value_carried;
  for (index i = size - 1; i >= 0; --i)
    for (index k = 0; k < Rows; ++k) {
      carried[k] = steps[k].delta[i] + steps[k].factor[i] * carried[k];
      steps[k].advantage[i] = carried[k];
    }
  for (index i = size - 1; i >= 0 && is_decoupled; --i)
    for (index k = 0; k < Rows; ++k) {
      value_carried[k] = steps[k].delta[i] + steps[k].value_factor[i] * value_carried[k];
      steps[k].value_advantage[i] = value_carried[k];
    }
  for (index k = 0; k < Rows; ++k) rows[k].carried = carried[k], rows[k].value_carried = value_carried[k];
}

template <class A, class G>
void write_steps(const gae_steps& steps, index size, bool is_decoupled, A* advantage, G* returns) {
  const double* of_value = is_decoupled ? steps.value_advantage : steps.advantage;
  for (index i = 0; i < size; ++i) advantage[i] = static_cast<A>(steps.advantage[i]);
  for (index i = 0; i < size; ++i) returns[i] = static_cast<G>(of_value[i] + steps.value[i]);
  if (steps.is_all_counted) return;
  for (index i = 0; i < size; ++i)
    if (steps.flags[i] == 0) advantage[i] = 0, returns[i] = 0;
}

template <class A, class G>
void scan_rows(const column& reward, const column& value, const column& mask, double gamma, hole_rule holes, gae_row* rows, index count,
               A* advantage, G* returns) {
  gae_steps steps[gae_rows];
  bool is_decoupled = false;
  for (index k = 0; k < count; ++k) is_decoupled |= rows[k].decay != rows[k].value_decay;
  const auto advance = [&](index first, index many, index size) {
    for (index k = first; k < first + many; ++k) fill_steps(reward, value, mask, size, gamma, holes, rows[k], steps[k]);
    if (many == gae_rows) scan_steps<gae_rows>(rows, steps, size, is_decoupled);
    else scan_steps<1>(rows + first, steps + first, size, is_decoupled);
    for (index k = first; k < first + many; ++k) {
      rows[k].end -= size;
      write_steps(steps[k], size, is_decoupled, advantage + rows[k].end, returns + rows[k].end);
    }
  };
  const auto left = [&](index k) { return rows[k].end - rows[k].first < gae_run ? rows[k].end - rows[k].first : gae_run; };
  while (count == gae_rows) {
    index shortest = gae_run;
    for (index k = 0; k < count; ++k) shortest = left(k) < shortest ? left(k) : shortest;
    if (shortest == 0) break;
    advance(0, gae_rows, shortest);
  }
  for (index k = 0; k < count; ++k)
    while (left(k) > 0) advance(k, 1, left(k));
}

/// A sequence whose tokens stand anywhere.
template <sequence_layout L, class A, class G>
void scan_positions(const column& reward, const column& value, const L& layout, index b, double gamma, gae_row row, A* advantage,
                    G* returns) {
  const auto step = [&](index t) {
    const double v = value[t], delta = reward[t] + gamma * row.next_value - v;
    row.carried = delta + row.decay * row.carried;
    row.value_carried = delta + row.value_decay * row.value_carried;
    row.next_value = v;
    advantage[t] = static_cast<A>(row.carried);
    returns[t] = static_cast<G>(row.value_carried + v);
  };
  if constexpr (requires { layout.position(b, layout.length(b)); }) {
    for (index k = layout.length(b) - 1; k >= 0; --k) step(layout.position(b, k));
  } else {
    std::vector<index> positions;
    layout.for_each_token(b, [&](index t) { positions.push_back(t); });
    for (auto t = positions.rbegin(); t != positions.rend(); ++t) step(*t);
  }
}

}  // namespace detail

/// `gae` into memory of the caller's: advantage and returns are contiguous ranges of float or double, which receive the
/// numbers of `gae`, rounded to their type. Allocates nothing for the layouts of the library.
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
    row.next_value = options.bootstrap.empty() ? 0 : options.bootstrap[b];
    return row;
  };
  if constexpr (detail::contiguous_layout<L>) {
    for (index b = 0; b < layout.sequences(); b += detail::gae_rows) {
      const index left = layout.sequences() - b, count = left < detail::gae_rows ? left : detail::gae_rows;
      detail::gae_row rows[detail::gae_rows];
      for (index k = 0; k < count; ++k) {
        rows[k] = row_of(b + k);
        rows[k].first = layout.first(b + k);
        rows[k].end = layout.last(b + k);
      }
      detail::scan_rows(reward, value, layout.mask(), options.gamma, options.holes, rows, count, advantage.data(), returns.data());
    }
  } else {
    for (index t = 0; t < layout.tokens(); ++t) advantage.data()[t] = 0, returns.data()[t] = 0;
    for (index b = 0; b < layout.sequences(); ++b)
      detail::scan_positions(reward, value, layout, b, options.gamma, row_of(b), advantage.data(), returns.data());
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
