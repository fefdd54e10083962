#include <emend/core/column.hpp>
#include <emend/core/id_column.hpp>
#include <emend/core/layout.hpp>
#include <emend/core/matrix.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "strided_matrix.hpp"
#include "throws.hpp"

using namespace emend;

namespace {

template <class T>
void check_column_of() {
  const std::vector<T> values{T(1), T(0), T(1)};
  const column c = values;
  CHECK(c.size() == 3);
  CHECK(!c.empty());
  CHECK(c[0] == 1.0);
  CHECK(c[1] == 0.0);
}

}  // namespace

TEST_CASE("a column reads every arithmetic type as double") {
  check_column_of<double>();
  check_column_of<float>();
  check_column_of<int>();
  check_column_of<std::int64_t>();
  check_column_of<std::uint8_t>();
  check_column_of<char>();
  const std::array flags{true, false};
  CHECK(column(flags)[0] == 1.0);
  CHECK(column(flags)[1] == 0.0);
  CHECK(column(std::span(flags)).size() == 2);
}

TEST_CASE("a column of a pointer, a length and a stride of any sign") {
  const float values[] = {1, 2, 3, 4, 5, 6};
  const column every_other(values, 3, 2), backwards(values + 5, 6, -1), constant(values + 3, 4, 0);
  CHECK(every_other[2] == 5.0);
  CHECK(backwards[0] == 6.0);
  CHECK(backwards[5] == 1.0);
  CHECK(constant[3] == 4.0);
}

TEST_CASE("a default column is not given; a range without entries is given") {
  const std::vector<double> none;
  const std::vector<int> no_ids;
  CHECK(column().empty());
  CHECK(!column().is_given());
  CHECK(column(none).empty());
  CHECK(column(none).is_given());
  CHECK(!column_unless_empty(none).is_given());
  CHECK(column_unless_empty(std::vector<double>{3})[0] == 3.0);
  CHECK(!id_column().is_given());
  CHECK(id_column(no_ids).is_given());
  CHECK(id_column(no_ids).empty());
  const auto is_given = [](const column& c) { return c.is_given(); };
  CHECK(!is_given({}));
}

TEST_CASE("columns view: they follow their range") {
  std::vector<int> values{1};
  const column c = values;
  const id_column ids = values;
  values[0] = 9;
  CHECK(c[0] == 9.0);
  CHECK(ids[0] == 9);
}

namespace {

/// The entries of a column by each way of reading it, which agree.
std::vector<double> entries(const column& c) {
  std::vector<double> one_by_one, run(static_cast<std::size_t>(c.size()), -7);
  for (emend::index i = 0; i < c.size(); ++i) one_by_one.push_back(c[i]);
  c.read(0, c.size(), run.data());
  CHECK(run == one_by_one);
  // Runs that begin and end anywhere.
  for (emend::index first = 0; first < c.size(); ++first)
    for (emend::index count = 0; first + count <= c.size(); ++count) {
      std::vector<double> part(static_cast<std::size_t>(count) + 1, -7);
      std::vector<long long> flags(static_cast<std::size_t>(count) + 1, 5);
      c.read(first, count, part.data());
      const emend::index set = c.read_flags(first, count, flags.data());
      emend::index expected = 0;
      for (emend::index i = 0; i < count; ++i) {
        const double entry = one_by_one[static_cast<std::size_t>(first + i)];
        CHECK(part[static_cast<std::size_t>(i)] == entry);
        expected += entry != 0;
      }
      CHECK(set == expected);
      if (set < count)
        for (emend::index i = 0; i < count; ++i)
          CHECK(flags[static_cast<std::size_t>(i)] == (one_by_one[static_cast<std::size_t>(first + i)] != 0 ? -1 : 0));
      CHECK(part.back() == -7);
      CHECK(flags.back() == 5);
    }
  return one_by_one;
}
using numbers = std::vector<double>;

/// What xtensor's and numpy's arrays tell.
template <class T>
struct shaped_array {
  T* first;
  std::vector<emend::index> extents, steps;
  std::size_t offset = 0;
  T* data() const { return first; }
  std::size_t data_offset() const { return offset; }
  const std::vector<emend::index>& shape() const { return extents; }
  const std::vector<emend::index>& strides() const { return steps; }
};
/// What Armadillo's matrices tell.
struct column_major {
  std::vector<double> memory;
  std::size_t n_rows, n_cols;
  const double* memptr() const { return memory.data(); }
};

}  // namespace

TEST_CASE("a matrix is read row by row, whatever its storage order and strides") {
  double x[] = {1, 2, 3, 4, 5, 6, 0, 8, 9, 10, 11, 12};
  CHECK(entries(strided_matrix<double>{x, 2, 3, 3, 1}) == numbers{1, 2, 3, 4, 5, 6});
  CHECK(entries(strided_matrix<double>{x, 2, 3, 1, 2}) == numbers{1, 3, 5, 2, 4, 6});
  CHECK(entries(strided_matrix<double>{x, 1, 3, 1, 2}) == numbers{1, 3, 5});
  CHECK(entries(strided_matrix<double>{x, 3, 1, 2, 1}) == numbers{1, 3, 5});
  CHECK(entries(strided_matrix<double>{x, 2, 2, 6, 2}) == numbers{1, 3, 0, 9});
  CHECK(entries(strided_matrix<double>{x + 11, 2, 3, -6, -1}) == numbers{12, 11, 10, 6, 5, 4});
  CHECK(entries(strided_matrix<double>{x, 0, 3, 3, 1}).empty());
  CHECK(entries(shaped_array<double>{x, {2, 3}, {1, 4}, 1}) == numbers{2, 6, 10, 3, 0, 11});
  CHECK(entries(shaped_array<double>{x, {2, 2, 3}, {6, 3, 1}}) == numbers{1, 2, 3, 4, 5, 6, 0, 8, 9, 10, 11, 12});
  // An extent of 1 may have any stride.
  CHECK(entries(shaped_array<double>{x, {2, 1, 3}, {6, 0, 2}}) == numbers{1, 3, 5, 0, 9, 11});
  CHECK(entries(shaped_array<double>{x, {}, {}}) == numbers{1});
  CHECK(entries(column_major{{1, 2, 3, 4, 5, 6}, 2, 3}) == numbers{1, 3, 5, 2, 4, 6});
  const float c[2][3] = {{1, 2, 3}, {4, 5, 6}};
  CHECK(entries(c) == numbers{1, 2, 3, 4, 5, 6});
  emend::matrix<float> m(2, 2, {1, 2, 3, 4});
  CHECK(entries(m) == numbers{1, 2, 3, 4});
}

