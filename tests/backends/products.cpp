// The products of the linear head, by themselves.
#include <emend/core/random.hpp>
#include <emend/heads/kernels/kernels.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "instruction_sets.hpp"

namespace {

using emend::index;
using emend::instruction_set;

/// A matrix in memory with strides: 0 rows, 1 columns follow each other, 2 neither.
template <class A>
struct strided {
  std::vector<A> values;
  index row, column;
  strided(index rows, index columns, int kind, std::uint64_t seed)
      : values(static_cast<std::size_t>(9 * rows * columns + 64)),
        row(kind == 0   ? columns
            : kind == 1 ? 1
                        : 3 * columns),
        column(kind == 0   ? 1
               : kind == 1 ? rows
                           : 3) {
    const emend::counter_random random{seed};
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<A>(2 * random.uniform(0, i) - 1);
  }
  A operator()(index i, index j) const { return values[static_cast<std::size_t>(i * row + j * column)]; }
};

template <class A>
void check(instruction_set set, index m, index n, index depth, int kind_a, int kind_b, bool is_added) {
  INFO("instructions ", static_cast<int>(set), ", ", m, " x ", n, " x ", depth, ", kinds ", kind_a, " and ", kind_b,
       ", added ", is_added);
  const strided<A> a(m, depth, kind_a, 1), b(depth, n, kind_b, 2), before(m, n + 5, 0, 3);
  const index stride = n + 5;
  const auto at = [&](index i, index j) { return static_cast<std::size_t>(i * stride + j); };
  const auto multiply = emend::detail::multiply_add_for<A>(set);
  std::vector<A> start(before.values), buffer;
  // What is not added to is not read.
  if (!is_added)
    for (index i = 0; i < m; ++i)
      for (index j = 0; j < n; ++j) start[at(i, j)] = std::numeric_limits<A>::quiet_NaN();
  std::vector<A> c = start;
  multiply(a.values.data(), a.row, a.column, b.values.data(), b.row, b.column, c.data(), stride, is_added, m, n, depth,
           buffer);
  double worst = 0;
  for (index i = 0; i < m; ++i)
    for (index j = 0; j < n; ++j) {
      double sum = is_added ? static_cast<double>(before(i, j)) : 0, size = std::abs(sum);
      for (index k = 0; k < depth; ++k) {
        const double product = static_cast<double>(a(i, k)) * static_cast<double>(b(k, j));
        sum += product;
        size += std::abs(product);
      }
      const double error = std::abs(static_cast<double>(c[at(i, j)]) - sum), unit = std::numeric_limits<A>::epsilon();
      worst = std::isnan(error) ? std::numeric_limits<double>::infinity()
                                : std::max(worst, error / (unit * (size + 1e-300)));
    }
  CHECK(worst <= static_cast<double>(depth + 1));

  // Any cut of rows and columns gives the same bits, and beside the product nothing is written.
  std::vector<A> cut = start;
  const index half_m = (m + 1) / 2, half_n = n / 3;
  for (const auto& [i0, i1] : {std::pair{index{0}, half_m}, std::pair{half_m, m}})
    for (const auto& [j0, j1] : {std::pair{index{0}, half_n}, std::pair{half_n, n}})
      multiply(a.values.data() + i0 * a.row, a.row, a.column, b.values.data() + j0 * b.column, b.row, b.column,
               cut.data() + at(i0, j0), stride, is_added, i1 - i0, j1 - j0, depth, buffer);
  CHECK(std::memcmp(cut.data(), c.data(), c.size() * sizeof(A)) == 0);
  for (index i = 0; i < m; ++i)
    for (index j = 0; j < n; ++j) c[at(i, j)] = start[at(i, j)];
  CHECK(std::memcmp(start.data(), c.data(), c.size() * sizeof(A)) == 0);
}

const std::vector<instruction_set> all_sets = supported_instruction_sets();

TEST_CASE("products of any strides, under every instruction set") {
  for (const instruction_set set : all_sets)
    for (int kind_a = 0; kind_a < 3; ++kind_a)
      for (int kind_b = 0; kind_b < 3; ++kind_b)
        for (const bool is_added : {false, true}) {
          check<float>(set, 13, 37, 21, kind_a, kind_b, is_added);
          check<double>(set, 25, 19, 6, kind_a, kind_b, is_added);
          check<float>(set, 1, 1, 1, kind_a, kind_b, is_added);
        }
}

TEST_CASE("products larger than a block in each direction, and of nothing") {
  for (const instruction_set set : all_sets) {
    check<float>(set, 530, 35, 3, 0, 1, false);    // rows of a
    check<float>(set, 14, 420, 5, 1, 0, true);     // columns of b
    check<float>(set, 15, 33, 1000, 0, 0, false);  // depth
    check<double>(set, 12, 32, 500, 1, 1, false);
    check<float>(set, 24, 64, 384, 0, 1, false);  // whole panels alone
    check<float>(set, 7, 9, 0, 0, 0, false);
    check<float>(set, 7, 9, 0, 0, 0, true);
    check<float>(set, 0, 9, 4, 0, 0, false);
    check<float>(set, 7, 0, 4, 0, 0, false);
  }
}

}  // namespace
