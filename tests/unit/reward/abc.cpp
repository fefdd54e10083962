#include <emend/reward/abc.hpp>

#include <doctest/doctest.h>

#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using numbers = std::vector<double>;

const std::vector<int> hole{1, 0, 1, 0, 0, 0};  // two rows of three; the second has no token

TEST_CASE("ABC: a reward spread by attention adds up to the reward") {
  const numbers attention{1, 3, 3, 1}, reward{4, 5};
  CHECK(mean_over_heads(attention, 2) == numbers{2, 2});
  CHECK_THROWS_NAMING(mean_over_heads(attention, 3), "heads");
  const padded layout(2, 2);
  const numbers share = attention_shares(attention, layout);
  CHECK(share == numbers{0.25, 0.75, 0.75, 0.25});
  CHECK(abc_rewards(share, reward, layout, {.beta = 0.5}) == numbers{0.5, 1.5 + 2, 1.875, 0.625 + 2.5});
  const numbers nothing{0, 0, 0, 0};
  CHECK(attention_shares(nothing, layout) == numbers{0.5, 0.5, 0.5, 0.5});
  const numbers six{1, __builtin_nan(""), 3, 9, 9, 9};
  CHECK(attention_shares(six, padded(2, 3, hole)) == numbers{0.25, 0, 0.75, 0, 0, 0});
  CHECK(abc_rewards(six, reward, padded(2, 3, hole), {.beta = 0}) == numbers{0, 0, 4, 0, 0, 0});
  CHECK_THROWS_NAMING(attention_shares(six, layout), "attention");
  CHECK_THROWS_NAMING(abc_rewards(six, reward, layout), "share");
  CHECK_THROWS_NAMING(abc_rewards(attention, six, layout), "reward");
}

}  // namespace
