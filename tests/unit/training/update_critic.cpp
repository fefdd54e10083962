#include <emend/training/update_critic.hpp>
#include <emend/losses/value_clip.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "one_by_one.hpp"
#include "throws.hpp"

namespace {

using namespace one_sequence_a_call;
using emend::index;  // not the one of <strings.h>
using numbers = std::vector<double>;

TEST_CASE("update_critic: one sequence a call, empty responses among them, is the whole at once") {
  tabular::critic whole(3, 2);
  critic_one_by_one parts(3, 2);
  tabular::policy policy(3, 2);
  const rollout r = some_rollout(policy);
  CHECK(value_responses(parts, r.batch) == value_responses(whole, r.batch));
  const auto make = [](column old_value, column returns) { return value_clip{old_value, returns}; };
  for (const index minibatch : {0, 1, 3}) {
    const update_options options{.epochs = 2, .minibatch = minibatch, .seed = 4};
    const auto got = update_critic(parts, r, make, options), want = update_critic(whole, r, make, options);
    CHECK(got.steps == want.steps);
    CHECK(got.loss == doctest::Approx(want.loss));
    for (std::size_t i = 0; i < whole.table.size(); ++i) CHECK(parts.table[i] == doctest::Approx(whole.table[i]));
  }
}

TEST_CASE("update_critic: a step of gradient descent on half the squared distance, and errors") {
  tabular::critic critic(3, 2);
  tabular::policy policy(3, 2);
  rollout r = some_rollout(policy);
  r.value = value_responses(critic, r.batch);
  const auto make = [](column old_value, column returns) { return value_clip{old_value, returns, 1e9}; };
  const critic_report report = update_critic(critic, r, make);
  CHECK(report.steps == 1);
  // Values of 0, returns of 1, 2 and 3: three cells, a third of the distance each.
  CHECK(report.loss == doctest::Approx((1 + 4 + 9) / 6.0));
  const numbers moved = value_responses(critic, r.batch);
  for (std::size_t i = 0; i < 3; ++i) CHECK(moved[i] == doctest::Approx(r.returns[i] / 3));
  r.returns.pop_back();
  CHECK_THROWS_NAMING(update_critic(critic, r, make), "returns");
  r.returns.push_back(0);
  r.value.pop_back();
  CHECK_THROWS_NAMING(update_critic(critic, r, make), "value");
}

}  // namespace
