// Arrays of any number of dimensions as blocks of scores.
#include <emend/core/strided_block.hpp>

#include <doctest/doctest.h>

#include <array>
#include <vector>

#include "throws.hpp"

namespace {

using emend::index;
using emend::strided_block;

/// Compares every element with the one found by its coordinates.
void check(const std::vector<index>& shape, const std::vector<index>& strides, index first = 0) {
  std::array<int, 4000> memory;
  for (std::size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<int>(i);
  const auto view = strided_block("x", memory.data() + first, shape, strides);
  index rows = 1;
  for (std::size_t d = 0; d + 1 < shape.size(); ++d) rows *= shape[d];
  REQUIRE(view.rows() == rows);
  REQUIRE(view.vocab == shape.back());
  for (index row = 0; row < rows; ++row) {
    index offset = first, left = row;
    for (std::size_t d = shape.size() - 1; d-- > 0;) {
      offset += left % shape[d] * strides[d];
      left /= shape[d];
    }
    for (index j = 0; j < view.vocab; ++j)
      CHECK(view(row, j) == memory[static_cast<std::size_t>(offset + j * strides.back())]);
  }
}

TEST_CASE("leading dimensions become tokens and a batch, wherever two strides do") {
  check({5}, {1});
  check({5}, {-2}, 20);
  check({3, 5}, {5, 1});
  check({3, 5}, {1, 3});  // column-major
  check({3, 5}, {0, 1});  // one row, expanded
  check({2, 3, 5}, {15, 5, 1});
  check({2, 3, 5}, {20, 5, 1});  // a slice of [2, 4, 5]
  check({2, 3, 5}, {5, 10, 1});  // [3, 2, 5], transposed
  check({2, 3, 4, 5}, {60, 20, 5, 1});
  check({2, 3, 4, 5}, {75, 25, 5, 1});   // a slice of [2, 3, 5, 5]
  check({2, 3, 4, 5}, {100, 20, 5, 1});  // a slice of [2, 5, 4, 5]
  check({2, 1, 3, 1, 5}, {15, 7, 5, 9, 1});
  check({1, 1, 5}, {5, 5, 1});
  check({3, 4, 5}, {-20, 5, 1}, 40);
  check({2, 3, 1}, {3, 1, 1});
  check({3, 1}, {1, 0});
}

TEST_CASE("nothing to read, and what two strides do not describe") {
  const auto rows = [](const std::vector<index>& shape, const std::vector<index>& strides) {
    return strided_block("x", static_cast<const float*>(nullptr), shape, strides).rows();
  };
  CHECK(rows({0, 5}, {5, 1}) == 0);
  CHECK(rows({3, 0, 5}, {0, 5, 1}) == 0);
  CHECK(rows({2, 0, 4, 5}, {99, 20, 5, 1}) == 0);
  CHECK(rows({0, 3, 4, 5}, {99, 7, 5, 1}) == 0);
  CHECK_THROWS_NAMING(rows({2, 3, 4, 5}, {77, 33, 5, 1}), "x");
  CHECK_THROWS_NAMING(rows({}, {}), "x");
}

}  // namespace
