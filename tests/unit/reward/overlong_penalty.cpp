#include <emend/reward/overlong_penalty.hpp>

#include <doctest/doctest.h>

#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using numbers = std::vector<double>;

TEST_CASE("overlong: nothing before the buffer, linear within, capped or not beyond") {
  const std::vector<int> length{0, 12, 14, 16, 20};
  CHECK(overlong_penalty(length, {.maximum_length = 16, .buffer = 4, .factor = 2}) == numbers{0, 0, -1, -2, -2});
  CHECK(overlong_penalty(length, {.maximum_length = 16, .buffer = 4, .factor = 2, .is_capped = false}) ==
        numbers{0, 0, -1, -2, -4});
  CHECK_THROWS_NAMING(overlong_penalty(length, {.maximum_length = 16, .buffer = 0}), "buffer");
  for (const double wrong : {-1.0, __builtin_nan("")})
    CHECK_THROWS_NAMING(overlong_penalty(numbers{wrong}, {.maximum_length = 16, .buffer = 4}), "length");
  CHECK_THROWS_NAMING(overlong_penalty(length, {.maximum_length = 16, .buffer = 17}), "buffer");
}

}  // namespace
