#include <emend/metrics/pair_accuracy.hpp>

#include <doctest/doctest.h>

#include <limits>
#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;

TEST_CASE("ties count a half; NaN is no lost pair") {
  const std::vector<double> chosen{1, 2, 3, 0}, rejected{0, 2, 4, -1}, two{1, 2};
  CHECK(pair_accuracy(chosen, rejected).value == 2.5 / 4);
  CHECK_THROWS_NAMING(pair_accuracy(chosen, two), "rejected_score");
  const double unknown = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_NAMING(pair_accuracy({unknown, 1}, {0, 0}), "chosen_score");
  CHECK_THROWS_NAMING(pair_accuracy({1, 1}, {0, unknown}), "rejected_score");
}

}  // namespace
