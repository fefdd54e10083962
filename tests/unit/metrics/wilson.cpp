#include <emend/metrics/wilson.hpp>

#include <doctest/doctest.h>

#include "throws.hpp"

namespace {

using namespace emend;

TEST_CASE("Wilson's interval: a published example, and its ends") {
  // Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662; 0 of 20 gives 0 to 0.1611; 1 of 29 gives 0.0061 to
  // 0.1718.
  CHECK(wilson_interval(81, 263).low == doctest::Approx(0.2553).epsilon(2e-4));
  CHECK(wilson_interval(81, 263).high == doctest::Approx(0.3662).epsilon(2e-4));
  CHECK(wilson_interval(0, 20).low == 0);
  CHECK(wilson_interval(0, 20).high == doctest::Approx(0.1611).epsilon(1e-3));
  CHECK(wilson_interval(1, 29).low == doctest::Approx(0.0061).epsilon(1e-2));
  CHECK(wilson_interval(1, 29).high == doctest::Approx(0.1718).epsilon(1e-3));
  CHECK(wilson_interval(20, 20).high == 1);
  CHECK(wilson_interval(0, 0).value == 0.5);
  CHECK(wilson_interval(0, 0).low == 0);
  CHECK(wilson_interval(0, 0).high == 1);
}

TEST_CASE("Wilson's interval: errors name the argument") {
  CHECK_THROWS_NAMING(wilson_interval(3, 2), "successes");
  CHECK_THROWS_NAMING(wilson_interval(-1, 2), "successes");
  CHECK_THROWS_NAMING(wilson_interval(1, 2, 0), "z");
}

}  // namespace
