#include <emend/core/matrix.hpp>
#include <emend/evaluation/evaluate.hpp>
#include <emend/losses/cross_entropy.hpp>

#include <doctest/doctest.h>

#include <limits>
#include <vector>

#include "instruction_sets.hpp"

namespace {

template <class T>
void check_block_of_nothing(emend::instruction_set set) {
  constexpr emend::index rows = 3, vocab = 6000, outside = 3000;  // more than a block of a row
  emend::matrix<T> x(rows, vocab), gradient(rows, vocab);
  for (emend::index i = 0; i < rows; ++i)
    for (emend::index j = 0; j < vocab; ++j)
      x(i, j) = j < outside ? -std::numeric_limits<T>::infinity() : static_cast<T>(-150 - j % 7);
  emend::evaluate_into(emend::cross_entropy{}, x, std::vector<int>{3000, 4000, 5000}, {.instructions = set}, gradient);
  for (emend::index i = 0; i < rows; ++i) {
    emend::index wrong = 0;
    double total = 0;
    for (emend::index j = 0; j < outside; ++j) wrong += gradient(i, j) != 0;
    for (emend::index j = outside; j < vocab; ++j) total += static_cast<double>(gradient(i, j));
    CHECK(wrong == 0);
    CHECK(total == doctest::Approx(0).epsilon(1e-5));
  }
}

}  // namespace

TEST_CASE("a first block of scores at -inf has gradient 0, however far below 0 the others lie") {
  for (const emend::instruction_set set : supported_instruction_sets()) {
    check_block_of_nothing<float>(set);
    check_block_of_nothing<double>(set);
  }
}
