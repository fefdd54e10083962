#include <emend/training/update_options.hpp>
#include <emend/losses/policy_objective.hpp>
#include <emend/training/update_policy.hpp>

#include <doctest/doctest.h>

#include <vector>

#include "one_by_one.hpp"

namespace {

using namespace one_sequence_a_call;
using emend::index;  // not the one of <strings.h>
using numbers = std::vector<double>;

TEST_CASE("update options: all sequences in one step, once, unless more is asked for") {
  const update_options plain;
  CHECK(plain.epochs == 1);
  CHECK(plain.minibatch == 0);
  CHECK(plain.micro_batch == 0);
  CHECK(plain.how == aggregation::token_mean);
  CHECK(plain.pretraining == nullptr);
  tabular::policy policy(3, 2);
  const rollout r = some_rollout(policy);
  CHECK(update_policy(policy, r, make_clip).steps == 1);
  CHECK(update_policy(policy, r, make_clip, {.epochs = 0}).steps == 0);
  // Two of the four sequences have tokens: steps without any are not taken.
  CHECK(update_policy(policy, r, make_clip, {.epochs = 2, .minibatch = 1}).steps == 4);
  CHECK(update_policy(policy, r, make_clip, {.epochs = 3, .minibatch = 4, .micro_batch = 1}).steps == 3);
}

}  // namespace
