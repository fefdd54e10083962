#include <emend/reward/missing_end_penalty.hpp>

#include <doctest/doctest.h>

#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using numbers = std::vector<double>;

TEST_CASE("responses without an end pay") {
  const std::vector<int> ids{5, 2, 5, 5}, ends{2}, none{0, 0, 0, 0};
  CHECK(has_end(ids, padded(2, 2), ends) == std::vector<char>{1, 0});
  CHECK(missing_end_penalty(ids, padded(2, 2), ends, 1.5) == numbers{0, -1.5});
  CHECK(missing_end_penalty(ids, padded(2, 2, none), ends, 1.5) == numbers{-1.5, -1.5});
  CHECK_THROWS_NAMING(missing_end_penalty(ids, padded(1, 2), ends, 1), "ids");
  CHECK_THROWS_NAMING(missing_end_penalty(ids, padded(2, 2), {}, 1), "end_ids");
}

}  // namespace
