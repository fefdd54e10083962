// Gradients that are written past the caches: rows whose ends do not fall on a cache line.
#include <emend/core/matrix.hpp>
#include <emend/core/random.hpp>
#include <emend/evaluation/evaluate.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

/// Largest difference between the gradients of an instruction set and of the portable kernels.
template <class T>
double largest_difference(index rows, index vocab, bool is_masked) {
  const counter_random random{static_cast<std::uint64_t>(vocab)};
  const index size = rows * vocab;
  std::vector<T> scores(static_cast<std::size_t>(size));
  for (index i = 0; i < size; ++i)
    scores[static_cast<std::size_t>(i)] = static_cast<T>(4 * random.uniform(1, static_cast<std::uint64_t>(i)));
  const matrix<T> x(rows, vocab, scores);
  std::vector<index> ids(static_cast<std::size_t>(rows));
  std::vector<char> mask(ids.size());
  for (index i = 0; i < rows; ++i) {
    ids[static_cast<std::size_t>(i)] = random.below(vocab, 2, static_cast<std::uint64_t>(i));
    mask[static_cast<std::size_t>(i)] = !is_masked || random.below(2, 3, static_cast<std::uint64_t>(i)) == 0;
  }
  const auto loss = [](const auto& t) { return emend::square(t.log_prob) - 0.1 * t.entropy + t.log_z; };
  const auto got = evaluate(loss, x, ids, {.mask = mask});
  const auto expected = evaluate(loss, x, ids, {.mask = mask, .instructions = instruction_set::portable});
  double largest = 0;
  for (index i = 0; i < rows; ++i)
    for (index j = 0; j < vocab; ++j)
      largest = std::max(
          largest, std::abs(static_cast<double>(got.gradient(i, j)) - static_cast<double>(expected.gradient(i, j))));
  return largest;
}

TEST_CASE("streamed gradients: what is left of a row may be shorter than the way to the next cache line") {
  // More bytes than the caches are thought to hold, and every length of a row's last, partial registers.
  constexpr index bytes = index{9} << 20;
  for (const index tail : {1, 3, 7, 8, 9, 10, 11, 12, 13, 14, 15})
    for (const index whole : {0, 4992})
      for (const bool is_masked : {false, true}) {
        const index vocab = whole + tail;
        CAPTURE(vocab);
        CAPTURE(is_masked);
        CHECK(largest_difference<float>(bytes / (4 * vocab) + 1, vocab, is_masked) < 1e-5);
      }
  for (const index vocab : {5, 6, 7, 1029, 1030, 1031}) {
    CAPTURE(vocab);
    CHECK(largest_difference<double>(bytes / (8 * vocab) + 1, vocab, true) < 1e-11);
  }
}

}  // namespace
