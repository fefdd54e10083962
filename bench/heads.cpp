// bench_heads: the row heads against what the memory gives, against loops and expressions that a user would write, and
// each adapter against the raw kernel. Every figure is a ratio within one interleaved run, as a counter:
//   of_read      time of reading the same bytes once / ours           of_copy    time of copying them / ours
//   over_naive   time of plain std::exp loops / ours                  over_eigen time of Eigen expressions / ours
//   over_raw     ours through an adapter / the kernel called by hand for the same columns; over_sums / the kernel
//   alone, its sums not used two_threads  one thread's time / two threads'                     over_float elements a
//   second / those of float of_peak      products: multiply-adds a second / those of registers alone

#include "probes.hpp"

#include <emend/core/thread_pool.hpp>
#include <emend/eigen.hpp>
#include <emend/emend.hpp>

#include <benchmark/benchmark.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

namespace {

using emend::index;

template <class T>
index rows_for(index vocab) {
  return std::max<index>(1, static_cast<index>(bench::memory_bytes / sizeof(T)) / vocab);
}

std::vector<int> some_targets(index rows, index vocab) {
  std::vector<int> targets;
  for (index i = 0; i < rows; ++i) targets.push_back(static_cast<int>(i * 7919 % vocab));
  return targets;
}

/// log-probability, log_z and entropy as plain loops.
template <class T>
double naive_statistics(const emend::matrix<T>& x, const std::vector<int>& targets) {
  double total = 0;
  for (index i = 0; i < x.rows(); ++i) {
    const T* row = x.row(i);
    float maximum = static_cast<float>(row[0]), sum = 0, weighted = 0;
    for (index j = 1; j < x.columns(); ++j) maximum = std::max(maximum, static_cast<float>(row[j]));
    for (index j = 0; j < x.columns(); ++j) {
      const float d = static_cast<float>(row[j]) - maximum, e = std::exp(d);
      sum += e;
      weighted += e * d;
    }
    total += static_cast<float>(row[targets[static_cast<std::size_t>(i)]]) - maximum - std::log(sum) + std::log(sum) -
             weighted / sum;
  }
  return total;
}

/// The same and the gradient of -log p, as plain loops.
template <class T>
void naive_gradient(const emend::matrix<T>& x, const std::vector<int>& targets, emend::matrix<T>& out) {
  for (index i = 0; i < x.rows(); ++i) {
    const T* row = x.row(i);
    float maximum = static_cast<float>(row[0]), sum = 0;
    for (index j = 1; j < x.columns(); ++j) maximum = std::max(maximum, static_cast<float>(row[j]));
    for (index j = 0; j < x.columns(); ++j) sum += std::exp(static_cast<float>(row[j]) - maximum);
    for (index j = 0; j < x.columns(); ++j) out(i, j) = T(std::exp(static_cast<float>(row[j]) - maximum) / sum);
    out(i, targets[static_cast<std::size_t>(i)]) =
        T(static_cast<float>(out(i, targets[static_cast<std::size_t>(i)])) - 1.0f);
  }
}

using row_major = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

float eigen_statistics(const emend::matrix<float>& x) {
  float total = 0;
  for (index i = 0; i < x.rows(); ++i) {
    const Eigen::Map<const Eigen::ArrayXf> row(x.row(i), x.columns());
    const float maximum = row.maxCoeff();
    const float sum = (row - maximum).exp().sum();
    total += std::log(sum) - ((row - maximum).exp() * (row - maximum)).sum() / sum;
  }
  return total;
}

void eigen_gradient(const emend::matrix<float>& x, const std::vector<int>& targets, emend::matrix<float>& out) {
  for (index i = 0; i < x.rows(); ++i) {
    const Eigen::Map<const Eigen::ArrayXf> row(x.row(i), x.columns());
    Eigen::Map<Eigen::ArrayXf> gradient(out.row(i), x.columns());
    const float maximum = row.maxCoeff();
    const float sum = (row - maximum).exp().sum();
    gradient = (row - maximum).exp() / sum;
    gradient(targets[static_cast<std::size_t>(i)]) -= 1;
  }
}

template <class T>
void statistics(benchmark::State& state) {
  const index vocab = state.range(0), rows = rows_for<T>(vocab);
  const auto x = bench::random_scores<T>(rows, vocab);
  const auto targets = some_targets(rows, vocab);
  const std::size_t bytes = static_cast<std::size_t>(rows * vocab) * sizeof(T);
  bench::best_time ours, read, naive, eigen;
  for (auto _ : state) {
    read.take([&] { bench::read_probe(x.data(), bytes); });
    state.SetIterationTime(ours.take([&] { benchmark::DoNotOptimize(emend::statistics(x, targets)); }));
  }
  naive.take([&] { benchmark::DoNotOptimize(naive_statistics(x, targets)); });
  state.counters["of_read"] = read.best() / ours.best();
  state.counters["over_naive"] = naive.best() / ours.best();
  if constexpr (std::is_same_v<T, float>) {
    for (int i = 0; i < 2; ++i) eigen.take([&] { benchmark::DoNotOptimize(eigen_statistics(x)); });
    state.counters["over_eigen"] = eigen.best() / ours.best();
  }
}

template <class T, bool WithEntropy>
void value_and_gradient(benchmark::State& state) {
  const index vocab = state.range(0), rows = rows_for<T>(vocab);
  const auto x = bench::random_scores<T>(rows, vocab);
  emend::matrix<T> gradient(rows, vocab);
  const auto targets = some_targets(rows, vocab);
  const auto loss = [](const auto& t) {
    if constexpr (WithEntropy)
      return -t.log_prob - 0.01 * t.entropy;
    else
      return -t.log_prob;
  };
  const std::size_t bytes = static_cast<std::size_t>(rows * vocab) * sizeof(T);
  bench::best_time ours, copy, naive, eigen;
  for (auto _ : state) {
    copy.take([&] { bench::copy_probe(gradient.data(), x.data(), bytes); });
    state.SetIterationTime(
        ours.take([&] { benchmark::DoNotOptimize(emend::evaluate_into(loss, x, targets, {}, gradient)); }));
  }
  state.counters["of_copy"] = copy.best() / ours.best();
  if constexpr (!WithEntropy) {
    naive.take([&] { naive_gradient(x, targets, gradient); });
    state.counters["over_naive"] = naive.best() / ours.best();
    if constexpr (std::is_same_v<T, float>) {
      for (int i = 0; i < 2; ++i) eigen.take([&] { eigen_gradient(x, targets, gradient); });
      state.counters["over_eigen"] = eigen.best() / ours.best();
    }
  }
}

/// 16-bit scores against float: elements a second. In memory as the library's own blocks lie, and as malloc gives it,
/// in small pages as a rule.
template <class T>
void half_over_float(benchmark::State& state) {
  const index vocab = state.range(0), rows = rows_for<float>(vocab);
  const auto x = bench::random_scores<T>(rows, vocab);
  const auto y = bench::random_scores<float>(rows, vocab);
  const std::vector<T> plain_x(x.data(), x.data() + rows * vocab);
  const std::vector<float> plain_y(y.data(), y.data() + rows * vocab);
  const auto targets = some_targets(rows, vocab);
  const auto view = [&]<class S>(const S* data) { return emend::score_view<const S>{data, rows, vocab, vocab, 1}; };
  bench::best_time half, whole, plain_half, plain_whole;
  for (auto _ : state) {
    whole.take([&] { benchmark::DoNotOptimize(emend::statistics(y, targets)); });
    state.SetIterationTime(half.take([&] { benchmark::DoNotOptimize(emend::statistics(x, targets)); }));
    plain_whole.take([&] { benchmark::DoNotOptimize(emend::statistics(view(plain_y.data()), targets)); });
    plain_half.take([&] { benchmark::DoNotOptimize(emend::statistics(view(plain_x.data()), targets)); });
  }
  state.counters["over_float"] = whole.best() / half.best();
  state.counters["over_float_in_malloc"] = plain_whole.best() / plain_half.best();
}

/// A second thread, and that it changes no bit; beside it what a second thread brings to a copy and to a read, which
/// are the memory's limits.
void second_thread(benchmark::State& state) {
  const index vocab = state.range(0), rows = rows_for<float>(vocab);
  const auto x = bench::random_scores<float>(rows, vocab);
  emend::matrix<float> alone(rows, vocab), together(rows, vocab);
  const auto targets = some_targets(rows, vocab);
  emend::thread_pool pool(2);
  bench::best_time one, two, copy, two_copies, read, two_reads, statistics, two_statistics;
  const auto bytes = [&](index n) { return static_cast<std::size_t>(n * vocab) * sizeof(float); };
  const auto copy_rows = [&](index begin, index end) {
    bench::copy_probe(together.data() + begin * vocab, x.data() + begin * vocab, bytes(end - begin));
  };
  const auto read_rows = [&](index begin, index end) {
    bench::read_probe(x.data() + begin * vocab, bytes(end - begin));
  };
  bool same = true;
  for (auto _ : state) {
    copy.take([&] { copy_rows(0, rows); });
    two_copies.take([&] { pool.for_each_chunk(rows, copy_rows); });
    one.take([&] { emend::evaluate_into(emend::cross_entropy{}, x, targets, {}, alone); });
    state.SetIterationTime(
        two.take([&] { emend::evaluate_into(emend::cross_entropy{}, x, targets, {}, together, pool); }));
    read.take([&] { read_rows(0, rows); });
    two_reads.take([&] { pool.for_each_chunk(rows, read_rows); });
    emend::statistics_columns by_one, by_two;
    statistics.take([&] { by_one = emend::statistics(x, targets); });
    two_statistics.take([&] { by_two = emend::statistics(x, targets, {}, pool); });
    same = same && by_one.log_prob == by_two.log_prob && by_one.entropy == by_two.entropy;
  }
  if (!same || std::memcmp(alone.data(), together.data(), bytes(rows)) != 0)
    state.SkipWithError("two threads gave other bits than one");
  state.counters["two_threads"] = one.best() / two.best();
  state.counters["two_copies"] = copy.best() / two_copies.best();
  state.counters["two_threads_statistics"] = statistics.best() / two_statistics.best();
  state.counters["two_reads"] = read.best() / two_reads.best();
}

/// Scores through an adapter against the raw kernel on the same memory.
struct own_matrix {
  std::vector<float> values;
  index n, v;
};

}  // namespace

