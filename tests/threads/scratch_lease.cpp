// What threads keep between calls: within its documented bound, and given back when asked.
#include <emend/core/scratch_lease.hpp>
#include <emend/core/thread_pool.hpp>
#include <emend/core/matrix.hpp>
#include <emend/distillation/divergence.hpp>
#include <emend/evaluation/evaluate.hpp>
#include <emend/losses/cross_entropy.hpp>
#include <emend/sampling/sampler.hpp>
#include <emend/structure/edit_distance.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>

#include "instruction_sets.hpp"

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#if !defined(__has_feature)
#define EMEND_TEST_COUNTS_MEMORY 1
#elif !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)
#define EMEND_TEST_COUNTS_MEMORY 1
#endif
#endif

#if defined(EMEND_TEST_COUNTS_MEMORY)
#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {
std::atomic<long> live_bytes = 0;
void* counted(void* memory) {
  if (memory == nullptr) throw std::bad_alloc();
  live_bytes += static_cast<long>(malloc_usable_size(memory));
  return memory;
}
void uncount(void* memory) {
  if (memory != nullptr) live_bytes -= static_cast<long>(malloc_usable_size(memory));
  std::free(memory);
}
}  // namespace

void* operator new(std::size_t size) { return counted(std::malloc(size)); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  const auto unit = static_cast<std::size_t>(alignment);
  return counted(std::aligned_alloc(unit, (size + unit - 1) / unit * unit));
}
void operator delete(void* memory) noexcept { uncount(memory); }
void operator delete(void* memory, std::size_t) noexcept { uncount(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { uncount(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { uncount(memory); }

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

template <class T>
matrix<T> scores(index rows, index vocab) {
  matrix<T> x(rows, vocab);
  for (index i = 0; i < rows; ++i)
    for (index j = 0; j < vocab; ++j)
      x(i, j) = T(static_cast<arithmetic<T>>(static_cast<double>((i * 37 + j * 101) % 97) * 0.03 - 1));
  return x;
}

/// The bytes that `work` leaves with the threads of the process.
template <class F>
long kept_by(const F& work) {
  release_scratch();
  const long before = live_bytes;
  work();
  return live_bytes - before;
}

template <class T>
void check_bounds(int threads) {
  constexpr index rows = 64, vocab = 20000, s = sizeof(arithmetic<T>);
  const matrix<T> x = scores<T>(rows, vocab), y = scores<T>(rows, vocab);
  const std::vector<int> targets(rows, 3);
  matrix<T> gradient(rows, vocab);
  std::vector<double> entropy;
  thread_pool pool(threads);
  const long rows_bound = (2 * vocab + 12288) * s, evaluation_bound = 200 * rows;

  const long of_rows = kept_by([&] { evaluate_into(cross_entropy{}, x, targets, {}, gradient, pool); });
  CHECK(of_rows > 0);
  CHECK(of_rows <= 2 * (evaluation_bound + threads * rows_bound));

  const long of_divergence =
      kept_by([&] { divergence_into(divergence_kind::jensen_shannon, x, y, {}, gradient, pool); });
  CHECK(of_divergence > 0);
  CHECK(of_divergence <= 2 * (8 * rows + threads * 51 * (vocab + 64) * s));

  const long of_sampling = kept_by([&] {
    sample_rows(x, sampler{temperature_scaling{0.9}, top_k_filter{50}, top_p_filter{0.95}}, counter_random{1}, 0, {},
                pool);
    sample_rows(x, sampler{typical_filter{0.9}}, counter_random{1}, 1, {}, pool);
  });
  CHECK(of_sampling > 0);
  CHECK(of_sampling <= 2 * threads * 64 * vocab);

  const matrix<T> hidden = scores<T>(rows, 16), weight = scores<T>(vocab, 16);
  const long of_products =
      kept_by([&] { evaluate_value(cross_entropy{}, linear_scores{hidden, weight}, targets, {}, pool); });
  CHECK(of_products > 0);
  CHECK(of_products <= 2 * (evaluation_bound + threads * (rows_bound + (2 << 20))));

  release_scratch();
}

TEST_CASE("what threads keep is within its bound") {
  for (const instruction_set set : supported_instruction_sets()) {
    CAPTURE(static_cast<int>(set));
    const pinned_instruction_set pinned(set);
    check_bounds<float>(1);
    check_bounds<float>(3);
    check_bounds<double>(2);
    check_bounds<bfloat16>(2);
  }
  std::vector<int> source, target;
  for (int i = 0; i < 3000; ++i) {
    source.push_back(i * 7 % 501);
    target.push_back(i * 11 % 601);
  }
  const long of_distance = kept_by([&] { CHECK(levenshtein_distance(source, target) > 0); });
  CHECK(of_distance > 0);
  CHECK(of_distance <= 2 * (64 * 6000 + 501 * (3000 / 8 + 64)));
}

TEST_CASE("release_scratch gives back what every thread keeps, and nothing that is in use") {
  constexpr index rows = 64, vocab = 20000;
  const matrix<float> x = scores<float>(rows, vocab);
  const std::vector<int> targets(rows, 3);
  const auto expected = evaluate(cross_entropy{}, x, targets);
  thread_pool pool(3);
  release_scratch();
  matrix<float> gradient(rows, vocab);
  const long before = live_bytes;
  evaluate_into(cross_entropy{}, x, targets, {}, gradient, pool);
  CHECK(live_bytes - before > vocab * 4);
  // Each thread keeps a few pointers' worth of bookkeeping, no rows.
  release_scratch();
  CHECK(live_bytes - before < 1024);

  // A loss that releases in the middle of its own evaluation, on every thread.
  const auto releasing = [](const auto& t) {
    release_scratch();
    return -t.log_prob;
  };
  for (int again = 0; again < 3; ++again) {
    const auto got = evaluate(releasing, x, targets, {}, pool);
    CHECK(got.value == expected.value);
    CHECK(std::memcmp(got.gradient.data(), expected.gradient.data(), sizeof(float) * rows * vocab) == 0);
  }
}

TEST_CASE("a forked child evaluates and releases, whatever the other threads were at") {
  constexpr index rows = 8, vocab = 2000;
  const matrix<float> x = scores<float>(rows, vocab);
  const std::vector<int> targets(rows, 3);
  thread_pool pool(4);
  const double expected = evaluate(cross_entropy{}, x, targets, {}, pool).value;
  for (int again = 0; again < 5; ++again) {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      alarm(60);
      release_scratch();
      thread_pool own(3);
      bool is_right = evaluate(cross_entropy{}, x, targets, {}, own).value == expected;
      release_scratch();
      is_right &= evaluate(cross_entropy{}, x, targets, {}, own).value == expected;
      _exit(is_right ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
  }
}

TEST_CASE("a thread that ends takes what it keeps along") {
  constexpr index rows = 8, vocab = 20000;
  const matrix<float> x = scores<float>(rows, vocab);
  const std::vector<int> targets(rows, 3);
  release_scratch();
  const long before = live_bytes;
  std::thread([&] { evaluate(cross_entropy{}, x, targets); }).join();
  CHECK(live_bytes - before < 1024);
  release_scratch();
}

}  // namespace
#endif
