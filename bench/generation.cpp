// bench_generation: generation with backtracking over the example model, against sampling without erasing. Counters,
// within one run:
//   over_plain       time per action with erasing / time per token of lm::decode with the same processors and one draw
//   a token plain_over_plain the same of `generate` without erasing ids: what its bookkeeping costs erasing share of
//   the actions that erase; these cost no forward pass ns_per_action

#include "probes.hpp"

#include <emend/sampling/generate.hpp>
#include <lm/backtracking_model.hpp>
#include <lm/decode.hpp>

#include <benchmark/benchmark.h>

#include <cmath>
#include <vector>

namespace {

using emend::index;

void generation(benchmark::State& state) {
  const lm::config shape{.dim = 128,
                         .hidden_dim = 344,
                         .layers = 4,
                         .heads = 8,
                         .key_value_heads = 8,
                         .vocab_size = static_cast<int>(state.range(0)),
                         .max_positions = 256,
                         .is_classifier_shared = true};
  const auto w = lm::random_weights<float>(shape, 3, 0.02F);
  const index sequences = state.range(1);
  const std::vector<std::vector<index>> prompts(static_cast<std::size_t>(sequences), {1, 2, 3, 4});
  const std::vector<std::vector<int>> plain_prompts(static_cast<std::size_t>(sequences), {1, 2, 3, 4});
  constexpr index length = 100, backspace = 5;
  const double share = static_cast<double>(state.range(2)) / 100;
  const std::vector<index> erasing{backspace};
  // The backspace, to the plain sampler a token like any, gets the wanted share of the probability.
  const emend::sampler how{emend::temperature_scaling{0.9}, [&](auto& c) {
                             const double z = c.log_z();
                             c.change(erasing, [&](index, double) { return z + std::log(share / (1 - share)); });
                           }};
  const emend::counter_random random{1};
  lm::backtracking_model<float> model(w);
  bench::best_time decoded, without, with;
  double with_actions = 1, without_actions = 1, erased = 0, tokens = 1;
  for (auto _ : state) {
    decoded.take([&] {
      std::vector<std::uint64_t> step(plain_prompts.size(), 0);
      const auto texts = lm::decode<float>(
          w, plain_prompts,
          [&](std::span<const float> row, int b) {
            return static_cast<int>(
                how.draw(row.data(), static_cast<index>(row.size()),
                         random.uniform(static_cast<std::uint64_t>(b), step[static_cast<std::size_t>(b)]++))
                    .id);
          },
          emend::sequential{}, {.max_new_tokens = length, .prompts_at_once = 1024});
      tokens = 0;
      for (const auto& t : texts) tokens += static_cast<double>(t.size());
    });
    without.take([&] {
      without_actions = 0;
      for (const auto& g : emend::generate(model, prompts, how, {.max_actions = 1000, .max_tokens = length}))
        without_actions += static_cast<double>(g.ids.size());
    });
    state.SetIterationTime(with.take([&] {
      with_actions = erased = 0;
      for (const auto& g : emend::generate(
               model, prompts, how, {.actions = {.backspace = backspace}, .max_actions = 1000, .max_tokens = length})) {
        with_actions += static_cast<double>(g.ids.size());
        erased += static_cast<double>(g.erased);
      }
    }));
  }
  state.counters["over_plain"] = with.best() / with_actions / (decoded.best() / tokens);
  state.counters["plain_over_plain"] = without.best() / without_actions / (decoded.best() / tokens);
  state.counters["erasing"] = erased / with_actions;
  state.counters["ns_per_action"] = with.best() / with_actions * 1e9;
}

// vocabulary, sequences, backspaces in 100 draws
BENCHMARK(generation)
    ->Args({512, 1, 10})
    ->Args({512, 16, 10})
    ->Args({32000, 16, 10})
    ->Args({512, 16, 30})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond)
    ->Iterations(7);

}  // namespace

BENCHMARK_MAIN();
