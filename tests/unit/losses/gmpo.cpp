#include <emend/losses/gmpo.hpp>
#include <emend/core/sequence_values.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "policy_batch.hpp"
#include "throws.hpp"

namespace {

using namespace emend;
using numbers = std::vector<double>;

TEST_CASE("gmpo: gradients are the derivatives of the value") {
  const policy_batch b;
  check_gradient(gmpo{b.old, b.advantage});
  const numbers mean = sequence_means(b.advantage, b.layout());
  check_gradient(
      gmpo{.old_log_prob = b.old, .advantage = b.advantage, .sequence_advantage = mean, .length_epsilon = 1e-8});
}

TEST_CASE("gmpo: an empty batch, and errors that name the argument") {
  const numbers none, two{1, 2}, three{1, 2, 3};
  CHECK(evaluate_log_prob_sequences(gmpo{none, none}, none, padded(0, 3)).value == 0);
  CHECK_THROWS_NAMING(evaluate_log_prob_sequences(gmpo{three, three, two}, three, padded(1, 3)), "sequence_advantage");
  CHECK_THROWS_NAMING(evaluate_log_prob_sequences(gmpo{three, three}, three, padded(1, 2)), "log_prob");
}

}  // namespace
