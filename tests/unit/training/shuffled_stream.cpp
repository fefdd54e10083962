#include <emend/training/shuffled_stream.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using ids = std::vector<index>;

TEST_CASE("an endless stream of shuffled epochs") {
  shuffled_stream stream(5, 3), late(5, 3);
  ids first, second;
  for (index i = 0; i < 5; ++i) first.push_back(stream(i));
  for (index i = 5; i < 10; ++i) second.push_back(stream(i));
  CHECK(late(7) == second[2]);
  CHECK(first != second);
  std::sort(first.begin(), first.end());
  CHECK(first == ids{0, 1, 2, 3, 4});
  CHECK_THROWS_NAMING(shuffled_stream(0, 1), "n");
  CHECK_THROWS_NAMING(stream(-1), "position");
}

}  // namespace
