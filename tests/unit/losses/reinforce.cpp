#include <emend/losses/reinforce.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "policy_batch.hpp"
#include "throws.hpp"

namespace {

using namespace emend;
using numbers = std::vector<double>;

TEST_CASE("reinforce: value by its formula, gradient by differences") {
  const policy_batch b;
  check_gradient(reinforce{b.advantage});
  const numbers log_prob{-1.5, -2}, advantage{2, 0}, three{1, 2, 3};
  const auto result = evaluate_log_probs(reinforce{advantage}, log_prob);
  CHECK(result.value == 3);
  CHECK(result.gradient == numbers{-2, 0});
  CHECK_THROWS_NAMING(evaluate_log_probs(reinforce{three}, log_prob), "advantage");
}

TEST_CASE("reinforce: an advantage of 0 gives 0, even where the token has the probability 0") {
  const numbers zero{0}, impossible{-HUGE_VAL};
  check_zero_advantage(reinforce{zero});
  CHECK(evaluate_log_probs(reinforce{zero}, impossible).value == 0);
}

}  // namespace
