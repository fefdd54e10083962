#pragma once

#include <emend/core/layout.hpp>

// The loops behind `gae`: nothing here is for users.

namespace emend {

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

/// Fills the steps of the last `size` positions that a sequence has left. A hole is a step with factor 1, or if it decays
/// one with reward and value 0.
[[gnu::always_inline]] inline void fill_steps(const column& reward, const column& value, const column& mask, index size,
                                              double gamma, bool is_decaying, gae_row& row, gae_steps& steps) {
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
  if (any == 0 && (!is_decaying || !row.has_begun)) {
    for (index i = 0; i < size; ++i) steps.delta[i] = 0;
    for (index i = 0; i < size; ++i) steps.factor[i] = steps.value_factor[i] = 1;
    return;
  }
  // Without branches: where the holes are, nobody foresees.
  const long long decays = is_decaying ? -1 : 0;
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
  bool is_decaying, is_decoupled;
  A* advantage;
  G* returns;
};

template <index Rows, class A, class G>
[[gnu::always_inline]] inline void advance_rows(const gae_batch<A, G>& batch, gae_row* rows, gae_steps* steps, index size) {
  for (index k = 0; k < Rows; ++k)
    fill_steps(batch.reward, batch.value, batch.mask, size, batch.gamma, batch.is_decaying, rows[k], steps[k]);
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

}  // namespace emend
