#pragma once

#include <emend/core/layout.hpp>
#include <emend/simd/double_lanes.hpp>

// The loops behind `gae`: nothing here is for users.

namespace emend {

namespace detail {

/// Positions of a sequence that are taken at a time, a multiple of the lanes.
inline constexpr index gae_run = 256;

/// The recursion backwards through one sequence, and how far it has come.
struct gae_row {
  index first = 0, end = 0;
  double decay = 0, value_decay = 0;
  double next_value = 0, carried = 0, value_carried = 0;
};

/// What all rows of a scan share.
template <class A, class G>
struct gae_batch {
  const column &reward, &value, &mask;
  double gamma;
  bool is_decaying;
  A* advantage;
  G* returns;
};

/// Steps of the recursion that wait for it, the last one at the end of the arrays. Holes that are carried over do not
/// enter: the recursion is the dense one over the counted tokens. It goes by four steps, so that up to three wait for
/// more.
struct gae_queue {
  static constexpr index capacity = gae_run + lanes;
  index begin = capacity;
  double reward[capacity], value[capacity], advantage[capacity], returns[capacity];
  index position[capacity];
  index waiting() const { return capacity - begin; }
};

/// x_t = delta_t + decay x_{t+1}, `lanes` steps at a time; carried holds the x behind them in all lanes.
struct gae_recursion {
  double decay;
  double_lanes powers, carried;
};
[[gnu::always_inline]] inline gae_recursion begin_recursion(double decay, double carried) {
  const double decay_2 = decay * decay;
  const double_lanes zero = {0, 0, 0, 0};
  return {decay, double_lanes{decay_2 * decay_2, decay_2 * decay, decay_2, decay}, zero + carried};
}
[[gnu::always_inline]] inline void advance(gae_recursion& r, double_lanes& x) {
  const double_lanes zero = {0, 0, 0, 0};
  x += r.decay * __builtin_shufflevector(x, zero, 1, 2, 3, 4);
  x += r.powers[2] * __builtin_shufflevector(x, zero, 2, 3, 4, 5);
  const double_lanes first = __builtin_shufflevector(x, x, 0, 0, 0, 0);
  x += r.powers * r.carried;
  // What the next steps wait for is one product and one sum.
  r.carried = first + r.powers[0] * r.carried;
}

/// Appends the counted positions among begin .. begin+size-1, without branches: where the holes are, nobody foresees.
[[gnu::always_inline]] inline void append_counted(const column& reward, const column& value, const long long* flags,
                                                  index begin, index size, gae_queue& queue) {
  double r[gae_run], v[gae_run];
  reward.read(begin, size, r);
  value.read(begin, size, v);
  index to = queue.begin - 1;
  for (index i = size - 1; i >= 0; --i) {
    // A hole is written over by what comes next.
    queue.reward[to] = r[i];
    queue.value[to] = v[i];
    queue.position[to] = begin + i;
    to += static_cast<index>(flags[i]);
  }
  queue.begin = to + 1;
}

/// Appends every position; one that is not counted is a step with reward and value 0.
[[gnu::always_inline]] inline void append_all(const column& reward, const column& value, const long long* flags,
                                              bool is_all_counted, index begin, index size, gae_queue& queue) {
  queue.begin -= size;
  reward.read(begin, size, queue.reward + queue.begin);
  value.read(begin, size, queue.value + queue.begin);
  for (index i = 0; i < size; ++i) queue.position[queue.begin + i] = begin + i;
  for (index i = 0; i < size && !is_all_counted; ++i) {
    queue.reward[queue.begin + i] = number_if(flags[i], queue.reward[queue.begin + i], 0.0);
    queue.value[queue.begin + i] = number_if(flags[i], queue.value[queue.begin + i], 0.0);
  }
}

/// Whether a factor of the recursion is 0: the term behind the factor is then not used, be it infinite or NaN.
inline bool has_zero_factor(double gamma, const gae_row& row) {
  return gamma == 0 || row.decay == 0 || row.value_decay == 0;
}

/// The recursion from the back over size steps; row.next_value is the value behind them, and then the first one.
/// HasZero: a factor may be 0. Without one the branches would cost the loop its speed.
template <bool IsDecoupled, bool HasZero, class T, class A, class G>
[[gnu::always_inline]] inline void recur(const T* reward, const T* value, index size, double gamma, gae_row& row,
                                         A* advantage, G* returns) {
  gae_recursion of_advantage = begin_recursion(row.decay, row.carried),
                of_value = begin_recursion(row.value_decay, row.value_carried);
  double_lanes behind = {row.next_value, 0, 0, 0};
  index i = size - lanes;
  for (; i >= 0; i -= lanes) {
    double_lanes r, v;
    load_lanes(reward + i, r);
    load_lanes(value + i, v);
    double_lanes x;
    if (HasZero && gamma == 0)
      x = r - v;
    else
      x = r + gamma * __builtin_shufflevector(v, behind, 1, 2, 3, 4) - v;
    double_lanes y = x;
    behind = v;
    if (!HasZero || row.decay != 0) advance(of_advantage, x);
    if constexpr (IsDecoupled)
      if (!HasZero || row.value_decay != 0) advance(of_value, y);
    store_lanes(x, advantage + i);
    store_lanes((IsDecoupled ? y : x) + v, returns + i);
  }
  row.next_value = behind[0];
  row.carried = of_advantage.carried[0];
  row.value_carried = of_value.carried[0];
  for (i += lanes - 1; i >= 0; --i) {
    const double r = static_cast<double>(reward[i]), v = static_cast<double>(value[i]),
                 delta = HasZero && gamma == 0 ? r - v : r + gamma * row.next_value - v;
    row.next_value = v;
    row.carried = HasZero && row.decay == 0 ? delta : delta + row.decay * row.carried;
    if constexpr (IsDecoupled)
      row.value_carried = HasZero && row.value_decay == 0 ? delta : delta + row.value_decay * row.value_carried;
    advantage[i] = static_cast<A>(row.carried);
    returns[i] = static_cast<G>((IsDecoupled ? row.value_carried : row.carried) + v);
  }
}
/// The same where a factor is 0: apart from the loops of a set, which it would slow down. Its bits are those of a set.
template <class T, class A, class G>
[[gnu::noinline]] gae_row recur_with_zero_factor(const T* reward, const T* value, index size, double gamma, gae_row row,
                                                 A* advantage, G* returns) {
  if (row.decay != row.value_decay)
    recur<true, true>(reward, value, size, gamma, row, advantage, returns);
  else
    recur<false, true>(reward, value, size, gamma, row, advantage, returns);
  return row;
}
template <class T, class A, class G>
[[gnu::always_inline]] inline void recur(const T* reward, const T* value, index size, double gamma, gae_row& row,
                                         A* advantage, G* returns) {
  if (has_zero_factor(gamma, row)) {
    row = recur_with_zero_factor(reward, value, size, gamma, row, advantage, returns);
  } else if (row.decay != row.value_decay) {
    recur<true, false>(reward, value, size, gamma, row, advantage, returns);
  } else {
    recur<false, false>(reward, value, size, gamma, row, advantage, returns);
  }
}

/// The recursion over the steps of a queue, all of them or whole lanes, and their results written.
template <class A, class G>
[[gnu::always_inline]] inline void take_steps(const gae_batch<A, G>& batch, bool takes_all, gae_row& row,
                                              gae_queue& queue) {
  const index waiting = queue.waiting(), size = takes_all ? waiting : waiting - waiting % lanes;
  if (size == 0) return;
  const index begin = gae_queue::capacity - size;
  recur(queue.reward + begin, queue.value + begin, size, batch.gamma, row, queue.advantage, queue.returns);
  for (index i = 0; i < size; ++i) {
    batch.advantage[queue.position[begin + i]] = static_cast<A>(queue.advantage[i]);
    batch.returns[queue.position[begin + i]] = static_cast<G>(queue.returns[i]);
  }
  // Fewer than `lanes` are left, in front of those that were taken.
  const index left = waiting - size;
  for (index i = 1; i <= left; ++i) {
    queue.reward[gae_queue::capacity - i] = queue.reward[begin - i];
    queue.value[gae_queue::capacity - i] = queue.value[begin - i];
    queue.position[gae_queue::capacity - i] = queue.position[begin - i];
  }
  queue.begin = gae_queue::capacity - left;
}

template <class A, class G>
void write_zeros(const gae_batch<A, G>& batch, index begin, index end) {
  for (index t = begin; t < end; ++t) batch.advantage[t] = 0;
  for (index t = begin; t < end; ++t) batch.returns[t] = 0;
}

template <class A, class G>
[[gnu::always_inline]] inline void scan_row_loop(const gae_batch<A, G>& batch, gae_row row) {
  gae_queue queue;
  long long flags[gae_run];
  const index last = row.end;
  const float* const reward = batch.reward.template contiguous<float>();
  const float* const value = batch.value.template contiguous<float>();
  bool has_holes = false, has_begun = false;
  while (row.end > row.first) {
    index size = row.end - row.first < gae_run ? row.end - row.first : gae_run;
    const index counted = batch.mask.is_given() ? batch.mask.read_flags(row.end - size, size, flags) : size;
    const bool is_all_counted = counted == size;
    has_holes = has_holes || !is_all_counted;
    // A run without holes first fills up what waits, so that the next one needs no queue.
    const index missing = (lanes - queue.waiting()) % lanes;
    if (is_all_counted && missing > 0 && missing < size) size = missing;
    const index begin = row.end -= size;
    if (is_all_counted && missing == 0 && reward && value) {
      has_begun = true;
      recur(reward + begin, value + begin, size, batch.gamma, row, batch.advantage + begin, batch.returns + begin);
      continue;
    }
    if (batch.is_decaying) {
      // What stands behind the last counted token must not discount the bootstrap.
      if (!has_begun && counted == 0) continue;
      while (!has_begun && !is_all_counted && flags[size - 1] == 0) --size;
      has_begun = true;
      append_all(batch.reward, batch.value, flags, is_all_counted, begin, size, queue);
    } else if (is_all_counted) {
      append_all(batch.reward, batch.value, flags, true, begin, size, queue);
    } else {
      if (counted != 0) append_counted(batch.reward, batch.value, flags, begin, size, queue);
      write_zeros(batch, begin, begin + size);
    }
    take_steps(batch, false, row, queue);
  }
  take_steps(batch, true, row, queue);
  if (!batch.is_decaying || !has_holes) return;
  for (index t = row.first; t < last; ++t)
    if (batch.mask[t] == 0) write_zeros(batch, t, t + 1);
}

template <class A, class G>
void scan_row(const gae_batch<A, G>& batch, const gae_row& row) {
  simd::with_fixed_lanes([=]() __attribute__((always_inline)) { scan_row_loop(batch, row); });
}

/// A sequence whose tokens stand anywhere.
template <layout_argument L, class A, class G>
void scan_positions(const column& reward, const column& value, const L& layout, index b, double gamma, gae_row row,
                    A* advantage, G* returns) {
  const auto step = [&](index t) {
    const double v = value[t], delta = gamma == 0 ? reward[t] - v : reward[t] + gamma * row.next_value - v;
    row.carried = row.decay == 0 ? delta : delta + row.decay * row.carried;
    row.value_carried = row.value_decay == 0 ? delta : delta + row.value_decay * row.value_carried;
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
