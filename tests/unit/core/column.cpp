#include <emend/core/column.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <span>
#include <vector>

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

TEST_CASE("an empty column means not given") {
  CHECK(column().empty());
  CHECK(column().size() == 0);
  CHECK(column(std::vector<double>{}).empty());
  CHECK(id_column().empty());
  CHECK(id_column(std::vector<int>{}).empty());
}

TEST_CASE("ids of every integer type, with strides") {
  const std::vector<std::int16_t> small{-1, 7};
  const std::vector<std::uint32_t> large{0xffffffffu};
  const std::int64_t pairs[] = {0, 10, 1, 11, 2, 12};
  CHECK(id_column(small)[0] == -1);
  CHECK(id_column(large)[0] == 0xffffffffll);
  CHECK(id_column(pairs + 1, 3, 2)[2] == 12);
  CHECK(id_column(pairs + 4, 3, -2)[2] == 0);
}

TEST_CASE("columns view: they follow their range") {
  std::vector<int> values{1};
  const column c = values;
  const id_column ids = values;
  values[0] = 9;
  CHECK(c[0] == 9.0);
  CHECK(ids[0] == 9);
}
