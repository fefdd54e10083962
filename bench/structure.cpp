// bench_structure: the scans over tokens, and what a step of PPO costs beside its model. Every figure is a ratio within
// one interleaved run, as a counter; times are of one thread:
//   of_read        time of reading the inputs once / ours       ns_per_token   ours
//   over_torch     time of the chain of torch operations / ours    over_torch_loop   of a loop of them over time / ours
//   share_outside  part of an update that is neither the model's nor the heads'
// The comparisons with torch are there where the build found it (see README.md).

#include "probes.hpp"

#include <emend/emend.hpp>

#include <benchmark/benchmark.h>

#ifdef EMEND_BENCH_TORCH
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif
#endif

#include <algorithm>
#include <cmath>
#include <ctime>
#include <vector>

namespace {

using emend::index;

constexpr int repeats = 15;

/// Values and masks as responses have them: of any length up to the whole row, a tool's answer in every fourth.
struct token_data {
  index rows, length;
  std::vector<float> reward, value;
  std::vector<unsigned char> mask;

  token_data(index b, index t) : rows(b), length(t), mask(static_cast<std::size_t>(b * t), 0) {
    const emend::counter_random random{1};
    for (index i = 0; i < b * t; ++i) {
      reward.push_back(static_cast<float>(random.uniform(0, static_cast<std::uint64_t>(i)) - 0.5));
      value.push_back(static_cast<float>(random.uniform(1, static_cast<std::uint64_t>(i)) - 0.5));
    }
    for (index row = 0; row < b; ++row) {
      const auto of_row = static_cast<std::uint64_t>(row);
      const index end = t / 2 + random.below(t / 2 + 1, 2, of_row), hole = random.below(t / 4, 3, of_row);
      for (index i = 0; i < end; ++i)
        mask[static_cast<std::size_t>(row * t + i)] = row % 4 != 0 || i < hole || i >= hole + t / 8;
    }
  }
  std::size_t size() const { return reward.size(); }
  emend::padded layout() const { return {rows, length, mask}; }
};

#ifdef EMEND_BENCH_TORCH
at::Tensor tensor_of(const std::vector<float>& values, const token_data& data) {
  return at::from_blob(const_cast<float*>(values.data()), {data.rows, data.length}, at::kFloat).clone();
}
at::Tensor mask_tensor(const token_data& data) {
  return at::from_blob(const_cast<unsigned char*>(data.mask.data()), {data.rows, data.length}, at::kByte)
      .to(at::kFloat);
}

/// The recursion as verl writes it: masked tokens carry over (core_algos.py, compute_gae_advantage_return).
std::pair<at::Tensor, at::Tensor> torch_gae(const at::Tensor& reward, const at::Tensor& value, const at::Tensor& mask,
                                            double gamma, double lambda) {
  at::Tensor next_value = at::zeros({reward.size(0)}), carried = at::zeros({reward.size(0)});
  std::vector<at::Tensor> reversed;
  for (int64_t t = reward.size(1) - 1; t >= 0; --t) {
    const at::Tensor r = reward.select(1, t), v = value.select(1, t), m = mask.select(1, t);
    const at::Tensor delta = r + gamma * next_value - v;
    const at::Tensor found = delta + gamma * lambda * carried;
    next_value = v * m + (1 - m) * next_value;
    carried = found * m + (1 - m) * carried;
    reversed.push_back(carried);
  }
  std::reverse(reversed.begin(), reversed.end());
  const at::Tensor advantage = at::stack(reversed, 1);
  return {advantage, advantage + value};
}

/// Masked whitening as TRL and verl write it: mean and variance for themselves, and each by sums of whole tensors.
at::Tensor masked_mean(const at::Tensor& x, const at::Tensor& mask) { return (x * mask).sum() / mask.sum(); }
at::Tensor torch_whiten(const at::Tensor& x, const at::Tensor& mask) {
  const at::Tensor mean = masked_mean(x, mask), centred = x - masked_mean(x, mask), count = mask.sum();
  const at::Tensor variance = masked_mean(centred.square(), mask) * count / (count - 1);
  return (x - mean) * at::rsqrt(variance + 1e-8) * mask;
}

template <class F>
double processor_seconds(F&& f) {
  const std::clock_t start = std::clock();
  f();
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

/// Fails the benchmark unless both found the same on the counted tokens.
void compare(benchmark::State& state, const at::Tensor& theirs, const std::vector<float>& ours,
             const token_data& data) {
  const float* const x = theirs.data_ptr<float>();
  for (std::size_t i = 0; i < ours.size(); ++i)
    if (data.mask[i] != 0 && !(std::abs(x[i] - ours[i]) <= 1e-3f))
      return state.SkipWithError("torch found something else");
}
#endif

void gae(benchmark::State& state) {
  const token_data data(64, 2048);
  const emend::padded layout = data.layout();
  const emend::gae_options options{.gamma = 0.99};
  std::vector<float> advantage(data.size()), returns(data.size());
  bench::best_time ours, read;
  const auto run = [&] { emend::gae_into(data.reward, data.value, layout, options, advantage, returns); };
#ifdef EMEND_BENCH_TORCH
  at::set_num_threads(1);
  const c10::NoGradGuard no_gradient;
  const at::Tensor r = tensor_of(data.reward, data), v = tensor_of(data.value, data), m = mask_tensor(data);
  // The loop runs long enough for others to come in between: both by the processor's time.
  double torch_time = 1e9, our_time = 1e9;
  for (int i = 0; i < 5; ++i) {
    torch_time = std::min(torch_time, processor_seconds([&] {
                            benchmark::DoNotOptimize(torch_gae(r, v, m, options.gamma, options.lambda));
                          }));
    our_time = std::min(our_time, processor_seconds([&] {
                                    for (int k = 0; k < 10; ++k) run();
                                  }) / 10);
  }
#endif
  for (auto _ : state) {
    read.take([&] {
      bench::read_probe(data.reward.data(), data.size() * sizeof(float));
      bench::read_probe(data.value.data(), data.size() * sizeof(float));
      bench::read_probe(data.mask.data(), data.size());
    });
    state.SetIterationTime(ours.take(run));
  }
  state.counters["ns_per_token"] = ours.best() * 1e9 / static_cast<double>(data.size());
  state.counters["of_read"] = read.best() / ours.best();
#ifdef EMEND_BENCH_TORCH
  state.counters["over_torch_loop"] = torch_time / our_time;
  compare(state, torch_gae(r, v, m, options.gamma, options.lambda).first, advantage, data);
#endif
}

void whitening(benchmark::State& state) {
  const token_data data(512, 1024);
  const emend::padded layout = data.layout();
  std::vector<float> out(data.size());
  bench::best_time ours, read;
#ifdef EMEND_BENCH_TORCH
  at::set_num_threads(1);
  const c10::NoGradGuard no_gradient;
  const at::Tensor x = tensor_of(data.reward, data), m = mask_tensor(data);
  bench::best_time torch;
#endif
  for (auto _ : state) {
    read.take([&] {
      bench::read_probe(data.reward.data(), data.size() * sizeof(float));
      bench::read_probe(data.mask.data(), data.size());
    });
#ifdef EMEND_BENCH_TORCH
    torch.take([&] { benchmark::DoNotOptimize(torch_whiten(x, m)); });
#endif
    state.SetIterationTime(ours.take([&] { emend::whiten_into(data.reward, layout, {}, out); }));
  }
  state.counters["ns_per_token"] = ours.best() * 1e9 / static_cast<double>(data.size());
  state.counters["of_read"] = read.best() / ours.best();
#ifdef EMEND_BENCH_TORCH
  state.counters["over_torch"] = torch.best() / ours.best();
  compare(state, torch_whiten(x, m), out, data);
#endif
}

/// A policy whose scores of any minibatch stand there already: an update of it is what the library does, and no more.
template <class X, class G>
struct ready_policy {
  X scores;
  G& gradient;
  std::vector<index> tokens;

  ready_policy(const X& x, G& g, index minibatch_tokens) : scores(x), gradient(g) {
    for (index t = 0; t < minibatch_tokens; ++t) tokens.push_back(t);
  }
  template <class F>
  void score(const emend::token_batch&, F&& f) {
    f(scores, tokens);
  }
  template <class F>
  void differentiate(const emend::token_batch&, F&& f) {
    f(scores, tokens, gradient);
  }
  void step() {}
};

/// One epoch of PPO over 32 responses of 256 tokens in four steps. What lies outside the heads does not depend on the
/// vocabulary: with one of 8 it is the better part of an update, and the difference to the heads alone can be timed.
///   share_outside        of an update whose scores come from hidden states of 256 and a vocabulary of 4096, both
///   directions share_without_model  of an update whose scores of that vocabulary are there already
void ppo_update(benchmark::State& state) {
  constexpr index sequences = 32, length = 256, minibatch = 8, rows = minibatch * length, vocab = 4096, depth = 256;
  emend::rollout r;
  for (index b = 0; b < sequences; ++b) {
    const std::vector<index> prompt(64, 1), response(static_cast<std::size_t>(length), b % 8);
    r.batch.add(prompt, response);
  }
  r.old_log_prob.assign(static_cast<std::size_t>(r.batch.tokens()), -2);
  r.reference_log_prob = r.old_log_prob;
  for (index t = 0; t < r.batch.tokens(); ++t) r.advantage.push_back(t % 3 == 0 ? 1 : -0.5);
  const auto objective = [](const emend::token_columns& c) {
    return emend::policy_objective<emend::ppo_clip>{
        .policy = {.old_log_prob = c.old_log_prob, .advantage = c.advantage},
        .weight = c.weight,
        .kl = {.reference_log_prob = c.reference_log_prob, .coefficient = 0.1},
        .entropy_coefficient = 0.01};
  };
  const emend::update_options options{.minibatch = minibatch};
  const auto update = [&](auto& policy) {
    benchmark::DoNotOptimize(emend::update_policy(policy, r, objective, options));
  };

  const auto narrow = bench::random_scores<float>(rows, 8), wide = bench::random_scores<float>(rows, vocab);
  emend::matrix<float> narrow_gradient(rows, 8), wide_gradient(rows, vocab);
  ready_policy<const emend::matrix<float>&, emend::matrix<float>> narrow_policy(narrow, narrow_gradient, rows),
      wide_policy(wide, wide_gradient, rows);
  const auto hidden = bench::random_scores<float>(rows, depth), weight = bench::random_scores<float>(vocab, depth);
  const emend::linear_scores linear{hidden, weight};
  auto linear_gradient = emend::backend<std::remove_const_t<decltype(linear)>>::like(linear);
  ready_policy<std::remove_const_t<decltype(linear)>, decltype(linear_gradient)> linear_policy(linear, linear_gradient,
                                                                                               rows);

  const std::vector<double> column(static_cast<std::size_t>(rows), -2),
      weights(static_cast<std::size_t>(rows), 1.0 / rows);
  const std::vector<index> targets(static_cast<std::size_t>(rows), 1);
  const auto loss = objective({column, column, column, weights, targets});
  bench::best_time with_heads, heads, without_model, whole;
  for (auto _ : state) {
    for (int i = 0; i < 10; ++i) {
      heads.take([&] {
        for (index k = 0; k < sequences / minibatch; ++k)
          benchmark::DoNotOptimize(emend::evaluate_into(loss, narrow, targets, {}, narrow_gradient));
      });
      with_heads.take([&] { update(narrow_policy); });
    }
    without_model.take([&] { update(wide_policy); });
    state.SetIterationTime(whole.take([&] { update(linear_policy); }));
  }
  const double outside = with_heads.best() - heads.best();
  state.counters["outside_ns_per_token"] = outside * 1e9 / static_cast<double>(r.batch.tokens());
  state.counters["share_without_model"] = outside / without_model.best();
  state.counters["share_outside"] = outside / whole.best();
}

BENCHMARK(gae)->Iterations(10 * repeats)->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK(whitening)->Iterations(10 * repeats)->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK(ppo_update)->Iterations(3)->UseManualTime()->Unit(benchmark::kMillisecond);

}  // namespace

int main(int argc, char** argv) {
#if defined(EMEND_BENCH_TORCH) && defined(__GLIBC__)
  // Torch's temporaries stay mapped: its arithmetic is compared, not the page faults of an untuned allocator.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
#endif
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
