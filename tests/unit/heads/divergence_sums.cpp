#include <emend/heads/divergence_sums.hpp>

#include <doctest/doctest.h>

namespace {

using namespace emend;
using namespace emend::detail;

static_assert(pair_sums<float>::lanes == row_sums<float>::lanes && pair_sums<double>::lanes == row_sums<double>::lanes);

TEST_CASE("the sums over a pair of rows begin as those of nothing") {
  const pair_sums<float> sums;
  for (int lane = 0; lane < pair_sums<float>::lanes; ++lane) {
    CHECK(sums.student.sum[lane] == 0);
    CHECK(sums.teacher.sum[lane] == 0);
    CHECK(sums.weighted[lane] == 0);
    CHECK(sums.cross[lane] == 0);
  }
  CHECK(!sums.student.has_reference);
  CHECK(sums.teacher.reference == -infinity);
  CHECK(!sums.needs_reference_path);
  const mixture_sums mixture;
  CHECK((mixture.student == 0 && mixture.teacher == 0));
}

}  // namespace
