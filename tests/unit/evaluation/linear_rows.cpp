// hidden x weight where some rows have nothing to pass back, over several chunks of rows; memory that held other
// numbers.
#include <emend/core/matrix.hpp>
#include <emend/core/thread_pool.hpp>
#include <emend/evaluation/evaluate.hpp>
#include <emend/losses/cross_entropy.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "instruction_sets.hpp"

using namespace emend;

namespace {

template <class T>
matrix<T> wave(emend::index rows, emend::index columns, double step) {
  matrix<T> x(rows, columns);
  for (emend::index i = 0; i < rows; ++i)
    for (emend::index j = 0; j < columns; ++j)
      x(i, j) = T(static_cast<arithmetic<T>>(std::sin(step * static_cast<double>(i * columns + j + 1))));
  return x;
}

/// The same loss over the stored product, in double.
void check_gradient(emend::index rows, emend::index silent_every, bool is_masked, instruction_set set) {
  constexpr emend::index depth = 3, vocab = 7;
  const matrix<double> hidden = wave<double>(rows, depth, 0.37), weight = wave<double>(vocab, depth, 0.91);
  std::vector<int> targets, mask;
  std::vector<double> advantage;
  for (emend::index i = 0; i < rows; ++i) {
    targets.push_back(static_cast<int>(i * 3 % vocab));
    advantage.push_back(i % silent_every == 1 ? 0 : 1 + 0.01 * static_cast<double>(i % 17));
    mask.push_back(is_masked && i % 5 == 2 ? 0 : 1);
  }
  matrix<double> product(rows, vocab);
  for (emend::index i = 0; i < rows; ++i)
    for (emend::index j = 0; j < vocab; ++j)
      for (emend::index d = 0; d < depth; ++d) product(i, j) += hidden(i, d) * weight(j, d);
  const auto loss = [&](const auto& t) { return -t(advantage) * t.log_prob; };
  const auto stored = evaluate(loss, product, targets, {.mask = mask});
  const auto got = evaluate(loss, linear_scores{hidden, weight}, targets, {.mask = mask, .instructions = set});
  CHECK(got.value == doctest::Approx(stored.value).epsilon(1e-12));
  for (emend::index i = 0; i < rows; ++i)
    for (emend::index d = 0; d < depth; ++d) {
      double expected = 0;
      for (emend::index j = 0; j < vocab; ++j) expected += stored.gradient(i, j) * weight(j, d);
      CHECK(got.gradient.d_hidden(i, d) == doctest::Approx(expected).epsilon(1e-10).scale(1));
    }
  for (emend::index j = 0; j < vocab; ++j)
    for (emend::index d = 0; d < depth; ++d) {
      double expected = 0;
      for (emend::index i = 0; i < rows; ++i) expected += stored.gradient(i, j) * hidden(i, d);
      CHECK(got.gradient.d_weight(j, d) == doctest::Approx(expected).epsilon(1e-10).scale(1));
    }
}

TEST_CASE("rows without a derivative leave before the products, wherever they stand") {
  for (const instruction_set set : supported_instruction_sets())
    for (const emend::index rows : {5, 383, 385, 900})
      for (const emend::index silent_every : {2, 3, 7, 1000000})
        for (const bool is_masked : {false, true}) check_gradient(rows, silent_every, is_masked, set);
}

template <class T>
void check_no_row() {
  const matrix<T> hidden = wave<T>(4, 3, 0.37), weight = wave<T>(6, 3, 0.91);
  const std::vector<int> targets{0, 1, 2, 3}, none{0, 0, 0, 0};
  linear_gradient<matrix<T>, matrix<T>> gradient{wave<T>(4, 3, 1), wave<T>(6, 3, 2)};
  const auto got = evaluate_into(cross_entropy{}, linear_scores{hidden, weight}, targets, {.mask = none}, gradient);
  CHECK(got.value == 0);
  for (emend::index d = 0; d < 3; ++d) {
    for (emend::index i = 0; i < 4; ++i) CHECK(static_cast<arithmetic<T>>(gradient.d_hidden(i, d)) == 0);
    for (emend::index j = 0; j < 6; ++j) CHECK(static_cast<arithmetic<T>>(gradient.d_weight(j, d)) == 0);
  }
  // With a row, what the memory held before does not count either.
  const std::vector<int> one{0, 1, 0, 0};
  linear_gradient<matrix<T>, matrix<T>> first{wave<T>(4, 3, 1), wave<T>(6, 3, 2)},
      second{matrix<T>(4, 3), matrix<T>(6, 3)};
  evaluate_into(cross_entropy{}, linear_scores{hidden, weight}, targets, {.mask = one}, first);
  evaluate_into(cross_entropy{}, linear_scores{hidden, weight}, targets, {.mask = one}, second);
  for (emend::index j = 0; j < 6; ++j)
    for (emend::index d = 0; d < 3; ++d)
      CHECK(static_cast<arithmetic<T>>(first.d_weight(j, d)) == static_cast<arithmetic<T>>(second.d_weight(j, d)));
}

TEST_CASE("without a row that counts the gradients are zeros, in any memory") {
  check_no_row<float>();
  check_no_row<double>();
  check_no_row<bfloat16>();
  check_no_row<float16>();
}

}  // namespace

TEST_CASE("linear scores keep temporaries, in parentheses and in braces, and view what has a name") {
  const matrix<double> hidden = wave<double>(5, 3, 0.37), weight = wave<double>(7, 3, 0.91);
  const std::vector<int> targets{0, 3, 6, 2, 5};
  const auto value_of = [&](const auto& scores) { return evaluate(cross_entropy{}, scores, targets).value; };
  const double wanted = value_of(linear_scores{hidden, weight});
  const linear_scores in_parentheses(wave<double>(5, 3, 0.37), wave<double>(7, 3, 0.91));
  const linear_scores in_braces{wave<double>(5, 3, 0.37), weight};
  const auto copied = [] { return linear_scores(wave<double>(5, 3, 0.37), wave<double>(7, 3, 0.91)); }();
  const auto copy = copied;
  CHECK(value_of(in_parentheses) == wanted);
  CHECK(value_of(in_braces) == wanted);
  CHECK(value_of(copied) == wanted);
  CHECK(value_of(copy) == wanted);
  CHECK(&in_braces.weight == &weight);
  CHECK(&copy.hidden == &copied.hidden);
}
