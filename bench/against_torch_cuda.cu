// bench_against_torch_cuda: the kernels over tensors of a device of CUDA against the chains of operations that trainers
// write in torch, in one process and one interleaved run; every figure is a ratio, as a counter:
//   of_copy          bytes that must move (scores read, gradient written) over the time, as a share of what a copy on
//   the device moves, read and written over_trl, over_verl, over_cross_entropy, over_loop, over_chain   their time /
//   ours          over_operations   that of emend's own operations / ours memory_share     peak memory beyond scores
//   and gradient / the scores                        memory_over_chain  the chain's peak / ours
// Times are of the device, by its events, the best of several, each of some calls in a row, so that the device need not
// wait for the host; of small blocks a hundred, which the host must keep up with.

#include "torch_chains.hpp"

#include <emend/libtorch.hpp>
#include <emend/libtorch_cuda.hpp>
#include <emend/losses/cross_entropy.hpp>
#include <emend/losses/ppo_clip.hpp>

#include <benchmark/benchmark.h>

#include <ATen/ops/arange.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/cumsum.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/multinomial.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/rand_like.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/randn_like.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/topk.h>
#include <ATen/ops/zeros.h>

#include <c10/cuda/CUDACachingAllocator.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cstdio>
#include <limits>
#include <vector>

namespace {

namespace device = emend::cuda;
using bench::chain_loss, bench::trl, bench::verl;

at::TensorOptions on_device(at::ScalarType type) { return at::TensorOptions().dtype(type).device(at::kCUDA); }

/// The best of several times that the device takes for f(), in seconds.
class device_time {
 public:
  device_time() {
    cudaEventCreate(&begin_);
    cudaEventCreate(&end_);
  }
  ~device_time() {
    cudaEventDestroy(begin_);
    cudaEventDestroy(end_);
  }
  /// Of one of `calls` calls in a row: a device that has work is not kept waiting by the host.
  template <class F>
  double take(F&& f, int calls = 3) {
    const cudaStream_t stream = c10::cuda::getCurrentCUDAStream().stream();
    cudaEventRecord(begin_, stream);
    for (int i = 0; i < calls; ++i) f();
    cudaEventRecord(end_, stream);
    cudaEventSynchronize(end_);
    float milliseconds = 0;
    cudaEventElapsedTime(&milliseconds, begin_, end_);
    const double t = static_cast<double>(milliseconds) * 1e-3 / calls;
    // The first one loads kernels and finds memory.
    if (taken_++ > 0) best_ = std::min(best_, t);
    return t;
  }
  double best() const { return best_; }

