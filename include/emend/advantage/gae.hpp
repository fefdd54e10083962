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

[[gnu::always_inline]] inline void fill_steps(const column& reward, const column& value, const column& mask, index size, double gamma, hole_rule holes,
                       gae_row& row, gae_steps& steps) {
  double r[gae_run];
  const index begin = row.end - size;
  reward.read(begin, size, r);
  value.read(begin, size, steps.value);
  if (!mask.empty()) mask.read_flags(begin, size, steps.flags);
  long long all = -1, any = 0;
  for (index i = 0; i < size && !mask.empty(); ++i) all &= steps.flags[i], any |= steps.flags[i];
  steps.is_all_counted = mask.empty() || all != 0;
  if (steps.is_all_counted) {
    row.has_begun = true;
    steps.value[size] = row.next_value;
    row.next_value = steps.value[0];
    for (index i = 0; i < size; ++i) steps.delta[i] = r[i] + gamma * steps.value[i + 1] - steps.value[i];
    for (index i = 0; i < size; ++i) steps.factor[i] = row.decay;
    for (index i = 0; i < size; ++i) steps.value_factor[i] = row.value_decay;
    return;
  }
  if (any == 0 && (holes == hole_rule::carry || !row.has_begun)) {
    for (index i = 0; i < size; ++i) steps.delta[i] = 0;
    for (index i = 0; i < size; ++i) steps.factor[i] = steps.value_factor[i] = 1;
    return;
  }
  // Without branches: where the holes are, nobody foresees.
  const long long decays = holes == hole_rule::decay ? -1 : 0;
  long long has_begun = row.has_begun ? -1 : 0;
  double next = row.next_value;
  for (index i = size - 1; i >= 0; --i) {
    const long long is_counted = steps.flags[i];
    has_begun |= is_counted;
    const long long is_step = is_counted | (has_begun & decays);
    const double own = number_if(is_counted, steps.value[i], 0.0);
    const double delta = number_if(is_counted, r[i], 0.0) + gamma * next - own;
    steps.delta[i] = number_if(is_step, delta, 0.0);
    steps.factor[i] = number_if(is_step, row.decay, 1.0);
    steps.value_factor[i] = number_if(is_step, row.value_decay, 1.0);
    next = number_if(is_step, own, next);
  }
  row.next_value = next;
  row.has_begun = has_begun != 0;
}

/// The recursion over the runs of `Rows` sequences side by side.
template <index Rows>
[[gnu::always_inline]] inline void scan_steps(gae_row* rows, gae_steps* steps, index size, bool is_decoupled) {
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
[[gnu::always_inline]] inline void write_steps(const gae_steps& steps, index size, bool is_decoupled, A* advantage, G* returns) {
  const double* of_value = is_decoupled ? steps.value_advantage : steps.advantage;
  for (index i = 0; i < size; ++i) advantage[i] = static_cast<A>(steps.advantage[i]);
  for (index i = 0; i < size; ++i) returns[i] = static_cast<G>(of_value[i] + steps.value[i]);
  if (steps.is_all_counted) return;
  for (index i = 0; i < size; ++i) {
    advantage[i] = steps.flags[i] != 0 ? advantage[i] : A(0);
    returns[i] = steps.flags[i] != 0 ? returns[i] : G(0);
  }
}

/// What all rows of a scan share.
template <class A, class G>
struct gae_batch {
  const column &reward, &value, &mask;
  double gamma;
  hole_rule holes;
  bool is_decoupled;
  A* advantage;
  G* returns;
};

template <index Rows, class A, class G>
[[gnu::always_inline]] inline void advance_rows(const gae_batch<A, G>& batch, gae_row* rows, gae_steps* steps, index size) {
  for (index k = 0; k < Rows; ++k)
    fill_steps(batch.reward, batch.value, batch.mask, size, batch.gamma, batch.holes, rows[k], steps[k]);
  scan_steps<Rows>(rows, steps, size, batch.is_decoupled);
  for (index k = 0; k < Rows; ++k) {
    rows[k].end -= size;
    write_steps(steps[k], size, batch.is_decoupled, batch.advantage + rows[k].end, batch.returns + rows[k].end);
  }
}

template <class A, class G>
[[gnu::always_inline]] inline void scan_rows_loop(const gae_batch<A, G>& batch, gae_row* rows, index count) {
  gae_steps steps[gae_rows];
  while (count == gae_rows) {
    index shortest = gae_run;
    for (index k = 0; k < count; ++k) shortest = rows[k].end - rows[k].first < shortest ? rows[k].end - rows[k].first : shortest;
    if (shortest == 0) break;
    advance_rows<gae_rows>(batch, rows, steps, shortest);
  }
  for (index k = 0; k < count; ++k)
    while (const index left = rows[k].end - rows[k].first) advance_rows<1>(batch, rows + k, steps, left < gae_run ? left : gae_run);
}

#if defined(__x86_64__)
template <class A, class G>
[[gnu::target("avx2")]] void scan_rows_avx2(const gae_batch<A, G>& batch, gae_row* rows, index count) {
  scan_rows_loop(batch, rows, count);
}
#endif

template <class A, class G>
void scan_rows(const gae_batch<A, G>& batch, gae_row* rows, index count) {
#if defined(__x86_64__)
  if (has_avx2()) return scan_rows_avx2(batch, rows, count);
#endif
  scan_rows_loop(batch, rows, count);
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
      bool is_decoupled = false;
      for (index k = 0; k < count; ++k) {
        rows[k] = row_of(b + k);
        rows[k].first = layout.first(b + k);
        rows[k].end = layout.last(b + k);
        is_decoupled = is_decoupled || rows[k].decay != rows[k].value_decay;
      }
      const column& mask = layout.mask();
      using batch = detail::gae_batch<std::remove_reference_t<decltype(*advantage.data())>,
                                      std::remove_reference_t<decltype(*returns.data())>>;
      detail::scan_rows(batch{reward, value, mask, options.gamma, options.holes, is_decoupled, advantage.data(), returns.data()},
                        rows, count);
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
