#pragma once

#include <emend/core/random.hpp>
#include <emend/base/storage.hpp>
#include <emend/cuda/team.hpp>

namespace emend::cuda {

/// One draw for each of N rows of scores on a device; pointers there, strides in elements. T is float, bfloat16 or
/// float16.
///   what is left: of the scores times 1 / temperature, the top_k highest and what equals the last of them; of these
///   the highest that together reach a share top_p, and what equals the last; of these what has at least min_p times
///   the largest probability id_i: the smallest id at which the running sum of the probabilities left exceeds u_i =
///   random.uniform(stream_i, step)
/// Probabilities are powers in float, rounded to whole multiples of 2^-40 of the largest: sums of integers do not
/// depend on their order, so that a draw does not depend on the number of threads. It is the host's but where u falls
/// within their rounding, some 1e-7, of a boundary; an id of less than 2^-41 of the largest is never drawn. At most
/// 2^24 - 1 ids, so that the sums fit 64 bits.
template <class T>
struct sample_problem {
  static_assert(sizeof(T) <= sizeof(float),
                "emend: draws on a device are of float, bfloat16 or float16 scores; convert double ones");
  const T* scores = nullptr;
  index rows = 0, vocab = 0, row_stride = 0, vocab_stride = 1;
  double temperature = 1;
  index top_k = 0;  ///< 0: all
  double top_p = 1, min_p = 0;
  counter_random random = {};
  std::uint64_t step = 0;
  const std::int64_t* streams = nullptr;  ///< [rows] or null: the row's number
  std::int64_t* ids = nullptr;            ///< [rows], written: -1 where the row holds NaN or +inf, or -inf alone
  double* log_prob = nullptr;  ///< [rows] or null: of the drawn id, under what was left; NaN where there is none
};

inline constexpr index sample_threads = 512, sample_bins = 256, sample_candidates = 1024;
struct sample_memory {
  team_memory team;
  std::uint64_t sums[sample_bins];
  std::uint32_t best[sample_threads];                             // of each thread's scores, the highest key
  std::uint32_t ids[sample_candidates], keys[sample_candidates];  // what may be left of the row
  std::uint32_t count;
  std::uint64_t total, wanted;  // of the row, and the running sum within the part that is looked at
  index part;
};

namespace detail {

/// By how much of the whole a sum of probabilities may miss a share and yet count as equal to it, as
/// `candidates<float>::rounding`.
inline constexpr double sum_rounding = 0x1p-21;

/// Orders as the numbers do; the two zeros alike.
constexpr std::uint32_t key_of(float x) {
  const auto bits = __builtin_bit_cast(std::uint32_t, x + 0.0f);
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}
constexpr float number_of(std::uint32_t key) { return __builtin_bit_cast(float, key >> 31 ? key & 0x7fffffffu : ~key); }

/// What a score weighs in a row.
struct score_weight {
  float top = 0, multiplier = 1, lowest = -__builtin_inff();  ///< lowest: log min_p
  std::uint32_t bound = 0;                                    ///< keys below are gone

