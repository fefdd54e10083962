// Losses that evaluate other losses, and losses that throw, leave the buffers of the calling thread in order.
#include <emend/core/matrix.hpp>
#include <emend/evaluation/evaluate.hpp>
#include <emend/evaluation/statistics.hpp>
#include <emend/losses/cross_entropy.hpp>

#include <doctest/doctest.h>

#include <cstring>
#include <memory>
#include <stdexcept>

namespace {

using emend::index;  // not the one of <strings.h>
using emend::matrix;

matrix<float> scores(index rows, index vocab, float seed) {
  matrix<float> x(rows, vocab);
  for (index i = 0; i < rows; ++i)
    for (index j = 0; j < vocab; ++j)
      x(i, j) = static_cast<float>((i * 37 + j * 101) % 97) * 0.05f + seed * static_cast<float>(j % 3);
  return x;
}
bool is_same(const matrix<float>& a, const matrix<float>& b) {
  return std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.rows() * a.columns()) * sizeof(float)) == 0;
}

/// Cross-entropy that evaluates something else for every token.
struct nesting {
  const matrix<float>* other;
  const std::vector<int>* targets;
  template <class R>
  R operator()(const emend::token<R>& t) const {
    emend::evaluate(emend::cross_entropy{}, *other, *targets);
    emend::statistics(*other, *targets);
    return -t.log_prob;
  }
};

struct throwing {
  index at;
  template <class R>
  R operator()(const emend::token<R>& t) const {
    if (t.position == at) throw std::runtime_error("from the loss");
    return -t.log_prob;
  }
};

TEST_CASE("a loss may evaluate another one: same bits as without") {
  // Small, and large enough that gradients are written while the next row is read.
  for (auto [rows, vocab] : {std::pair<index, index>{6, 40}, {70, 32768}})
    for (index other_vocab : {11, 5000}) {
      const matrix<float> x = scores(rows, vocab, 0.3f), other = scores(3, other_vocab, -0.2f);
      const std::vector<int> targets(static_cast<std::size_t>(rows), 7), other_targets(3, 2);
      matrix<float> plain(rows, vocab), nested(rows, vocab);
      const double value = emend::evaluate_into(emend::cross_entropy{}, x, targets, {}, plain);
      const double again = emend::evaluate_into(nesting{&other, &other_targets}, x, targets, {}, nested);
      CHECK(value == again);
      CHECK(is_same(plain, nested));
    }
}

TEST_CASE("an exception of a loss reaches the caller and harms no later call") {
  for (auto [rows, vocab] : {std::pair<index, index>{6, 40}, {70, 32768}}) {
    const matrix<float> x = scores(rows, vocab, 0.3f);
    const std::vector<int> targets(static_cast<std::size_t>(rows), 7);
    matrix<float> plain(rows, vocab);
    emend::evaluate_into(emend::cross_entropy{}, x, targets, {}, plain);
    for (index at : {index{0}, index{1}, rows / 2, rows - 1}) {
      {
        const auto given_up = std::make_unique<matrix<float>>(rows, vocab);
        CHECK_THROWS_AS(emend::evaluate_into(throwing{at}, x, targets, {}, *given_up), std::runtime_error);
      }
      const matrix<float> small = scores(4, 9, 0);
      const std::vector<int> few(4, 1);
      const auto first = emend::evaluate(emend::cross_entropy{}, small, few);
      const auto second = emend::evaluate(emend::cross_entropy{}, small, few);
      CHECK(is_same(first.gradient, second.gradient));
      const auto whole = emend::evaluate(emend::cross_entropy{}, x, targets);
      CHECK(is_same(whole.gradient, plain));
    }
  }
}

TEST_CASE("a column that is too short is named") {
  const matrix<float> x = scores(3, 5, 0);
  const std::vector<double> advantage{1, 2};
  try {
    emend::evaluate([&](const auto& t) { return -t(advantage) * t.log_prob; }, x, std::vector{0, 1, 2});
    FAIL("no exception");
  } catch (const std::invalid_argument& error) {
    CHECK(std::string(error.what())
              .find("emend: a column read by the loss: expected an entry for token 2, got 2 entries") == 0);
  }
}

}  // namespace
