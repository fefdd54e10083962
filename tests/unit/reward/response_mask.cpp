#include <emend/reward/response_mask.hpp>

#include <doctest/doctest.h>

#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

TEST_CASE("a response ends at the first of several ends") {
  const std::vector<int> ids{5, 2, 5, 5, 5, 5, 3, 2}, ends{2, 3}, counts{1, 1, 1, 1, 1, 1, 0, 1};
  const padded layout(2, 4);
  CHECK(response_mask(ids, layout, ends) == std::vector<char>{1, 1, 0, 0, 1, 1, 1, 0});
  CHECK(truncate_response(ids, layout, ends, 9) == std::vector<index>{5, 2, 9, 9, 5, 5, 3, 9});
  // An end that is not counted ends nothing.
  CHECK(response_mask(ids, padded(2, 4, counts), ends) == std::vector<char>{1, 1, 0, 0, 1, 1, 0, 1});
  CHECK(truncate_response(ids, padded(2, 4, counts), ends, 9) == std::vector<index>{5, 2, 9, 9, 5, 5, 3, 2});
  CHECK(response_mask(ids, layout, {}) == std::vector<char>(8, 1));
  CHECK(response_mask({}, padded(2, 0), ends).empty());
  CHECK_THROWS_NAMING(response_mask(ids, padded(1, 4), ends), "ids");
  CHECK_THROWS_NAMING(truncate_response(ids, padded(1, 4), ends, 0), "ids");
}

}  // namespace
