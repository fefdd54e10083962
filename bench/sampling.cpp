// bench_sampling: one draw from a row of scores, after processors, against reading the row once. Counters, each within
// one interleaved run:
//   over_read   ours / time of reading the same bytes once       ns_per_score   nanoseconds a score
//   over_sort   the same choice by sorting the row / ours
// Rows: peaked, as a language model's (scores fall with the logarithm of the rank, ids in disorder); flat (normal,
// deviation 1); wide (uniform on [-8, 8)). They come from memory: the buffer is bench::memory_bytes.

#include "probes.hpp"

#include <emend/sampling/sampler.hpp>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace {

using emend::index;

enum shape { peaked, flat, wide };

emend::matrix<float> rows_of(shape kind, index vocab) {
  const index rows = static_cast<index>(bench::memory_bytes / sizeof(float)) / vocab;
  emend::matrix<float> scores(rows, vocab);
  const emend::counter_random random{7};
  std::vector<index> order(static_cast<std::size_t>(vocab));
  std::iota(order.begin(), order.end(), 0);
  for (index i = 0; i < rows; ++i) {
    if (kind == peaked)
      for (index j = vocab - 1; j > 0; --j)
        std::swap(order[static_cast<std::size_t>(j)],
                  order[static_cast<std::size_t>(
                      random.below(j + 1, static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(j)))]);
    for (index j = 0; j < vocab; ++j) {
      const double u = random.uniform(static_cast<std::uint64_t>(i) + 100000, static_cast<std::uint64_t>(j));
      const double v = random.uniform(static_cast<std::uint64_t>(i) + 200000, static_cast<std::uint64_t>(j));
      const double normal = std::sqrt(-2 * std::log(1 - u)) * std::cos(6.283185307179586 * v);
      const double rank = static_cast<double>(order[static_cast<std::size_t>(j)]) + 1;
      scores(i, j) = static_cast<float>(kind == peaked ? 12 - 1.6 * std::log(rank) + 0.5 * normal
                                        : kind == flat ? normal
                                                       : 16 * u - 8);
    }
  }
  return scores;
}

const emend::matrix<float>& rows(shape kind, index vocab) {
  static emend::matrix<float> kept;
  static int of = -1;
  static index kept_vocab = 0;
  if (of != kind || kept_vocab != vocab) kept = rows_of(kind, vocab), of = kind, kept_vocab = vocab;
  return kept;
}

/// Top-k or top-p by sorting, then the draw.
index sorted_draw(const float* row, index vocab, index k, double p, double u) {
  std::vector<std::pair<float, index>> sorted;
  for (index j = 0; j < vocab; ++j) sorted.push_back({-row[j], j});
  std::sort(sorted.begin(), sorted.end());
  double total = 0, sum = 0;
  std::vector<double> power;
  for (const auto& [x, j] : sorted)
    power.push_back(std::exp(static_cast<double>(sorted[0].first - x))), total += power.back();
  std::size_t kept = 0;
  while (kept < sorted.size() && static_cast<index>(kept) < k && sum < p * total) sum += power[kept++];
  double left = u * sum;
  std::size_t i = 0;
  while (i + 1 < kept && (left -= power[i]) > 0) ++i;
  return sorted[i].second;
}

template <class Sampler>
void draw(benchmark::State& state, shape kind, const Sampler& how, index k, double p) {
  const index vocab = state.range(0);
  const auto& x = rows(kind, vocab);
  const emend::counter_random random{1};
  bench::best_time ours, read, sort;
  const std::size_t bytes = static_cast<std::size_t>(x.rows() * vocab) * sizeof(float);
  for (auto _ : state) {
    read.take([&] { bench::read_probe(x.data(), bytes); });
    state.SetIterationTime(ours.take([&] {
      for (index i = 0; i < x.rows(); ++i)
        benchmark::DoNotOptimize(how.draw(x.row(i), vocab, random.uniform(static_cast<std::uint64_t>(i), 0)));
    }));
  }
  if (k > 0) {
    const index few = std::min<index>(x.rows(), 20);
    sort.take([&] {
      for (index i = 0; i < few; ++i)
        benchmark::DoNotOptimize(sorted_draw(x.row(i), vocab, k, p, random.uniform(static_cast<std::uint64_t>(i), 0)));
    });
    state.counters["over_sort"] = sort.best() / static_cast<double>(few) * static_cast<double>(x.rows()) / ours.best();
  }
  state.counters["over_read"] = ours.best() / read.best();
  state.counters["ns_per_score"] = ours.best() * 1e9 / static_cast<double>(x.rows() * vocab);
}

using namespace emend;

const sampler plain{temperature_scaling{0.8}};
const sampler top_k{top_k_filter{50}};
const sampler min_p{min_p_filter{0.05}};
const sampler top_p{top_p_filter{0.95}};
const sampler both{temperature_scaling{0.8}, top_k_filter{50}, top_p_filter{0.95}};
const sampler typical{typical_filter{0.95}};
const sampler penalised{repetition_penalty{1.2}, top_k_filter{50}};

#define EMEND_BENCH(how, kind, ...)                             \
  BENCHMARK_CAPTURE(draw, how##_##kind, kind, how, __VA_ARGS__) \
      ->Arg(32000)                                              \
      ->UseManualTime()                                         \
      ->Unit(benchmark::kMillisecond)                           \
      ->Iterations(9)

constexpr index all = index{1} << 40;

EMEND_BENCH(top_k, peaked, 50, 1);
EMEND_BENCH(min_p, peaked, 0, 1);
EMEND_BENCH(top_p, peaked, all, 0.95);
EMEND_BENCH(both, peaked, 50, 0.95);
EMEND_BENCH(plain, peaked, 0, 1);
EMEND_BENCH(typical, peaked, 0, 1);
EMEND_BENCH(penalised, peaked, 0, 1);
EMEND_BENCH(top_k, flat, 50, 1);
EMEND_BENCH(min_p, flat, 0, 1);
EMEND_BENCH(top_p, flat, all, 0.95);
EMEND_BENCH(both, flat, 50, 0.95);
EMEND_BENCH(plain, flat, 0, 1);
EMEND_BENCH(typical, flat, 0, 1);
EMEND_BENCH(top_k, wide, 50, 1);
EMEND_BENCH(min_p, wide, 0, 1);
EMEND_BENCH(top_p, wide, all, 0.95);
EMEND_BENCH(typical, wide, 0, 1);

}  // namespace

BENCHMARK_MAIN();
