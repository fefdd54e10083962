#include <emend/losses/cispo.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "policy_batch.hpp"
#include "throws.hpp"

namespace {

using namespace emend;
using numbers = std::vector<double>;

TEST_CASE("cispo: the bounded ratio is a constant weight") {
  const policy_batch b;
  check_slopes(cispo{.old_log_prob = b.old, .advantage = b.advantage, .ratio_low = 0.9, .ratio_high = 1.3},
               [&](std::size_t i) { return -std::min(std::max(b.ratio(i), 0.9), 1.3) * b.advantage[i]; });
}

TEST_CASE("cispo: an advantage of 0, and errors that name the argument") {
  const numbers zero{0}, old{-800}, two{1, 2}, three{1, 2, 3};
  check_zero_advantage(cispo{old, zero});
  CHECK_THROWS_NAMING(evaluate_log_probs(cispo{two, three}, three), "old_log_prob");
  CHECK_THROWS_NAMING(evaluate_log_probs(cispo{three, two}, three), "advantage");
}

}  // namespace
