#include <emend/sequence_match/score_trajectories.hpp>
#include <emend/sequence_match/sequence_match_objective.hpp>

#include <doctest/doctest.h>

#include <vector>

#include "tabular_policy.hpp"
#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

using namespace table_of_texts;

TEST_CASE("a policy is scored as a step of training sees it, in parts or whole, and nothing of it changes") {
  const auto data = texts(0.3);
  tabular_policy policy;
  for (int k = 0; k < 3; ++k) policy.row({0})[static_cast<std::size_t>(k)] = 0.4 * k;
  std::vector<trajectory> all = data;
  for (trajectory& t : sample(policy, 0, 5)) all.push_back(t);
  const sequence_match_objective<> objective{.alpha = 0.1, .gamma = 0.9, .mixture_coefficient = 0.25};
  for (const trajectory_normaliser by : {trajectory_normaliser::trajectories, trajectory_normaliser::actions}) {
    const trajectory_value scored = score_trajectories(policy, objective, all, {.normaliser = by});
    const auto expected = [&] {
      // One step over the same trajectories, all of them.
      tabular_policy trained;
      trained.logits = policy.logits;
      sequence_match_state state{replay_buffer(4)};
      trajectory_value seen;
      const auto first = [&](tabular_policy&, index, std::uint64_t) {
        return std::vector<trajectory>(all.begin() + static_cast<std::ptrdiff_t>(data.size()), all.end());
      };
      train_sequence_match(
          trained, data, first, [&](index) { return objective; },
          {.data_batch = 8, .rollout_batch = 4, .normaliser = by}, state, 1,
          [&](const sequence_match_report& r) { return seen = r.objective, true; });
      return seen;
    }();
    // The buffer draws with replacement: only the data's part is of the same trajectories.
    CHECK(scored.data_term == doctest::Approx(expected.data_term).epsilon(1e-12));
    CHECK(scored.steps == expected.steps);
    for (const index parts : {1, 5}) {
      const trajectory_value again =
          score_trajectories(policy, objective, all, {.micro_batch = parts, .normaliser = by});
      CHECK(again.value == doctest::Approx(scored.value).epsilon(1e-12));
      CHECK(again.rollout_term == doctest::Approx(scored.rollout_term).epsilon(1e-12));
    }
  }
  CHECK(policy.steps == 0);
  CHECK(policy.gathered.empty());
  CHECK(score_trajectories(policy, objective, {}).value == 0);
  CHECK_THROWS_NAMING(score_trajectories(policy, objective, data, {.micro_batch = -1}), "micro_batch");
}

}  // namespace
