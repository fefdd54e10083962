#pragma once

#include <emend/core/random.hpp>
#include <emend/core/storage.hpp>
#include <emend/cuda/team.hpp>

namespace emend::cuda {

/// One draw for each of N rows of scores on a device; pointers there, strides in elements. T is float, bfloat16 or float16.
///   what is left: of the scores times 1 / temperature, the top_k highest and what equals the last of them; of these the highest that together reach
///   a share top_p, and what equals the last; of these what has at least min_p times the largest probability
///   id_i: the smallest id at which the running sum of the probabilities left exceeds u_i = random.uniform(stream_i, step)
/// Probabilities are powers in float, rounded to whole multiples of 2^-40 of the largest: sums of integers do not depend on their order, so that
/// a draw does not depend on the number of threads. It is the host's but where u falls within their rounding, some 1e-7, of a
/// boundary; an id of less than 2^-41 of the largest is never drawn.
template <class T>
struct sample_problem {
  static_assert(sizeof(T) <= sizeof(float), "emend: draws on a device are of float, bfloat16 or float16 scores; convert double ones");
  const T* scores = nullptr;
  index rows = 0, vocab = 0, row_stride = 0, vocab_stride = 1;
  double temperature = 1;
  index top_k = 0;  ///< 0: all
  double top_p = 1, min_p = 0;
  counter_random random = {};
  std::uint64_t step = 0;
  const std::int64_t* streams = nullptr;  ///< [rows] or null: the row's number
  std::int64_t* ids = nullptr;            ///< [rows], written: -1 where the row holds NaN or +inf, or -inf alone
  double* log_prob = nullptr;             ///< [rows] or null: of the drawn id, under what was left; NaN where there is none
};

inline constexpr index sample_threads = 512, sample_bins = 256;
struct sample_memory {
  team_memory team;
  std::uint64_t sums[sample_bins];
  std::uint64_t above;
  index bin;
};

namespace detail {

/// Orders as the numbers do; the two zeros alike.
constexpr std::uint32_t key_of(float x) {
  const auto bits = __builtin_bit_cast(std::uint32_t, x + 0.0f);
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}
constexpr float number_of(std::uint32_t key) { return __builtin_bit_cast(float, key >> 31 ? key & 0x7fffffffu : ~key); }

/// A row while it is drawn from.
template <class T>
struct drawn_row {
  const T* x;
  index vocab, stride;
  float top, multiplier, lowest;  // lowest: log min_p
  std::uint32_t bound = 0;        // keys below are gone