 private:
  cudaEvent_t begin_, end_;
  int taken_ = 0;
  double best_ = std::numeric_limits<double>::infinity();
};

/// Peak of the device's memory that f() takes beyond what is there before, in bytes.
template <class F>
double peak_bytes(F&& f) {
  using namespace c10::cuda::CUDACachingAllocator;
  resetPeakStats(0);
  constexpr std::size_t all = 0;  // of small and large blocks together
  const auto before = getDeviceStats(0).allocated_bytes[all].current;
  f();
  return static_cast<double>(getDeviceStats(0).allocated_bytes[all].peak - before);
}

struct problem {
  at::Tensor logits, ids, old_log_prob, advantage;
  problem(std::int64_t batch, std::int64_t length, std::int64_t vocab, at::ScalarType type)
      : logits((at::randn({batch, length, vocab}, on_device(at::kFloat)) * 3).to(type).requires_grad_()),
        ids(at::randint(vocab, {batch, length}, on_device(at::kLong))),
        old_log_prob(device::statistics(logits, ids).log_prob.to(at::kFloat) +
                     0.1 * at::randn({batch, length}, on_device(at::kFloat))),
        advantage(at::randn({batch, length}, on_device(at::kFloat))) {}
  double bytes() const { return static_cast<double>(logits.numel()) * static_cast<double>(logits.element_size()); }
  device::device_policy<emend::ppo_clip> policy() const {
    return {.policy = {.old_log_prob = {}, .advantage = {}},
            .old_log_prob = device::column_of<float>(old_log_prob),
            .advantage = device::column_of<float>(advantage),
            .entropy_coefficient = 0.01};
  }
};
template <class F>
void with_gradient(const at::Tensor& of, F&& loss) {
  loss().backward();
  of.mutable_grad() = at::Tensor();
}
constexpr at::ScalarType types[] = {at::kBFloat16, at::kFloat, at::kHalf};

void copy(benchmark::State& state) {
  const at::Tensor from = at::rand({1 << 30}, on_device(at::kFloat)), to = at::empty_like(from);
  device_time t;
  for (auto _ : state) state.SetIterationTime(t.take([&] { to.copy_(from); }));
  state.counters["terabytes_per_second"] = 2 * 4 * static_cast<double>(from.numel()) / t.best() * 1e-12;
}

void statistics(benchmark::State& state) {
  const problem p(8, state.range(0) / 8, state.range(1), types[state.range(2)]);
  const at::NoGradGuard no_graph;
  const at::Tensor other = at::empty_like(p.logits);
  device_time mine, of_trl, of_verl, by_operations, copy;
  for (auto _ : state) {
    copy.take([&] { other.copy_(p.logits); }, 10);
    of_trl.take([&] { trl(p.logits, p.ids); });
    of_verl.take([&] { verl(p.logits, p.ids); });
    by_operations.take([&] { emend::statistics(p.logits, p.ids); });
    state.SetIterationTime(mine.take([&] { device::statistics(p.logits, p.ids); }, 10));
  }
  state.counters["of_copy"] = copy.best() / 2 / mine.best();
  state.counters["over_trl"] = of_trl.best() / mine.best();
  state.counters["over_verl"] = of_verl.best() / mine.best();
  state.counters["over_operations"] = by_operations.best() / mine.best();
}

void policy_loss(benchmark::State& state) {
  const problem p(8, state.range(0) / 8, state.range(1), types[state.range(2)]);
  const emend::tensor_column old_log_prob(p.old_log_prob), advantage(p.advantage);
  const auto operations = [ppo = emend::ppo_clip{.old_log_prob = old_log_prob, .advantage = advantage}](const auto& t) {
    return ppo(t) - 0.01 * t.entropy;
  };
  const auto run = [&] { with_gradient(p.logits, [&] { return device::loss(p.policy(), p.logits, p.ids); }); };
  device_time mine, in_place, of_trl, of_verl, by_operations, copy;
  at::Tensor other = at::empty_like(p.logits);
  for (auto _ : state) {
    copy.take([&] { other.copy_(p.logits); }, 10);
    of_trl.take([&] {
      with_gradient(p.logits, [&] { return chain_loss(trl(p.logits, p.ids), p.old_log_prob, p.advantage); });
    });
    of_verl.take([&] {
      with_gradient(p.logits, [&] { return chain_loss(verl(p.logits, p.ids), p.old_log_prob, p.advantage); });
    });
    by_operations.take([&] { with_gradient(p.logits, [&] { return emend::loss(operations, p.logits, p.ids); }); });
    state.SetIterationTime(mine.take(run, 10));
    // A leaf would get a copy of what lies in its own memory.
    const at::Tensor scores = other.copy_(p.logits.detach()).requires_grad_();
    in_place.take(
        [&] { torch::autograd::grad({device::loss(p.policy(), scores, p.ids, {.is_in_place = true})}, {scores}); }, 1);
    other = other.detach();
  }
  state.counters["of_copy"] = copy.best() / mine.best();
  state.counters["of_copy_in_place"] = copy.best() / in_place.best();
  state.counters["over_trl"] = of_trl.best() / mine.best();
  state.counters["over_verl"] = of_verl.best() / mine.best();
  state.counters["over_operations"] = by_operations.best() / mine.best();
  const double peak = peak_bytes(run), chain = peak_bytes([&] {
                                         with_gradient(p.logits, [&] {
                                           return chain_loss(verl(p.logits, p.ids), p.old_log_prob, p.advantage);
                                         });
                                       });
  state.counters["memory_share"] = (peak - p.bytes()) / p.bytes();
  state.counters["memory_over_chain"] = chain / peak;
}

/// The kernel of the same loss alone, without what autograd adds.
void policy_kernel(benchmark::State& state) {
  const problem p(8, state.range(0) / 8, state.range(1), types[state.range(2)]);
  const at::Tensor scores = p.logits.detach(), gradient = at::empty_like(scores),
                   values = at::empty(p.ids.sizes(), on_device(at::kDouble));
  device_time mine, in_place, copy;
  emend::detail::with_storage_of(scores.scalar_type(), [&]<class T>(T*) {
    const auto run = [&](const at::Tensor& from, const at::Tensor& to) {
      device::row_problem<T> rows = device::detail::problem_of<T>(from, p.ids, {}, 1);
      rows.gradient = static_cast<T*>(to.mutable_data_ptr());
      rows.gradient_batch_stride = to.stride(0);
      rows.gradient_token_stride = to.stride(1);
      rows.values = device::detail::written(values);
      device::detail::require_launched(
          device::launch_loss(rows, p.policy(), c10::cuda::getCurrentCUDAStream().stream()));
    };
    for (auto _ : state) {
      copy.take([&] { gradient.copy_(scores); }, 10);
      in_place.take([&] { run(gradient, gradient); }, 1);
      state.SetIterationTime(mine.take([&] { run(scores, gradient); }, 10));
    }
  });
  state.counters["of_copy"] = copy.best() / mine.best();
  state.counters["of_copy_in_place"] = copy.best() / in_place.best();
}

/// Blocks whose kernels are shorter than their launches.
void small_block(benchmark::State& state) {
  const problem p(1, state.range(0), state.range(1), at::kFloat);
  const emend::tensor_column old_log_prob(p.old_log_prob), advantage(p.advantage);
  const auto operations = [ppo = emend::ppo_clip{.old_log_prob = old_log_prob, .advantage = advantage}](const auto& t) {
    return ppo(t) - 0.01 * t.entropy;
  };
  device_time mine, of_trl, of_verl, by_operations;
  for (auto _ : state) {
    of_trl.take(
        [&] { with_gradient(p.logits, [&] { return chain_loss(trl(p.logits, p.ids), p.old_log_prob, p.advantage); }); },
        100);
    of_verl.take(
        [&] {
          with_gradient(p.logits, [&] { return chain_loss(verl(p.logits, p.ids), p.old_log_prob, p.advantage); });
        },
        100);
    by_operations.take([&] { with_gradient(p.logits, [&] { return emend::loss(operations, p.logits, p.ids); }); }, 100);
    state.SetIterationTime(
        mine.take([&] { with_gradient(p.logits, [&] { return device::loss(p.policy(), p.logits, p.ids); }); }, 100));
  }
  state.counters["over_trl"] = of_trl.best() / mine.best();
  state.counters["over_verl"] = of_verl.best() / mine.best();
  state.counters["over_operations"] = by_operations.best() / mine.best();
}

struct likelihood {
  template <class R>
  constexpr R operator()(const emend::token<R>& t) const {
    return -t.log_prob;
  }
};
void cross_entropy(benchmark::State& state) {
  const problem p(1, state.range(0), state.range(1), types[state.range(2)]);
  device_time mine, theirs;
  for (auto _ : state) {
    theirs.take([&] {
      with_gradient(p.logits,
                    [&] { return at::cross_entropy_loss(p.logits.view({-1, p.logits.size(-1)}), p.ids.view({-1})); });
    });
    state.SetIterationTime(mine.take([&] {
      with_gradient(p.logits, [&] {
        return device::loss(likelihood{}, p.logits, p.ids, {.normaliser = static_cast<double>(p.ids.numel())});
      });
    }));
  }
  state.counters["over_cross_entropy"] = theirs.best() / mine.best();
}

/// hidden [N, D] times weight [V, D]: value and both gradients; what the three products alone take, over ours.
void linear_head(benchmark::State& state) {
  const std::int64_t rows = state.range(0), depth = state.range(1), vocab = state.range(2);
  const at::Tensor hidden = at::randn({8, rows / 8, depth}, on_device(at::kBFloat16)).requires_grad_(),
                   weight =
                       (at::randn({vocab, depth}, on_device(at::kFloat)) * 0.02).to(at::kBFloat16).requires_grad_();
  const at::Tensor ids = at::randint(vocab, {8, rows / 8}, on_device(at::kLong)),
                   old = at::randn({8, rows / 8}, on_device(at::kFloat)) - 10,
                   gain = at::randn({8, rows / 8}, on_device(at::kFloat));
  const device::device_policy<emend::ppo_clip> policy{.policy = {.old_log_prob = {}, .advantage = {}},
                                                      .old_log_prob = device::column_of<float>(old),
                                                      .advantage = device::column_of<float>(gain),
                                                      .entropy_coefficient = 0.01};
  const emend::tensor_column old_log_prob(old), advantage(gain);
  const auto loss = [ppo = emend::ppo_clip{.old_log_prob = old_log_prob, .advantage = advantage}](const auto& t) {
    return ppo(t) - 0.01 * t.entropy;
  };
  const auto clear = [&] { hidden.mutable_grad() = weight.mutable_grad() = at::Tensor(); };
  const auto mine = [&] {
    device::loss(policy, emend::linear_scores{hidden, weight}, ids).backward();
    clear();
  };
  const auto operations = [&] {
    emend::loss(loss, emend::linear_scores{hidden, weight}, ids).backward();
    clear();
  };
  const auto chain = [&] {
    chain_loss(verl(at::matmul(hidden, weight.t()), ids), old, gain).backward();
    clear();
  };
  const at::Tensor states = hidden.detach().view({-1, depth}), head = weight.detach();
  const auto products = [&] {
    for (const at::Tensor& part : states.split(2048)) {
      const at::Tensor z = at::mm(part, head.t());
      at::mm(z, head);
      at::mm(z.t(), part);
    }
  };
  device_time of_mine, of_chain, by_operations, of_products;
  for (auto _ : state) {
    of_chain.take(chain, 1);
    by_operations.take(operations, 1);
    of_products.take(products, 1);
    state.SetIterationTime(of_mine.take(mine, 1));
  }
  const double gradients = static_cast<double>(hidden.numel() + weight.numel()) * 2;
  state.counters["over_verl"] = of_chain.best() / of_mine.best();
  state.counters["over_operations"] = by_operations.best() / of_mine.best();
  state.counters["of_products"] = of_products.best() / of_mine.best();
  state.counters["teraflops"] =
      6 * static_cast<double>(rows) * static_cast<double>(depth) * static_cast<double>(vocab) / of_mine.best() * 1e-12;
  state.counters["memory_over_chain"] = (peak_bytes(chain) - gradients) / (peak_bytes(mine) - gradients);
  state.counters["megabytes"] = (peak_bytes(mine) - gradients) * 1e-6;
}

/// verl's loop over tokens.
at::Tensor gae_loop(const at::Tensor& reward, const at::Tensor& value, const at::Tensor& mask, double gamma,
                    double lambda) {
  at::Tensor next = at::zeros({reward.size(0)}, reward.options()), last = next;
  std::vector<at::Tensor> reversed;
  for (std::int64_t t = reward.size(1); t-- > 0;) {
    const at::Tensor delta = reward.select(1, t) + gamma * next - value.select(1, t),
                     advantage = delta + gamma * lambda * last, counts = mask.select(1, t);
    next = value.select(1, t) * counts + (1 - counts) * next;
    last = advantage * counts + (1 - counts) * last;
    reversed.push_back(last);
  }
  std::reverse(reversed.begin(), reversed.end());
  return at::stack(reversed, 1);
}
void gae(benchmark::State& state) {
  const at::Tensor reward = at::randn({state.range(0), state.range(1)}, on_device(at::kFloat)),
                   value = at::randn_like(reward), mask = at::rand_like(reward) < 0.9, counts = mask.to(at::kFloat);
  device_time mine, loop, by_operations, copy;
  const at::Tensor block = at::empty_like(reward);
  for (auto _ : state) {
    copy.take([&] { block.copy_(reward); }, 10);
    loop.take([&] { gae_loop(reward, value, counts, 0.99, 0.95); });
    by_operations.take([&] { emend::gae(reward, value, mask, {.gamma = 0.99}); });
    state.SetIterationTime(mine.take([&] { device::gae(reward, value, mask, {}, {.gamma = 0.99}); }, 10));
  }
  state.counters["over_loop"] = loop.best() / mine.best();
  state.counters["over_operations"] = by_operations.best() / mine.best();
  // Two reads and a byte, two writes.
  state.counters["of_copy"] = copy.best() * 17 / 8 / mine.best();
}

void whiten(benchmark::State& state) {
  const at::Tensor x = at::randn({state.range(0)}, on_device(at::kFloat)), mask = at::rand_like(x) < 0.9;
  device_time mine, chain, copy;
  const at::Tensor block = at::empty_like(x);
  for (auto _ : state) {
    copy.take([&] { block.copy_(x); }, 10);
    chain.take([&] {
      const at::Tensor counts = mask.to(at::kFloat), count = counts.sum(), mean = (x * counts).sum() / count,
                       centred = x - mean;
      (centred * ((centred * centred * counts).sum() / (count - 1) + 1e-8).rsqrt()).mul(counts);
    });
    state.SetIterationTime(mine.take([&] { device::whiten(x, mask); }, 10));
  }
  state.counters["over_chain"] = chain.best() / mine.best();
  // Read twice, with the mask; written once.
  state.counters["of_copy"] = copy.best() * 14 / 8 / mine.best();
}

/// The processors of Hugging Face in turn: sort, softmax, running sum, scatter, multinomial.
at::Tensor draw_chain(at::Tensor scores, std::int64_t k, double top_p) {
  const double lowest = -std::numeric_limits<double>::infinity();
  if (k > 0) scores = scores.masked_fill(scores < std::get<0>(scores.topk(k, -1)).narrow(-1, k - 1, 1), lowest);
  if (top_p < 1) {
    const auto [sorted, order] = scores.sort(-1, false);
    at::Tensor gone = sorted.softmax(-1).cumsum(-1) <= 1 - top_p;
    gone.narrow(-1, gone.size(-1) - 1, 1).fill_(false);
    scores = scores.masked_fill(gone.scatter(-1, order, gone), lowest);
  }
  return at::multinomial(scores.softmax(-1), 1);
}
void draws(benchmark::State& state) {
  const at::Tensor scores = (at::randn({state.range(0), state.range(1)}, on_device(at::kFloat)) * 3).to(at::kBFloat16),
                   block = at::empty_like(scores);
  const std::int64_t k = state.range(2);
  const double top_p = static_cast<double>(state.range(3)) / 100;
  device_time mine, chain, copy;
  for (auto _ : state) {
    copy.take([&] { block.copy_(scores); }, 10);
    chain.take([&] { draw_chain(scores.to(at::kFloat), k, top_p); });
    state.SetIterationTime(mine.take([&] { device::sample_rows(scores, {1}, 0, {.top_k = k, .top_p = top_p}); }, 10));
  }
  state.counters["over_chain"] = chain.best() / mine.best();
  state.counters["reads"] = mine.best() / (copy.best() / 2);
}

void rewards(benchmark::State& state) {
  const problem p(8, state.range(0) / 8, state.range(1), at::kBFloat16);
  const at::Tensor mask = at::rand({8, state.range(0) / 8}, on_device(at::kFloat)) < 2,
                   other = at::empty_like(p.logits);
  const at::NoGradGuard no_graph;
  device_time mine, by_operations, copy;
  for (auto _ : state) {
    copy.take([&] { other.copy_(p.logits); }, 10);
    by_operations.take([&] { emend::extract_rewards(p.logits, p.ids, mask); });
    state.SetIterationTime(mine.take([&] { device::extract_rewards(p.logits, p.ids, mask); }, 10));
  }
  state.counters["of_copy"] = copy.best() / 2 / mine.best();
  state.counters["over_operations"] = by_operations.best() / mine.best();
}

#define EMEND_MEASURE(name) BENCHMARK(name)->Iterations(6)->UseManualTime()->Unit(benchmark::kMillisecond)
EMEND_MEASURE(copy);
EMEND_MEASURE(statistics)
    ->Args({8192, 128256, 0})
    ->Args({8192, 32000, 0})
    ->Args({8192, 50257, 0})
    ->Args({4096, 32000, 1});
EMEND_MEASURE(policy_loss)
    ->Args({8192, 128256, 0})
    ->Args({8192, 32000, 0})
    ->Args({8192, 50257, 0})
    ->Args({8192, 151936, 0})
    ->Args({4096, 128256, 1})
    ->Args({4096, 32000, 1})
    ->Args({8192, 128256, 2});
EMEND_MEASURE(policy_kernel)
    ->Args({8192, 128256, 0})
    ->Args({8192, 32000, 0})
    ->Args({8192, 50257, 0})
    ->Args({8192, 151936, 0})
    ->Args({4096, 128256, 1})
    ->Args({4096, 32000, 1})
    ->Args({8192, 128256, 2});
EMEND_MEASURE(small_block)->Args({64, 512});
EMEND_MEASURE(cross_entropy)->Args({8192, 128256, 0})->Args({4096, 32000, 1});
EMEND_MEASURE(linear_head)->Args({8192, 4096, 128256});
EMEND_MEASURE(gae)->Args({1024, 4096})->Args({128, 8192});
EMEND_MEASURE(whiten)->Arg(1 << 25);
EMEND_MEASURE(draws)
    ->Args({256, 128256, 50, 100})
    ->Args({256, 128256, 0, 95})
    ->Args({256, 128256, 50, 95})
    ->Args({256, 128256, 0, 100});
EMEND_MEASURE(rewards)->Args({4096, 128256});

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  cudaDeviceProp properties;
  if (cudaGetDeviceProperties(&properties, 0) != cudaSuccess) {
    std::fputs("bench_against_torch_cuda: no device of CUDA\n", stderr);
    return 1;
  }
  benchmark::AddCustomContext("device", properties.name);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
