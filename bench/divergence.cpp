// bench_divergence: exact divergences of two score blocks against what the memory gives and against loops that a user
// would write. Every figure is a ratio within one interleaved run, as a counter:
//   of_read      time of reading both blocks once / ours
//   of_traffic   time of reading one block and copying the other / ours: what value and gradient move
//   over_naive   time of plain std::exp loops / ours              two_threads  one thread's time / two threads'

#include "probes.hpp"

#include <emend/core/thread_pool.hpp>
#include <emend/distillation/divergence.hpp>

#include <benchmark/benchmark.h>

#include <cmath>
#include <vector>

namespace {

using emend::divergence_kind;
using emend::index;

template <class T>
index rows_for(index vocab) {
  return std::max<index>(1, static_cast<index>(bench::memory_bytes / sizeof(T)) / vocab);
}

/// Student and teacher: scores of one model and another that is near it.
template <class T>
struct block_pair {
  emend::matrix<T> student, teacher, gradient;
  explicit block_pair(index vocab)
      : student(bench::random_scores<T>(rows_for<T>(vocab), vocab)),
        teacher(student.rows(), vocab),
        gradient(student.rows(), vocab) {
    std::uint32_t state = 7;
    for (index i = 0; i < student.rows() * vocab; ++i) {
      state = state * 1664525u + 1013904223u;
      const float noise = static_cast<float>(state >> 8) / 16777216.0f - 0.5f;
      teacher.data()[i] = T(static_cast<float>(student.data()[i]) + noise);
    }
  }
  std::size_t bytes() const { return static_cast<std::size_t>(student.rows() * student.columns()) * sizeof(T); }
};

/// KL(student || teacher), and its gradient, as plain loops.
template <class T>
double naive_reverse(const block_pair<T>& pair, emend::matrix<T>* gradient) {
  double total = 0;
  for (index i = 0; i < pair.student.rows(); ++i) {
    const T *x = pair.student.row(i), *y = pair.teacher.row(i);
    const index vocab = pair.student.columns();
    float student_maximum = static_cast<float>(x[0]), teacher_maximum = static_cast<float>(y[0]);
    for (index j = 1; j < vocab; ++j) {
      student_maximum = std::max(student_maximum, static_cast<float>(x[j]));
      teacher_maximum = std::max(teacher_maximum, static_cast<float>(y[j]));
    }
    float student_sum = 0, teacher_sum = 0;
    for (index j = 0; j < vocab; ++j) {
      student_sum += std::exp(static_cast<float>(x[j]) - student_maximum);
      teacher_sum += std::exp(static_cast<float>(y[j]) - teacher_maximum);
    }
    const float student_log_z = student_maximum + std::log(student_sum),
                teacher_log_z = teacher_maximum + std::log(teacher_sum);
    float divergence = 0;
    for (index j = 0; j < vocab; ++j) {
      const float log_p = static_cast<float>(x[j]) - student_log_z;
      divergence += std::exp(log_p) * (log_p - (static_cast<float>(y[j]) - teacher_log_z));
    }
    total += divergence;
    if (!gradient) continue;
    for (index j = 0; j < vocab; ++j) {
      const float log_p = static_cast<float>(x[j]) - student_log_z;
      (*gradient)(i, j) = T(std::exp(log_p) * (log_p - (static_cast<float>(y[j]) - teacher_log_z) - divergence));
    }
  }
  return total;
}

template <class T, divergence_kind Kind>
void value(benchmark::State& state) {
  const block_pair<T> pair(state.range(0));
  bench::best_time ours, read, naive;
  for (auto _ : state) {
    read.take([&] {
      bench::read_probe(pair.student.data(), pair.bytes());
      bench::read_probe(pair.teacher.data(), pair.bytes());
    });
    state.SetIterationTime(
        ours.take([&] { benchmark::DoNotOptimize(emend::divergence_value(Kind, pair.student, pair.teacher)); }));
  }
  if (Kind == divergence_kind::reverse_kl) {
    naive.take([&] { benchmark::DoNotOptimize(naive_reverse<T>(pair, nullptr)); });
    state.counters["over_naive"] = naive.best() / ours.best();
  }
  state.counters["of_read"] = read.best() / ours.best();
}

template <class T, divergence_kind Kind>
void value_and_gradient(benchmark::State& state) {
  block_pair<T> pair(state.range(0));
  bench::best_time ours, read, traffic, naive;
  for (auto _ : state) {
    read.take([&] {
      bench::read_probe(pair.student.data(), pair.bytes());
      bench::read_probe(pair.teacher.data(), pair.bytes());
    });
    traffic.take([&] {
      bench::read_probe(pair.teacher.data(), pair.bytes());
      bench::copy_probe(pair.gradient.data(), pair.student.data(), pair.bytes());
    });
    state.SetIterationTime(
        ours.take([&] { emend::divergence_into(Kind, pair.student, pair.teacher, {}, pair.gradient); }));
  }
  if (Kind == divergence_kind::reverse_kl) {
    naive.take([&] { benchmark::DoNotOptimize(naive_reverse<T>(pair, &pair.gradient)); });
    state.counters["over_naive"] = naive.best() / ours.best();
  }
  state.counters["of_read"] = read.best() / ours.best();
  state.counters["of_traffic"] = traffic.best() / ours.best();
}

void second_thread(benchmark::State& state) {
  block_pair<float> pair(state.range(0));
  emend::thread_pool pool(2);
  bench::best_time one, two;
  for (auto _ : state) {
    one.take(
        [&] { emend::divergence_into(divergence_kind::reverse_kl, pair.student, pair.teacher, {}, pair.gradient); });
    state.SetIterationTime(two.take([&] {
      emend::divergence_into(divergence_kind::reverse_kl, pair.student, pair.teacher, {}, pair.gradient, pool);
    }));
  }
  state.counters["two_threads"] = one.best() / two.best();
}

constexpr int repeats = 15;

#define ROWS(f) \
  BENCHMARK(f)->Arg(32000)->Arg(128256)->Iterations(repeats)->UseManualTime()->Unit(benchmark::kMillisecond)

ROWS((value<float, divergence_kind::forward_kl>));
ROWS((value<float, divergence_kind::reverse_kl>));
ROWS((value<float, divergence_kind::jensen_shannon>));
ROWS((value<emend::bfloat16, divergence_kind::reverse_kl>));
ROWS((value_and_gradient<float, divergence_kind::forward_kl>));
ROWS((value_and_gradient<float, divergence_kind::reverse_kl>));
ROWS((value_and_gradient<float, divergence_kind::jensen_shannon>));
ROWS((value_and_gradient<emend::bfloat16, divergence_kind::reverse_kl>));
ROWS(second_thread);

}  // namespace

BENCHMARK_MAIN();