template <>
struct emend::backend<own_matrix> {
  static own_matrix like(const own_matrix& m) { return {std::vector<float>(m.values.size()), m.n, m.v}; }
  static void visit(const own_matrix& m, auto&& f) { f(score_view<const float>{m.values.data(), m.n, m.v, m.v, 1}); }
  static void visit(own_matrix& m, auto&& f) { f(score_view<float>{m.values.data(), m.n, m.v, m.v, 1}); }
};

namespace {

template <class X>
void abstraction(benchmark::State& state, const X& x, const float* data) {
  const index rows = 512, vocab = 32000;
  const auto targets = some_targets(rows, vocab);
  const auto& kernels = emend::detail::kernels_for<float>(emend::instruction_set::best);
  const auto sums_of = [&](index row) {
    emend::detail::row_sums<float> sums;
    kernels.rows_of[0](sums, data + row * vocab, vocab, 0, emend::detail::row_multiplier<float>(1));
    return sums;
  };
  // What somebody would write who calls the kernel himself for the same four columns.
  const auto by_hand = [&] {
    const auto size = static_cast<std::size_t>(rows);
    emend::statistics_columns result;
    for (auto* column : {&result.log_prob, &result.log_z, &result.score, &result.entropy}) column->resize(size);
    for (std::size_t i = 0; i < size; ++i) {
      const emend::detail::row_totals totals = sums_of(static_cast<index>(i)).totals();
      const double log_sum = std::log(totals.sum), ln_2 = emend::detail::ln_2;
      result.log_z[i] = totals.reference * ln_2 + log_sum;
      result.entropy[i] = log_sum - totals.weighted / totals.sum * ln_2;
      result.score[i] = data[static_cast<index>(i) * vocab + targets[i]];
      result.log_prob[i] = result.score[i] - result.log_z[i];
    }
    return result;
  };
  bench::best_time ours, raw, sums;
  for (auto _ : state) {
    sums.take([&] {
      for (index row = 0; row < rows; ++row) benchmark::DoNotOptimize(sums_of(row));
    });
    raw.take([&] { benchmark::DoNotOptimize(by_hand()); });
    state.SetIterationTime(ours.take([&] { benchmark::DoNotOptimize(emend::statistics(x, targets)); }));
  }
  const emend::statistics_columns expected = by_hand(), measured = emend::statistics(x, targets);
  for (std::size_t i = 0; i < expected.entropy.size(); ++i)
    if (std::abs(expected.entropy[i] - measured.entropy[i]) > 1e-9 ||
        std::abs(expected.log_prob[i] - measured.log_prob[i]) > 1e-9)
      return state.SkipWithError("the kernel by hand gave other statistics than the adapter");
  state.counters["over_raw"] = ours.best() / raw.best();
  state.counters["over_sums"] = ours.best() / sums.best();
}

void abstraction_own(benchmark::State& state) {
  const auto source = bench::random_scores<float>(512, 32000);
  const own_matrix x{{source.data(), source.data() + 512 * 32000}, 512, 32000};
  abstraction(state, x, x.values.data());
}
void abstraction_matrix(benchmark::State& state) {
  const auto x = bench::random_scores<float>(512, 32000);
  abstraction(state, x, x.data());
}
void abstraction_eigen(benchmark::State& state) {
  const auto source = bench::random_scores<float>(512, 32000);
  const row_major x = Eigen::Map<const row_major>(source.data(), 512, 32000);
  abstraction(state, x, x.data());
}
void abstraction_eigen_map(benchmark::State& state) {
  const auto source = bench::random_scores<float>(512, 32000);
  const Eigen::Map<const row_major> x(source.data(), 512, 32000);
  abstraction(state, x, source.data());
}

/// The three products of a linear head over as many rows as it takes at a time: scores, and the gradients of hidden
/// states and weight.
template <emend::instruction_set Set>
void products(benchmark::State& state) {
  const index rows = 384, depth = 768, vocab = 32000;
  const auto hidden = bench::random_scores<float>(rows, depth), weight = bench::random_scores<float>(vocab, depth);
  emend::matrix<float> scores(rows, vocab), d_hidden(rows, depth), d_weight(vocab, depth);
  const auto multiply = emend::detail::multiply_add_for<float>(Set);
  std::vector<float> buffer;
  bench::best_time peak, of_scores, of_hidden, of_weight;
  double pairs = 0;
  for (auto _ : state) {
    peak.take([&] { pairs = bench::multiply_add_probe(); });
    state.SetIterationTime(of_scores.take([&] {
      multiply(hidden.data(), depth, 1, weight.data(), 1, depth, scores.data(), vocab, false, rows, vocab, depth,
               buffer);
    }));
    of_hidden.take([&] {
      multiply(scores.data(), vocab, 1, weight.data(), depth, 1, d_hidden.data(), depth, false, rows, depth, vocab,
               buffer);
    });
    of_weight.take([&] {
      multiply(scores.data(), 1, vocab, hidden.data(), depth, 1, d_weight.data(), depth, false, vocab, depth, rows,
               buffer);
    });
  }
  const double each = static_cast<double>(rows) * static_cast<double>(depth) * static_cast<double>(vocab),
               rate = pairs / peak.best();
  if (rate == 0) return state.SkipWithError("no probe for this processor");
  state.counters["scores_of_peak"] = each / of_scores.best() / rate;
  state.counters["d_hidden_of_peak"] = each / of_hidden.best() / rate;
  state.counters["d_weight_of_peak"] = each / of_weight.best() / rate;
}

/// Eigen's default order, tokens contiguous.
void column_major(benchmark::State& state) {
  const index vocab = state.range(0), rows = rows_for<float>(vocab);
  const auto source = bench::random_scores<float>(rows, vocab);
  const Eigen::MatrixXf x = Eigen::Map<const row_major>(source.data(), rows, vocab);
  Eigen::MatrixXf gradient(rows, vocab);
  const auto targets = some_targets(rows, vocab);
  const std::size_t bytes = static_cast<std::size_t>(rows * vocab) * sizeof(float);
  bench::best_time ours, read, both, copy;
  for (auto _ : state) {
    read.take([&] { bench::read_probe(x.data(), bytes); });
    copy.take([&] { bench::copy_probe(gradient.data(), x.data(), bytes); });
    both.take([&] { emend::evaluate_into(emend::cross_entropy{}, x, targets, {}, gradient); });
    state.SetIterationTime(ours.take([&] { benchmark::DoNotOptimize(emend::statistics(x, targets)); }));
  }
  state.counters["of_read"] = read.best() / ours.best();
  state.counters["of_copy"] = copy.best() / both.best();
}

constexpr int repeats = 15;

#define ROWS(f) \
  BENCHMARK(f)->Arg(32000)->Arg(128256)->Arg(4096)->Iterations(repeats)->UseManualTime()->Unit(benchmark::kMillisecond)

ROWS(statistics<float>);
ROWS(statistics<double>);
ROWS(statistics<emend::bfloat16>);
ROWS(statistics<emend::float16>);
ROWS((value_and_gradient<float, false>));
ROWS((value_and_gradient<float, true>));
ROWS((value_and_gradient<double, false>));
ROWS((value_and_gradient<emend::bfloat16, false>));
ROWS((value_and_gradient<emend::float16, false>));
ROWS(half_over_float<emend::bfloat16>);
ROWS(half_over_float<emend::float16>);
ROWS(second_thread);
ROWS(column_major);
BENCHMARK(products<emend::instruction_set::best>)->Iterations(repeats)->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK(products<emend::instruction_set::avx2>)->Iterations(repeats)->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK(abstraction_matrix)->Iterations(4 * repeats)->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK(abstraction_own)->Iterations(4 * repeats)->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK(abstraction_eigen)->Iterations(4 * repeats)->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK(abstraction_eigen_map)->Iterations(4 * repeats)->UseManualTime()->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