  constexpr float score(index j) const { return static_cast<float>(x[j * stride]); }
  /// In units of 2^-40 of the largest; 0 where an id is gone.
  constexpr std::uint64_t weight(index j) const {
    const float v = score(j);
    // Apart, for the multiplier may have become 0 or infinity.
    if (v == top) return std::uint64_t{1} << 40;
    if (v == -__builtin_inff()) return 0;
    const float t = (v - top) * multiplier;
    if (key_of(v) < bound || t < lowest) return 0;
    return static_cast<std::uint64_t>(static_cast<double>(__builtin_expf(t)) * 0x1p40 + 0.5);
  }
};

/// The largest key such that all entries of at least that key measure `target` together: bin by bin, eight bits a pass.
template <class Team, class T, class Measure>
constexpr std::uint32_t key_reaching(Team& team, sample_memory& memory, const drawn_row<T>& row, std::uint64_t target, Measure measure) {
  std::uint32_t prefix = 0, known = 0;
  std::uint64_t above = 0;
  for (int shift = 24; shift >= 0; shift -= 8) {
    for (index b = team.rank(); b < sample_bins; b += team.size()) memory.sums[b] = 0;
    team.sync();
    for (index j = team.rank(); j < row.vocab; j += team.size()) {
      const std::uint32_t key = key_of(row.score(j));
      if ((key & known) != prefix) continue;
      if (const std::uint64_t size = measure(j)) team.add(&memory.sums[key >> shift & 255], size);
    }
    team.sync();
    if (team.rank() == 0) {
      index bin = sample_bins - 1;
      for (; bin > 0 && above + memory.sums[bin] < target; --bin) above += memory.sums[bin];
      memory.bin = bin;
      memory.above = above;
    }
    team.sync();
    prefix |= static_cast<std::uint32_t>(memory.bin) << shift;
    known |= 255u << shift;
    above = memory.above;
    team.sync();
  }
  return prefix;
}

}  // namespace detail

/// One row by a team.
template <class Team, class T>
constexpr void sample_row(Team& team, sample_memory& memory, const sample_problem<T>& p, index number) {
  detail::drawn_row<T> row{p.scores + number * p.row_stride, p.vocab, p.vocab_stride, 0, static_cast<float>(1 / p.temperature),
                           p.min_p > 0 ? static_cast<float>(__builtin_log(p.min_p)) : -__builtin_inff()};
  std::uint32_t highest = 0, is_bad = 0;
  for (index j = team.rank(); j < p.vocab; j += team.size()) {
    const float v = row.score(j);
    is_bad |= !(v < __builtin_inff());
    const std::uint32_t key = detail::key_of(v);
    highest = key > highest ? key : highest;
  }
  is_bad = team_max(team, memory.team, is_bad);
  highest = team_max(team, memory.team, highest);
  row.top = p.vocab > 0 ? detail::number_of(highest) : -__builtin_inff();
  if (is_bad || !(row.top > -__builtin_inff())) {
    if (team.rank() == 0) {
      p.ids[number] = -1;
      if (p.log_prob) p.log_prob[number] = __builtin_nan("");
    }
    return;
  }
  const float lowest = row.lowest;
  row.lowest = -__builtin_inff();
  if (p.top_k > 0 && p.top_k < p.vocab) row.bound = detail::key_reaching(team, memory, row, static_cast<std::uint64_t>(p.top_k), [](index) -> std::uint64_t { return 1; });
  const auto total_weight = [&] {
    std::uint64_t own = 0;
    for (index j = team.rank(); j < p.vocab; j += team.size()) own += row.weight(j);
    return team_sum(team, memory.team, own);
  };
  if (p.top_p < 1) {
    const std::uint64_t total = total_weight(), rest = static_cast<std::uint64_t>(static_cast<double>(total) * (1 - p.top_p));
    row.bound = detail::key_reaching(team, memory, row, rest < total ? total - rest : 1, [&](index j) { return row.weight(j); });
  }
  row.lowest = lowest;
  // Running sums over equal parts of the ids, then within the one that holds the draw.
  const index width = (p.vocab + sample_bins - 1) / sample_bins, groups = team.size() / team.lanes();
  for (index b = team.rank() / team.lanes(); b < sample_bins; b += groups) {
    const index begin = b * width, end = begin + width < p.vocab ? begin + width : p.vocab;
    std::uint64_t own = 0;
    for (index j = begin + team.rank() % team.lanes(); j < end; j += team.lanes()) own += row.weight(j);
    own = team.sum_lanes(own);
    if (team.rank() % team.lanes() == 0) memory.sums[b] = own;
  }
  team.sync();
  if (team.rank() == 0) {
    std::uint64_t total = 0, sum = 0;
    for (index b = 0; b < sample_bins; ++b) total += memory.sums[b];
    const double u = p.random.uniform(static_cast<std::uint64_t>(p.streams ? p.streams[number] : number), p.step);
    auto wanted = static_cast<std::uint64_t>(u * static_cast<double>(total));
    wanted = wanted < total ? wanted : total - 1;
    index b = 0;
    while (sum + memory.sums[b] <= wanted) sum += memory.sums[b++];
    index id = b * width;
    while (sum + row.weight(id) <= wanted) sum += row.weight(id++);
    p.ids[number] = id;
    if (p.log_prob)
      p.log_prob[number] = (static_cast<double>(row.score(id)) - static_cast<double>(row.top)) / p.temperature - __builtin_log(static_cast<double>(total) * 0x1p-40);
  }
  team.sync();
}

}  // namespace emend::cuda
