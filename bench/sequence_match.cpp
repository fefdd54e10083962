// bench_sequence_match: the SequenceMatch objective against what the memory gives, and attention masks against a fill
// of the same bytes. Every figure is a ratio within one interleaved run, as a counter:
//   of_copy      time of copying the scores' bytes once / value and gradient
//   of_likelihood  time of the cross-entropy's value and gradient over the same scores / ours
//   of_fill      time of filling the mask's bytes / writing the mask

#include "probes.hpp"

#include <emend/emend.hpp>

#include <benchmark/benchmark.h>

#include <cstring>
#include <vector>

namespace {

using emend::index;

constexpr int repeats = 15;

/// Trajectories one after the other over all rows: data and rollouts by turns, some states read twice.
struct trajectories {
  std::vector<index> offsets{0}, at, label;
  std::vector<char> is_rollout;

  trajectories(index rows, index vocab, index length) {
    for (index first = 0; first < rows; first += length) {
      const index end = first + length < rows ? first + length : rows;
      for (index row = first; row < end; ++row) {
        at.push_back(row);
        label.push_back(row * 7919 % vocab);
        // Every tenth state comes back after an error and its backspace.
        if (row % 10 == 9 && row + 1 < end) {
          at.insert(at.end(), {row + 1, row});
          label.insert(label.end(), {3, row * 31 % vocab});
        }
      }
      label.back() = -1;
      offsets.push_back(static_cast<index>(at.size()));
      is_rollout.push_back(is_rollout.size() % 2 == 1);
    }
  }
  emend::trajectory_columns columns() const {
    return {.offsets = offsets, .at = at, .label = label, .is_rollout = is_rollout};
  }
};

template <class T>
void objective(benchmark::State& state) {
  const index vocab = state.range(0),
              rows = std::max<index>(1, static_cast<index>(bench::memory_bytes / sizeof(T)) / vocab);
  const auto x = bench::random_scores<T>(rows, vocab);
  emend::matrix<T> gradient(rows, vocab);
  const trajectories t(rows, vocab, 64);
  const emend::sequence_match_objective<> mixture{.mixture_coefficient = 0.25};
  std::vector<index> targets;
  for (index i = 0; i < rows; ++i) targets.push_back(i * 7919 % vocab);
  const std::size_t bytes = static_cast<std::size_t>(rows * vocab) * sizeof(T);
  bench::best_time ours, copy, likelihood;
  for (auto _ : state) {
    copy.take([&] { bench::copy_probe(gradient.data(), x.data(), bytes); });
    likelihood.take(
        [&] { benchmark::DoNotOptimize(emend::evaluate_into(emend::cross_entropy{}, x, targets, {}, gradient)); });
    state.SetIterationTime(ours.take(
        [&] { benchmark::DoNotOptimize(emend::evaluate_trajectories_into(mixture, x, t.columns(), {}, gradient)); }));
  }
  state.counters["of_copy"] = copy.best() / ours.best();
  state.counters["of_likelihood"] = likelihood.best() / ours.best();
}

/// Parents of a batch of trees: texts with an error, erased, before every tenth token.
std::vector<std::vector<index>> some_trees(index count, index nodes) {
  std::vector<std::vector<index>> trees;
  for (index b = 0; b < count; ++b) {
    std::vector<index> parent{-1};
    for (index i = 1; i < nodes; ++i) parent.push_back(i % 10 == 5 + b && i > 1 ? i - 2 : i - 1);
    trees.push_back(parent);
  }
  return trees;
}

template <class T>
void dense_mask(benchmark::State& state) {
  const index nodes = 4096;
  const auto trees = some_trees(4, nodes);
  const auto each = static_cast<std::size_t>(nodes * nodes);
  std::vector<T> mask(4 * each);
  bench::best_time ours, fill;
  for (auto _ : state) {
    fill.take([&] {
      std::memset(mask.data(), 1, mask.size() * sizeof(T));
      benchmark::ClobberMemory();
    });
    state.SetIterationTime(ours.take([&] {
      for (std::size_t b = 0; b < 4; ++b) emend::write_attention_mask(trees[b], mask.data() + b * each, T(1), T(0));
      benchmark::ClobberMemory();
    }));
  }
  state.counters["of_fill"] = fill.best() / ours.best();
}

void mask_bits(benchmark::State& state) {
  const index nodes = 4096;
  const auto trees = some_trees(4, nodes);
  const auto each = static_cast<std::size_t>(nodes * emend::mask_words(nodes));
  std::vector<std::uint64_t> mask(4 * each);
  bench::best_time ours, fill;
  for (auto _ : state) {
    fill.take([&] {
      std::memset(mask.data(), 1, mask.size() * sizeof(std::uint64_t));
      benchmark::ClobberMemory();
    });
    state.SetIterationTime(ours.take([&] {
      for (std::size_t b = 0; b < 4; ++b) emend::write_attention_bits(trees[b], mask.data() + b * each);
      benchmark::ClobberMemory();
    }));
  }
  state.counters["of_fill"] = fill.best() / ours.best();
}

/// Packing itself: trajectories with 10 % errors, as a tree and as one slot an action. `nodes_of_slots`: their sizes.
void packing(benchmark::State& state) {
  std::vector<index> tokens(2000);
  for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<index>(i) % 90;
  const auto errors = emend::draw_errors(2000, emend::uniform_noise{90}, {.level = 0.1});
  const auto t = emend::data_trajectory(std::vector<index>{0},
                                        emend::augment_with_errors(tokens, errors.run_length, errors.noise_tokens, 90),
                                        {.end = 91, .backspace = 90});
  std::size_t nodes = 0, slots = 0, erasing = 0;
  for (const emend::action& a : t.actions) erasing += a.kind != emend::action_kind::append;
  bench::best_time ours;
  for (auto _ : state) {
    slots = emend::pack_slots(t.prompt, t.actions).token.size();
    state.SetIterationTime(ours.take([&] { nodes = emend::pack_tree(t.prompt, t.actions).token.size(); }));
  }
  if (nodes + erasing != slots) state.SkipWithError("a tree saves other than the erasing steps");
  state.counters["nodes_of_slots"] = static_cast<double>(nodes) / static_cast<double>(slots);
  state.counters["actions_per_microsecond"] = static_cast<double>(t.actions.size()) / ours.best() * 1e-6;
}

#define ROWS(f) \
  BENCHMARK(f)->Arg(32000)->Arg(128256)->Arg(4096)->Iterations(repeats)->UseManualTime()->Unit(benchmark::kMillisecond)

ROWS(objective<float>);
ROWS(objective<double>);
ROWS(objective<emend::bfloat16>);
BENCHMARK(dense_mask<unsigned char>)->Iterations(repeats)->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK(dense_mask<float>)->Iterations(repeats)->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK(mask_bits)->Iterations(repeats)->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK(packing)->Iterations(repeats)->UseManualTime()->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