  /// In units of 2^-40 of the largest; 0 where it is gone.
  constexpr std::uint64_t operator()(float v) const {
    // Apart, for the multiplier may have become 0 or infinity.
    if (v == top) return std::uint64_t{1} << 40;
    if (v == -__builtin_inff()) return 0;
    // Halves, for a distance may overflow where the temperature makes little of it.
    const float t = (v * 0.5f - top * 0.5f) * (2 * multiplier);
    if (key_of(v) < bound || t < lowest) return 0;
    const float share = __builtin_expf(t) * 0x1p40f;
#if defined(__CUDA_ARCH__)
    return __float2ull_rn(share);
#else
    return static_cast<std::uint64_t>(__builtin_rint(static_cast<double>(share)));
#endif
  }
};

/// The whole row, or its candidates: both have places 0 .. size - 1 in the order of ids.
template <class T>
struct row_scores {
  const T* x;
  index size, stride;
  constexpr float score(index place) const { return static_cast<float>(x[place * stride]); }
  constexpr index id(index place) const { return place; }
  template <class Team, class F>
  constexpr void for_each(Team& team, F f) const {
    team.for_each_score(x, size, stride, [&]<int N>(const float(&scores)[N], index) {
      for (int k = 0; k < N; ++k) f(scores[k]);
    });
  }
};
struct candidate_scores {
  const std::uint32_t *ids, *keys;
  index size;
  constexpr float score(index place) const { return number_of(keys[place]); }
  constexpr index id(index place) const { return ids[place]; }
  template <class Team, class F>
  constexpr void for_each(Team& team, F f) const {
    for (index i = team.rank(); i < size; i += team.size()) f(score(i));
  }
};

/// The largest key such that all scores of at least that key measure `target` together, two bits a pass.
template <class Team, class Row, class Measure>
constexpr std::uint32_t key_reaching(Team& team, sample_memory& memory, const Row& row, std::uint64_t target,
                                     Measure measure) {
  std::uint32_t found = 0;
  for (int shift = 30; shift >= 0; shift -= 2) {
    std::uint64_t reached[3]{};
    row.for_each(team, [&](float v) {
      const std::uint32_t key = key_of(v);
      if (key < (found | 1u << shift)) return;
      const std::uint64_t size = measure(v);
      for (std::uint32_t k = 1; k <= 3; ++k)
        if (key >= (found | k << shift)) reached[k - 1] += size;
    });
    std::uint32_t digit = 0;
    for (std::uint32_t k = 1; k <= 3; ++k)
      if (team_sum(team, memory.team, reached[k - 1]) >= target) digit = k;
    found |= digit << shift;
  }
  return found;
}

/// Candidates in the order of their ids: a bitonic network over the next power of 2.
template <class Team>
constexpr void sort_candidates(Team& team, sample_memory& memory, index count) {
  index size = 1;
  while (size < count) size *= 2;
  for (index i = count + team.rank(); i < size; i += team.size()) memory.ids[i] = 0xffffffffu;
  team.sync();
  for (index run = 2; run <= size; run *= 2)
    for (index distance = run / 2; distance > 0; distance /= 2) {
      for (index i = team.rank(); i < size; i += team.size()) {
        const index other = i ^ distance;
        if (other < i || (memory.ids[i] > memory.ids[other]) != ((i & run) == 0)) continue;
        const std::uint32_t id = memory.ids[i], key = memory.keys[i];
        memory.ids[i] = memory.ids[other], memory.keys[i] = memory.keys[other];
        memory.ids[other] = id, memory.keys[other] = key;
      }
      team.sync();
    }
}

/// Cuts what is left to top_k and top_p, and draws.
template <class Team, class T, class Row>
constexpr void draw_of(Team& team, sample_memory& memory, const sample_problem<T>& p, index number, const Row& row,
                       score_weight weight) {
  const float lowest = weight.lowest;
  weight.lowest = -__builtin_inff();
  if (p.top_k > 0 && p.top_k < row.size)
    weight.bound =
        key_reaching(team, memory, row, static_cast<std::uint64_t>(p.top_k), [](float) -> std::uint64_t { return 1; });
  if (p.top_p < 1) {
    // Candidates of a nucleus are a part of the row, whose total is known then.
    std::uint64_t total = memory.total;
    if (total == 0) {
      row.for_each(team, [&](float v) { total += weight(v); });
      total = team_sum(team, memory.team, total);
    }
    const auto rest = static_cast<std::uint64_t>(static_cast<double>(total) * (1 - p.top_p + sum_rounding));
    weight.bound = key_reaching(team, memory, row, rest < total ? total - rest : 1, [&](float v) { return weight(v); });
  }
  weight.lowest = lowest;
  team.sync();
  // Running sums over equal parts of the places, then over those of the part that holds the draw, until that is one
  // place.
  index begin = 0, end = row.size;
  for (bool is_first = true; is_first || end - begin > 1; is_first = false) {
    const index width = (end - begin + sample_bins - 1) / sample_bins,
                together = width < team.lanes() ? 1 : team.lanes();
    for (index b = team.rank() / together; b < sample_bins; b += team.size() / together) {
      const index from = begin + b * width, to = from + width < end ? from + width : end;
      std::uint64_t own = 0;
      for (index j = from + team.rank() % together; j < to; j += together) own += weight(row.score(j));
      if (together > 1) own = team.sum_lanes(own);
      if (team.rank() % together == 0) memory.sums[b] = own;
    }
    team.sync();
    if (team.rank() == 0) {
      if (is_first) {
        std::uint64_t total = 0;
        for (index b = 0; b < sample_bins; ++b) total += memory.sums[b];
        const double u = p.random.uniform(static_cast<std::uint64_t>(p.streams ? p.streams[number] : number), p.step);
        const auto wanted = static_cast<std::uint64_t>(u * static_cast<double>(total));
        memory.total = total;
        memory.wanted = wanted < total ? wanted : total - 1;
      }
      index b = 0;
      for (; memory.sums[b] <= memory.wanted; ++b) memory.wanted -= memory.sums[b];
      memory.part = b;
    }
    team.sync();
    begin += memory.part * width;
    end = begin + width < end ? begin + width : end;
  }
  if (team.rank() == 0) {
    p.ids[number] = row.id(begin);
    if (p.log_prob)
      p.log_prob[number] = (static_cast<double>(row.score(begin)) - static_cast<double>(weight.top)) / p.temperature -
                           __builtin_log(static_cast<double>(memory.total) * 0x1p-40);
  }
  team.sync();
}

}  // namespace detail

/// One row by a team of at most sample_threads.
template <class Team, class T>
constexpr void sample_row(Team& team, sample_memory& memory, const sample_problem<T>& p, index number) {
  const detail::row_scores<T> row{p.scores + number * p.row_stride, p.vocab, p.vocab_stride};
  detail::score_weight weight{.multiplier = static_cast<float>(1 / p.temperature),
                              .lowest = p.min_p > 0
                                            ? static_cast<float>(__builtin_log(p.min_p) - 2 * detail::sum_rounding)
                                            : -__builtin_inff()};
  std::uint32_t own = 0, is_bad = 0;
  row.for_each(team, [&](float v) {
    is_bad |= !(v < __builtin_inff());
    const std::uint32_t key = detail::key_of(v);
    own = key > own ? key : own;
  });
  memory.best[team.rank()] = own;
  if (team.rank() == 0) memory.count = 0, memory.total = 0;
  is_bad = team_max(team, memory.team, is_bad);
  const std::uint32_t highest = team_max(team, memory.team, own);
  weight.top = p.vocab > 0 ? detail::number_of(highest) : -__builtin_inff();
  if (is_bad || !(weight.top > -__builtin_inff())) {
    if (team.rank() == 0) {
      p.ids[number] = -1;
      if (p.log_prob) p.log_prob[number] = __builtin_nan("");
    }
    team.sync();
    return;
  }
  // A key below which nothing can be left, if one is known; then few ids are, as a rule, and these alone are looked at
  // again.
  std::uint32_t bound = 0;
  bool is_bounded = p.vocab <= sample_candidates;
  if (!is_bounded && p.top_k > 0 && p.top_k <= team.size()) {
    // The k-th highest of the threads' highest: k scores are not below it.
    index above = 0;
    for (index i = 0; i < team.size(); ++i) above += memory.best[i] > own;
    bound = ~team_max(team, memory.team, above < p.top_k ? ~own : 0u);
    is_bounded = true;
  } else if (!is_bounded && (p.top_k == 0 || p.top_k >= p.vocab) && (p.top_p < 1 || p.min_p > 0)) {
    // Scores that weigh less than the nucleus leaves out in the mean are not of it, nor what weighs less than min_p.
    double least = p.min_p;
    if (p.top_p < 1) {
      detail::score_weight of_all = weight;
      of_all.lowest = -__builtin_inff();
      std::uint64_t sum = 0;
      row.for_each(team, [&](float v) { sum += of_all(v); });
      sum = team_sum(team, memory.team, sum);
      if (team.rank() == 0) memory.total = sum;
      least = static_cast<double>(sum) * 0x1p-40 * (1 - p.top_p + detail::sum_rounding) / static_cast<double>(p.vocab);
    }
    // Steps below, for the sake of rounding.
    const float from = weight.top + static_cast<float>((__builtin_log(least) - 1e-3) * p.temperature);
    is_bounded = least > 0 && from < weight.top;
    if (is_bounded) bound = detail::key_of(from) - 2;
  }
  if (is_bounded) {
    team.for_each_score(row.x, row.size, row.stride, [&]<int N>(const float(&scores)[N], index first) {
      for (int k = 0; k < N; ++k) {
        const std::uint32_t key = detail::key_of(scores[k]);
        if (key < bound) continue;
        const std::uint32_t place = team.take(&memory.count);
        if (place < sample_candidates)
          memory.ids[place] = static_cast<std::uint32_t>(first + k), memory.keys[place] = key;
      }
    });
    team.sync();
    const auto count = static_cast<index>(memory.count);
    if (count <= sample_candidates) {
      detail::sort_candidates(team, memory, count);
      return detail::draw_of(team, memory, p, number, detail::candidate_scores{memory.ids, memory.keys, count}, weight);
    }
  }
  team.sync();
  detail::draw_of(team, memory, p, number, row, weight);
}

}  // namespace emend::cuda
