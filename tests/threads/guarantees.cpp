// What include/emend/GUARANTEES.md says of exceptions and of forked processes.
#include <emend/core/matrix.hpp>
#include <emend/core/thread_pool.hpp>
#include <emend/evaluation/evaluate.hpp>
#include <emend/losses/cross_entropy.hpp>

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using emend::index;  // not the one of <strings.h>
using emend::matrix;
using emend::thread_pool;

matrix<float> scores(index rows, index vocab) {
  matrix<float> x(rows, vocab);
  for (index i = 0; i < rows; ++i)
    for (index j = 0; j < vocab; ++j) x(i, j) = static_cast<float>((i * 37 + j * 101) % 97) * 0.05f;
  return x;
}
bool is_same(const matrix<float>& a, const matrix<float>& b) {
  return std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.rows() * a.columns()) * sizeof(float)) == 0;
}

/// Cross-entropy that throws at some tokens.
struct throwing {
  template <class R>
  R operator()(const emend::token<R>& t) const {
    if (t.position >= 40 && t.position % 7 == 3) throw std::runtime_error("token " + std::to_string(t.position));
    return -t.log_prob;
  }
};

TEST_CASE(
    "the exception of the lowest token arrives, with any number of threads; inputs stay, the next call is right") {
  const index rows = 200, vocab = 300;
  const matrix<float> x = scores(rows, vocab), before = x;
  const std::vector<int> targets(static_cast<std::size_t>(rows), 7);
  const auto plain = emend::evaluate(emend::cross_entropy{}, x, targets);
  for (const int threads : {1, 2, 3, 5}) {
    CAPTURE(threads);
    thread_pool pool(threads);
    std::vector<double> per_token{1, 2, 3};
    matrix<float> into(rows, vocab);
    for (int again = 0; again < 10; ++again) {
      CHECK_THROWS_WITH_AS(emend::evaluate(throwing{}, x, targets, {}, pool), "token 45", std::runtime_error);
      CHECK_THROWS_WITH_AS(emend::evaluate_into(throwing{}, x, targets, {.per_token = &per_token}, into, pool),
                           "token 45", std::runtime_error);
      CHECK(is_same(x, before));
      const auto next = emend::evaluate(emend::cross_entropy{}, x, targets, {}, pool);
      CHECK(next.value == plain.value);
      CHECK(is_same(next.gradient, plain.gradient));
    }
  }
}

TEST_CASE("a forked process gets the same bits: without a pool, over its parent's, over one of its own") {
#if defined(__SANITIZE_THREAD__)
  MESSAGE("skipped: ThreadSanitizer ends a forked process that starts threads");
#else
  const matrix<float> x = scores(120, 500);
  const std::vector<int> targets(120, 7);
  auto pool = std::make_unique<thread_pool>(3);
  const auto expected = emend::evaluate(emend::cross_entropy{}, x, targets, {}, *pool);
  const auto differs = [&](const auto& got) {
    return got.value != expected.value || !is_same(got.gradient, expected.gradient);
  };
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    int result = differs(emend::evaluate(emend::cross_entropy{}, x, targets)) ? 1 : 0;
    result += differs(emend::evaluate(emend::cross_entropy{}, x, targets, {}, *pool)) ? 2 : 0;
    pool.reset();
    {
      thread_pool own(3);
      result += own.threads() == 3 ? 0 : 4;
      for (int again = 0; again < 5; ++again)
        result += differs(emend::evaluate(emend::cross_entropy{}, x, targets, {}, own)) ? 8 : 0;
    }
    _exit(result);
  }
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK_FALSE(differs(emend::evaluate(emend::cross_entropy{}, x, targets, {}, *pool)));
#endif
}

}  // namespace
