#include <emend/reward/rto.hpp>

#include <doctest/doctest.h>

#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using numbers = std::vector<double>;

TEST_CASE("RTO clips the implied reward") {
  const numbers dpo{-1, -2}, reference{-2, -2.5};
  CHECK(rto_scores(dpo, reference, padded(1, 2), {.scale = 1, .clip = 0.75}) == numbers{0.75, 0.5});
  CHECK(rto_scores(dpo, reference, padded(1, 2), {.scale = 1, .clip = __builtin_inf()}) == numbers{1, 0.5});
  CHECK_THROWS_NAMING(rto_scores(dpo, reference, padded(1, 2), {.clip = 0}), "clip");
  CHECK_THROWS_NAMING(rto_scores(dpo, reference, padded(1, 3)), "dpo_log_prob");
}

}  // namespace
