// bench_against_torch: the heads and losses over tensors against the chains of operations that trainers write in torch,
// in one process and one interleaved run, on the host; every figure is a ratio, as a counter:
//   over_trl, over_verl, over_cross_entropy   their time / ours          of_read, of_copy   time of reading, copying
//   the same bytes / ours
// (--processor-time: of processor time instead, for a busy machine; --threads N: torch's and ours; --fresh-memory:
// malloc as it is by default)
//   memory_share    peak memory beyond the gradient / the logits         memory_over_chain  the chain's peak memory /
//   ours
// TRL: the target's score less logsumexp row by row, entropy from log_softmax of 128 rows at a time. verl: the same
// log-probability, entropy as logsumexp less the sum of softmax times scores. Both with the memory that torch's
// operations free kept for the next (see main): without that they are slower by a factor of 1.1 to 5.

#include "probes.hpp"
#include "torch_chains.hpp"

#include <emend/libtorch.hpp>
#include <emend/losses/cross_entropy.hpp>
#include <emend/losses/ppo_clip.hpp>

#include <benchmark/benchmark.h>

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>

#include <malloc.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

namespace {

using bench::best_time, bench::chain_loss, bench::trl, bench::verl;

/// Resident memory of this process, and its peak since the last reset, in bytes.
double status_of(const char* name) {
  std::FILE* file = std::fopen("/proc/self/status", "r");
  char line[256];
  double kilobytes = 0;
  while (file && std::fgets(line, sizeof line, file))
    if (std::strncmp(line, name, std::strlen(name)) == 0) kilobytes = std::atof(line + std::strlen(name));
  if (file) std::fclose(file);
  return kilobytes * 1024;
}
/// Peak of what f() takes beyond what is there before; memory that was freed is given back first.
template <class F>
double peak_bytes(F&& f) {
  malloc_trim(0);
  if (std::FILE* file = std::fopen("/proc/self/clear_refs", "w")) {
    std::fputs("5", file);
    std::fclose(file);
  }
  const double before = status_of("VmRSS:");
  f();
  return status_of("VmHWM:") - before;
}

struct problem {
  at::Tensor logits, ids, old_log_prob, advantage;
  problem(std::int64_t batch, std::int64_t length, std::int64_t vocab)
      : logits((at::rand({batch, length, vocab}) * 16 - 8).requires_grad_()),
        ids(at::randint(vocab, {batch, length}, at::TensorOptions().dtype(at::kLong))),
        old_log_prob(emend::statistics(logits, ids).log_prob + 0.1 * at::randn({batch, length})),
        advantage(at::randn({batch, length})) {}
  std::size_t bytes() const { return static_cast<std::size_t>(logits.numel()) * 4; }
};

/// The policy loss that everything below computes: clipped surrogate less an entropy bonus, summed.
struct ours {
  emend::tensor_column old_log_prob, advantage;
  explicit ours(const problem& p) : old_log_prob(p.old_log_prob), advantage(p.advantage) {}
  auto loss() const {
    return [ppo = emend::ppo_clip{.old_log_prob = old_log_prob, .advantage = advantage}](const auto& t) {
      return ppo(t) - 0.01 * t.entropy;
    };
  }
};
template <class F>
void with_gradient(const at::Tensor& of, F&& loss) {
  loss().backward();
  of.mutable_grad() = at::Tensor();
}

void statistics(benchmark::State& state) {
  const problem p(4, state.range(0) / 4, state.range(1));
  const at::NoGradGuard no_graph;
  best_time mine, of_trl, of_verl, read;
  for (auto _ : state) {
    read.take([&] { bench::read_probe(p.logits.const_data_ptr(), p.bytes()); });
    of_trl.take([&] { benchmark::DoNotOptimize(trl(p.logits, p.ids)); });
    of_verl.take([&] { benchmark::DoNotOptimize(verl(p.logits, p.ids)); });
    state.SetIterationTime(mine.take([&] { benchmark::DoNotOptimize(emend::statistics(p.logits, p.ids)); }));
  }
  state.counters["over_trl"] = of_trl.best() / mine.best();
  state.counters["over_verl"] = of_verl.best() / mine.best();
  state.counters["of_read"] = read.best() / mine.best();
}

void policy_loss(benchmark::State& state) {
  const problem p(4, state.range(0) / 4, state.range(1));
  const ours columns_of(p);
  const auto loss = columns_of.loss();
  const at::Tensor out = at::empty_like(p.logits);
  best_time mine, of_trl, of_verl, copy;
  for (auto _ : state) {
    copy.take([&] { bench::copy_probe(out.mutable_data_ptr(), p.logits.const_data_ptr(), p.bytes()); });
    of_trl.take([&] {
      with_gradient(p.logits, [&] { return chain_loss(trl(p.logits, p.ids), p.old_log_prob, p.advantage); });
    });
    of_verl.take([&] {
      with_gradient(p.logits, [&] { return chain_loss(verl(p.logits, p.ids), p.old_log_prob, p.advantage); });
    });
    state.SetIterationTime(
        mine.take([&] { with_gradient(p.logits, [&] { return emend::loss(loss, p.logits, p.ids); }); }));
  }
  state.counters["over_trl"] = of_trl.best() / mine.best();
  state.counters["over_verl"] = of_verl.best() / mine.best();
  state.counters["of_copy"] = copy.best() / mine.best();
}

void cross_entropy(benchmark::State& state) {
  const problem p(1, state.range(0), state.range(1));
  best_time mine, theirs;
  for (auto _ : state) {
    theirs.take([&] {
      with_gradient(p.logits,
                    [&] { return at::cross_entropy_loss(p.logits.view({-1, p.logits.size(-1)}), p.ids.view({-1})); });
    });
    state.SetIterationTime(mine.take([&] {
      with_gradient(p.logits, [&] {
        return emend::loss(emend::cross_entropy{}, p.logits, p.ids, {.normaliser = static_cast<double>(p.ids.numel())});
      });
    }));
  }
  state.counters["over_cross_entropy"] = theirs.best() / mine.best();
}

/// Peak memory of value and gradient: ours beside the gradient itself, in place, and the chain's over ours, the
/// gradient included in both.
void memory(benchmark::State& state) {
  const problem p(4, state.range(0) / 4, state.range(1));
  const ours columns_of(p);
  const auto loss = columns_of.loss();
  const double logits = static_cast<double>(p.bytes());
  const auto run = [&](bool is_in_place) {
    return peak_bytes([&] {
      with_gradient(p.logits, [&] { return emend::loss(loss, p.logits, p.ids, {.is_in_place = is_in_place}); });
    });
  };
  for (auto _ : state) {
    run(false);
    const double fresh = run(false), chain = peak_bytes([&] {
                                       with_gradient(p.logits, [&] {
                                         return chain_loss(verl(p.logits, p.ids), p.old_log_prob, p.advantage);
                                       });
                                     });
    state.counters["memory_share"] = (fresh - logits) / logits;
    state.counters["memory_over_chain"] = chain / fresh;
    state.counters["memory_share_in_place"] = run(true) / logits;
  }
}

/// hidden [N, D] times weight [V, D]: value and both gradients.
void linear_head(benchmark::State& state) {
  const std::int64_t rows = state.range(0), depth = state.range(1), vocab = state.range(2);
  const at::Tensor hidden = at::randn({4, rows / 4, depth}).requires_grad_(),
                   weight = (at::randn({vocab, depth}) * 0.05).requires_grad_();
  problem p(4, 1, 2);
  p.ids = at::randint(vocab, {4, rows / 4}, at::TensorOptions().dtype(at::kLong));
  p.old_log_prob = at::randn({4, rows / 4}) - 10;
  p.advantage = at::randn({4, rows / 4});
  const ours columns_of(p);
  const auto loss = columns_of.loss();
  const auto clear = [&] { hidden.mutable_grad() = weight.mutable_grad() = at::Tensor(); };
  const auto mine = [&] {
    emend::loss(loss, emend::linear_scores{hidden, weight}, p.ids).backward();
    clear();
  };
  const auto chain = [&](const auto& of) {
    chain_loss(of(at::matmul(hidden, weight.t()), p.ids), p.old_log_prob, p.advantage).backward();
    clear();
  };
  best_time of_mine, of_trl, of_verl, by_chain;
  const emend::device_scores states{hidden.detach()}, weights{weight.detach()};
  for (auto _ : state) {
    of_verl.take([&] { chain(verl); });
    of_trl.take([&] { chain(trl); });
    by_chain.take([&] {
      benchmark::DoNotOptimize(
          emend::evaluate(loss, emend::linear_scores{states, weights}, emend::tensor_column(p.ids)));
    });
    state.SetIterationTime(of_mine.take(mine));
  }
  const double gradients = static_cast<double>(hidden.numel() + weight.numel()) * 4;
  state.counters["over_verl"] = of_verl.best() / of_mine.best();
  state.counters["over_trl"] = of_trl.best() / of_mine.best();
  state.counters["over_own_chain"] = by_chain.best() / of_mine.best();
  const double ours_peak = peak_bytes(mine) - gradients, chain_peak = peak_bytes([&] { chain(verl); }) - gradients;
  state.counters["memory_over_chain"] = chain_peak / ours_peak;
  state.counters["megabytes"] = ours_peak / 1e6;
}

BENCHMARK(statistics)
    ->Args({1024, 32000})
    ->Args({64, 512})
    ->Iterations(7)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(policy_loss)
    ->Args({1024, 32000})
    ->Args({64, 512})
    ->Iterations(7)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(cross_entropy)
    ->Args({1024, 32000})
    ->Args({64, 512})
    ->Iterations(7)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(linear_head)->Args({1024, 768, 32000})->Iterations(4)->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK(memory)->Args({1024, 32000})->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace

int main(int argc, char** argv) {
  at::set_num_threads(1);
  bool keeps_memory = true;
  // Ours first; what is left is the benchmark library's.
  std::vector<char*> left;
  for (int i = 0; i < argc; ++i) {
    if (std::string(argv[i]) == "--processor-time")
      bench::counts_processor_time = true;
    else if (std::string(argv[i]) == "--threads" && i + 1 < argc)
      at::set_num_threads(std::atoi(argv[++i]));
    else if (std::string(argv[i]) == "--fresh-memory")
      keeps_memory = false;
    else
      left.push_back(argv[i]);
  }
  if (keeps_memory) {
    // Fresh pages for every temporary are what torch spends most of its time on by default: here the peer gets them
    // from the heap. The memory benchmark gives freed pages back before it measures.
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, 2000 << 20);
    mallopt(M_TOP_PAD, 64 << 20);
  }
  argc = static_cast<int>(left.size());
  argv = left.data();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
