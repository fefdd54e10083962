#include <emend/training/trainable.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "one_by_one.hpp"

namespace {

using namespace one_sequence_a_call;
using emend::index;  // not the one of <strings.h>
using numbers = std::vector<double>;

struct without_step : tabular::policy {
  void step() = delete;
};
struct nothing {};
static_assert(scoring_policy<tabular::policy> && trainable_policy<one_by_one> && responding_policy<one_by_one> &&
              trainable_critic<critic_one_by_one>);
static_assert(scoring_policy<without_step> && !trainable_policy<without_step>);
static_assert(!scoring_policy<nothing> && !responding_policy<nothing> && !trainable_critic<nothing>);
static_assert(summing_gradients<nothing, single_process> && summing_gradients<tabular::policy, single_process&>);

TEST_CASE("what a policy gathers over its parts is what it gathers over the whole") {
  tabular::policy whole(3, 2), halves(3, 2);
  halves.parts = 2;
  const rollout r = some_rollout(whole);
  const auto add_ones = [](const auto& scores, const std::vector<index>&, auto& gradient) {
    for (index i = 0; i < scores.rows() * scores.columns(); ++i) gradient.data()[i] = 1;
  };
  whole.differentiate(r.batch, add_ones);
  halves.differentiate(r.batch, add_ones);
  for (index i = 0; i < 18; ++i) CHECK(whole.gathered.data()[i] == halves.gathered.data()[i]);
  whole.step();
  for (index i = 0; i < 18; ++i) CHECK(whole.gathered.data()[i] == 0);
}

}  // namespace