TEST_CASE("an array that two strides do not describe is refused") {
  double x[64] = {};
  CHECK_THROWS_NAMING(column(shaped_array<double>{x, {2, 2, 2}, {1, 2, 4}}), "a column");
  CHECK_THROWS_NAMING(column(shaped_array<double>{x, {2, 2, 2, 2}, {32, 10, 4, 1}}), "a column");
}

TEST_CASE("columns of one byte or one type are contiguous only where they are") {
  const std::vector<char> flags{1, 0, 1, 0, 1, 0};
  CHECK(column(flags).contiguous_bytes() != nullptr);
  CHECK(column(flags.data(), 3, 2).contiguous_bytes() == nullptr);
  const std::vector<double> x{1, 2, 3, 4};
  CHECK(column(x).contiguous<double>() == x.data());
  CHECK(column(x).contiguous<float>() == nullptr);
  CHECK(column(strided_matrix<const double>{x.data(), 2, 2, 1, 2}).contiguous<double>() == nullptr);
}

namespace {

/// Counts its copies that are alive: an owner that is taken over lives as long as its columns.
struct counted_numbers {
  static inline int alive = 0;
  std::vector<double> numbers;
  explicit counted_numbers(std::vector<double> x) : numbers(std::move(x)) { ++alive; }
  counted_numbers(const counted_numbers& other) : numbers(other.numbers) { ++alive; }
  counted_numbers(counted_numbers&& other) noexcept : numbers(std::move(other.numbers)) { ++alive; }
  counted_numbers& operator=(const counted_numbers&) = delete;
  ~counted_numbers() { --alive; }
  const double* data() const { return numbers.data(); }
  std::size_t size() const { return numbers.size(); }
};
std::vector<double> made() { return {4, 5, 6}; }

}  // namespace

TEST_CASE("a temporary that owns its numbers is taken over") {
  struct options {
    column mask = {};
    id_column ids = {};
  };
  const options o{.mask = made(), .ids = std::vector<int>{1, 2}};
  CHECK(entries(o.mask) == numbers{4, 5, 6});
  CHECK(o.ids[1] == 2);
  const column copy = o.mask;
  CHECK(entries(copy) == numbers{4, 5, 6});
  CHECK(entries(std::array{1, 2, 3}) == numbers{1, 2, 3});
  CHECK(entries({true, false, true}) == numbers{1, 0, 1});
  CHECK(entries({0.5, 2.0}) == numbers{0.5, 2});
  CHECK(entries({1, 2}) == numbers{1, 2});
  const options braced{.mask = {1.0, 0.0}, .ids = {7, 8, 9}};
  CHECK(entries(braced.mask) == numbers{1, 0});
  CHECK(braced.ids[2] == 9);
  const std::vector<double> constant{1, 2};
  CHECK(entries(std::move(constant)) == numbers{1, 2});
  double array[] = {3, 4};
  CHECK(entries(std::move(array)) == numbers{3, 4});
  {
    column kept;
    {
      const column first{counted_numbers({1, 2})};
      CHECK(counted_numbers::alive == 1);
      kept = first;
    }
    CHECK(counted_numbers::alive == 1);
    CHECK(entries(kept) == numbers{1, 2});
    kept = column();
    CHECK(counted_numbers::alive == 0);
    const counted_numbers named({3});
    const column view = named;
    CHECK(counted_numbers::alive == 1);
    CHECK(view[0] == 3.0);
  }
  CHECK(counted_numbers::alive == 0);
}

TEST_CASE("a temporary view stays a view") {
  std::vector<double> x{1, 2, 3, 4};
  const column of_span = std::span(x), of_rows = strided_matrix<double>{x.data(), 2, 2, 1, 2};
  x[1] = 9;
  CHECK(entries(of_span) == numbers{1, 9, 3, 4});
  CHECK(entries(of_rows) == numbers{1, 3, 9, 4});
}

TEST_CASE("layouts own what they were made from") {
  const std::vector<int> dones{0, 1, 0, 0, 1};
  const ragged layout(offsets_from_ends(dones), std::vector<char>{1, 1, 0, 1, 1});
  CHECK(layout.sequences() == 2);
  CHECK(layout.tokens() == 5);
  CHECK(length_of(layout, 1) == 2);
  const padded rows(2, 2, {1, 0, 1, 1});
  CHECK(length_of(rows, 0) == 1);
}

namespace {

struct view_with_a_stride {
  const double* first;
  std::size_t count;
  std::ptrdiff_t stride;
  const double* data() const { return first; }
  std::size_t size() const { return count; }
};

}  // namespace

TEST_CASE("a view whose stride is a data member is not read as contiguous") {
  static_assert(!detail::column_range<view_with_a_stride>);
  static_assert(!detail::plain_range<view_with_a_stride>);
}
