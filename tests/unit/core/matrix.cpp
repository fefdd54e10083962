#include <emend/core/matrix.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "throws.hpp"

using namespace emend;

TEST_CASE("a matrix is row-major, new elements are zero, a batch's rows follow each other") {
  matrix<float> m(2, 3, {1, 2, 3, 4, 5, 6});
  CHECK(m.rows() == 2);
  CHECK(m.columns() == 3);
  CHECK(m(1, 0) == 4);
  CHECK(m.row(1)[2] == 6);
  CHECK(m.data() + 3 == m.row(1));
  m(0, 2) = 9;
  CHECK(m.data()[2] == 9);
  const matrix<double> zeros(2, 2);
  for (emend::index i = 0; i < 4; ++i) CHECK(zeros.data()[i] == 0);
  const matrix<double> batch(2, 3, 4);
  CHECK(batch.rows() == 6);
  CHECK(batch.columns() == 4);
  // A braced list of one number is a list of values.
  const matrix<float> one(1, 1, {5});
  CHECK(one.rows() == 1);
  CHECK(one(0, 0) == 5);
}

TEST_CASE("a matrix: extents and values that do not fit are refused") {
  constexpr emend::index far = std::numeric_limits<emend::index>::max();
  CHECK_THROWS_NAMING((matrix<float>(-1, 2)), "matrix extents");
  CHECK_THROWS_NAMING((matrix<float>(2, far)), "matrix extents");
  CHECK_THROWS_NAMING((matrix<float>(far, 2, 3)), "matrix extents");
  CHECK_THROWS_NAMING((matrix<float>(2, 2, {1, 2, 3})), "matrix values");
  CHECK_THROWS_NAMING((matrix<float>(2, 2, std::vector<float>(5))), "matrix values");
}

TEST_CASE("a matrix stands on a cache line, also one of huge pages") {
  for (const emend::index columns : {1, 17, 4096, 1 << 20}) {
    const matrix<float> m(3, columns);
    CHECK(reinterpret_cast<std::uintptr_t>(m.data()) % 64 == 0);
    CHECK(m(2, columns - 1) == 0);
  }
}
