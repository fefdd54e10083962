#include <emend/core/score_view.hpp>

#include <doctest/doctest.h>

#include <vector>

using namespace emend;

TEST_CASE("a view of scores: rows of a batch, by strides of any sign and of 0") {
  std::vector<float> memory(24);
  for (std::size_t i = 0; i < 24; ++i) memory[i] = static_cast<float>(i);
  // [2, 3, 4], the tokens backwards.
  const score_view<float> x{memory.data() + 8, 3, 4, -4, 1, 2, 12};
  CHECK(x.rows() == 6);
  CHECK(x(0, 1) == 9);
  CHECK(x(2, 3) == 3);
  CHECK(x(3, 0) == 20);
  CHECK(x.row(5) == memory.data() + 12);
  const score_view<const float> fixed = x;
  CHECK(fixed(4, 2) == x(4, 2));
  // One row for all tokens, and columns.
  const score_view<float> expanded{memory.data(), 5, 4, 0, 1}, by_column{memory.data(), 4, 6, 1, 4};
  CHECK(expanded(4, 3) == 3);
  CHECK(by_column(1, 2) == 9);
  CHECK(score_view<float>{}.rows() == 0);
}
