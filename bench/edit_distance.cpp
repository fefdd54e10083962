// bench_edit_distance: distances between token sequences. Counters, each within one interleaved run:
//   over_rapidfuzz   time of rapidfuzz's C++ core for the same pair / ours; only where the build finds its headers
//   (-DEMEND_RAPIDFUZZ=FOLDER,
//                    the folder that holds rapidfuzz/, or an installed rapidfuzz-cpp)
//   over_table       time of the table of Wagner and Fischer / ours
//   two_threads      a batch on one thread / on two
// Pairs: a text of ids below 50000 and a copy in which a share of the tokens is replaced, left out or doubled; or an
// unrelated one.

#include "probes.hpp"

#include <emend/core/random.hpp>
#include <emend/core/thread_pool.hpp>
#include <emend/structure/edit_distance.hpp>

#include <benchmark/benchmark.h>

#ifdef EMEND_BENCH_RAPIDFUZZ
#include <rapidfuzz/distance.hpp>
#endif

#include <vector>

namespace {

using emend::index;
using ids = std::vector<std::uint32_t>;

struct pair_of {
  ids source, target;
};

/// share_in_100: of tokens that are edited; 100: an unrelated text.
pair_of some_pair(index length, index share_in_100, index alphabet, std::uint64_t seed) {
  const emend::counter_random random{seed};
  pair_of result;
  for (index i = 0; i < length; ++i) {
    const auto at = static_cast<std::uint64_t>(i);
    const auto other = static_cast<std::uint32_t>(random.below(alphabet, 2, at));
    result.source.push_back(static_cast<std::uint32_t>(random.below(alphabet, 1, at)));
    if (random.below(100, 3, at) >= share_in_100) {
      result.target.push_back(result.source.back());
      continue;
    }
    const index kind = share_in_100 == 100 ? 0 : random.below(3, 4, at);
    if (kind == 1) continue;
    if (kind == 2) result.target.push_back(result.source.back());
    result.target.push_back(other);
  }
  return result;
}

void levenshtein(benchmark::State& state) {
  const index length = state.range(0);
  const pair_of p = some_pair(length, state.range(1), state.range(2), 3);
  bench::best_time ours, table, rapidfuzz;
  index distance = 0;
  for (auto _ : state) {
    state.SetIterationTime(
        ours.take([&] { benchmark::DoNotOptimize(distance = emend::levenshtein_distance(p.source, p.target)); }));
#ifdef EMEND_BENCH_RAPIDFUZZ
    std::size_t theirs = 0;
    rapidfuzz.take([&] {
      benchmark::DoNotOptimize(theirs = static_cast<std::size_t>(rapidfuzz::levenshtein_distance(
                                   p.source.begin(), p.source.end(), p.target.begin(), p.target.end())));
    });
    if (static_cast<index>(theirs) != distance) state.SkipWithError("the distances differ");
#endif
  }
  table.take([&] { benchmark::DoNotOptimize(emend::weighted_edit_distance(p.source, p.target, {})); });
#ifdef EMEND_BENCH_RAPIDFUZZ
  state.counters["over_rapidfuzz"] = rapidfuzz.best() / ours.best();
#endif
  state.counters["over_table"] = table.best() / ours.best();
  state.counters["us"] = ours.best() * 1e6;
}

void batch(benchmark::State& state) {
  std::vector<index> sources, targets, source_offsets{0}, target_offsets{0};
  for (std::uint64_t b = 0; b < 64; ++b) {
    const pair_of p = some_pair(512, 10, 50000, b);
    sources.insert(sources.end(), p.source.begin(), p.source.end());
    targets.insert(targets.end(), p.target.begin(), p.target.end());
    source_offsets.push_back(static_cast<index>(sources.size()));
    target_offsets.push_back(static_cast<index>(targets.size()));
  }
  emend::thread_pool pool(2);
  bench::best_time one, two;
  for (auto _ : state) {
    state.SetIterationTime(one.take([&] {
      benchmark::DoNotOptimize(emend::levenshtein_distances(sources, source_offsets, targets, target_offsets));
    }));
    two.take([&] {
      benchmark::DoNotOptimize(emend::levenshtein_distances(sources, source_offsets, targets, target_offsets, pool));
    });
  }
  state.counters["two_threads"] = one.best() / two.best();
}

// length, edited tokens in 100, alphabet
BENCHMARK(levenshtein)
    ->Args({512, 10, 50000})
    ->Args({2048, 2, 50000})
    ->Args({2048, 10, 50000})
    ->Args({2048, 50, 50000})
    ->Args({2048, 100, 50000})
    ->Args({2048, 10, 100})
    ->Args({2048, 100, 100})
    ->Args({8192, 10, 50000})
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond)
    ->Iterations(25);
BENCHMARK(batch)->UseManualTime()->Unit(benchmark::kMillisecond)->Iterations(25);

}  // namespace

BENCHMARK_MAIN();
