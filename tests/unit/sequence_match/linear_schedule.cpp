#include <emend/sequence_match/linear_schedule.hpp>

#include <doctest/doctest.h>

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

TEST_CASE("a linear schedule: level, then a straight line, then level; without a line a step") {
  const linear_schedule schedule{1, 3, 10, 20};
  CHECK(schedule(0) == 1);
  CHECK(schedule(10) == 1);
  CHECK(schedule(15) == 2);
  CHECK(schedule(20) == 3);
  CHECK(schedule(1000) == 3);
  CHECK(linear_schedule{1, 3, 5, 5}(4) == 1);
  CHECK(linear_schedule{1, 3, 5, 5}(5) == 3);
}

}  // namespace
