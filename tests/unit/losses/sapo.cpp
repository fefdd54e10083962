#include <emend/losses/sapo.hpp>
#include <emend/losses/sequence_level.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "policy_batch.hpp"
#include "throws.hpp"

namespace {

using namespace emend;
using numbers = std::vector<double>;

TEST_CASE("sapo: gradients are the derivatives of the value") {
  const policy_batch b;
  check_gradient(sapo{b.old, b.advantage});
  check_gradient(sequence_level<sapo>{{b.old, b.advantage}});
}

TEST_CASE("sapo: an advantage of 0, a ratio that overflows, errors that name the argument") {
  const numbers zero{0}, negative{-1}, old{-1000}, now{0}, three{1, 2, 3};
  check_zero_advantage(sapo{old, zero});
  CHECK(std::isfinite(evaluate_log_probs(sapo{old, negative}, now).value));
  CHECK_THROWS_NAMING(evaluate_log_probs(sapo{three, three, 0}, three), "temperature_positive");
}

}  // namespace
