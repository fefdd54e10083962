#include <emend/reward/truncation_penalty.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using numbers = std::vector<double>;

TEST_CASE("truncation: scaled, zeroed without 0 times infinity, or replaced; whole responses as they were") {
  const numbers reward{2, -3, HUGE_VAL, 5};
  const std::vector<char> truncated{1, 1, 1, 0};
  CHECK(truncation_penalty(reward, truncated, 0.5) == numbers{1, -1.5, HUGE_VAL, 5});
  CHECK(truncation_penalty(reward, truncated, 0) == numbers{0, 0, 0, 5});
  CHECK(truncation_penalty(reward, truncated, -0.5) == numbers{-0.5, -0.5, -0.5, 5});
  CHECK(truncation_penalty(reward, truncated, 1) == reward);
  CHECK(truncation_penalty(numbers{}, std::vector<char>{}, 0).empty());
  CHECK_THROWS_NAMING(truncation_penalty(reward, truncated, 1.5), "coefficient");
  CHECK_THROWS_NAMING(truncation_penalty(reward, truncated, std::nan("")), "coefficient");
  CHECK_THROWS_NAMING(truncation_penalty(reward, std::vector<char>{1}, 0), "truncated");
}

}  // namespace
