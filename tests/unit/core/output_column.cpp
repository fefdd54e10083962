#include <emend/core/output_column.hpp>

#include <doctest/doctest.h>

#include <vector>

#include "strided_matrix.hpp"
#include "throws.hpp"

using namespace emend;

TEST_CASE("numbers are written where they belong, strides or not") {
  const std::vector<double> values{1.5, 2.5};
  std::vector<float> resized(7);
  output_column(&resized).write(values);
  CHECK(resized == std::vector<float>{1.5f, 2.5f});
  std::vector<double> in_place(2);
  output_column(in_place).write(values);
  CHECK(in_place == values);
  double x[6] = {};
  output_column(strided_matrix<double>{x, 1, 2, 6, 3}).write(values);
  CHECK(x[0] == 1.5);
  CHECK(x[3] == 2.5);
  CHECK(x[1] == 0);
  double y[4] = {};
  output_column(strided_matrix<double>{y, 2, 2, 1, 2}).write(std::vector<double>{1, 2, 3, 4});
  CHECK(std::vector<double>(y, y + 4) == std::vector<double>{1, 3, 2, 4});
  CHECK(!output_column());
  CHECK(!output_column(nullptr));
  CHECK(!output_column(static_cast<std::vector<double>*>(nullptr)));
  output_column().write(values);
  CHECK_THROWS_NAMING(output_column(in_place).check("per_token", 3), "per_token");
  CHECK_THROWS_NAMING(output_column(in_place).write(std::vector<double>{1}), "an output column");
  CHECK(in_place == values);
}

TEST_CASE("an output has a place of its own for every number") {
  double x[4] = {};
  CHECK_THROWS_NAMING(output_column(strided_matrix<double>{x, 1, 3, 3, 0}), "an output column");
  CHECK_THROWS_NAMING(output_column(strided_matrix<double>{x, 2, 2, 0, 1}), "an output column");
  CHECK_THROWS_NAMING(output_column(strided_matrix<double>{x, 2, 2, 0, 0}), "an output column");
  CHECK(output_column(strided_matrix<double>{x, 1, 1, 0, 0}));
  CHECK(output_column(strided_matrix<double>{x, 1, 3, 0, 1}));
}
