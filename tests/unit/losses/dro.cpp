#include <emend/losses/dro.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "policy_batch.hpp"
#include "throws.hpp"

namespace {

using namespace emend;
using numbers = std::vector<double>;

TEST_CASE("dro: value by its formula, gradient by differences") {
  const policy_batch b;
  check_gradient(dro{b.old, b.advantage, 0.3});
  const numbers log_prob{-1.5}, old{-1}, advantage{2};
  CHECK(evaluate_log_probs(dro{old, advantage, 0.5}, log_prob).value == doctest::Approx(2 * 1.5 + 0.25 * 0.25));
}

TEST_CASE("dro: an advantage of 0 leaves the pull, a beta of 0 the policy gradient") {
  const numbers log_prob{-1.5}, old{-1}, zero{0}, advantage{2};
  CHECK(evaluate_log_probs(dro{old, zero, 0.5}, log_prob).value == doctest::Approx(0.25 * 0.25));
  CHECK(evaluate_log_probs(dro{old, advantage, 0}, log_prob).gradient[0] == -2);
  CHECK_THROWS_NAMING(evaluate_log_probs(dro{old, advantage, unread}, log_prob), "beta");
}

}  // namespace
