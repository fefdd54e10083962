#include <emend/sequence_match/trajectory_columns.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "throws.hpp"
#include "trajectory_problem.hpp"

namespace {

using namespace trajectory_problems;
using emend::index;  // not the one of <strings.h>
namespace div = divergences;

TEST_CASE("trajectory columns: errors name the argument") {
  const problem p = random_problem(1);
  const auto with = [&](auto o, const trajectory_columns& columns) {
    return evaluate_trajectories(o, p.scores, columns).value;
  };
  const sequence_match_objective<> o{};
  const auto good = p.columns();
  const auto changed = [&](auto&& change) {
    trajectory_columns columns = good;
    change(columns);
    return columns;
  };
  const ids empty, from_one{1, 2}, same{0, 0}, shorter(p.at.begin(), p.at.end() - 1);
  ids far = p.at, wrong = p.label, ends = p.label;
  far[0] = p.rows;
  wrong[0] = p.vocab;
  ends.back() = 0;
  const numbers few{1};
  CHECK_THROWS_NAMING(with(o, changed([&](auto& c) { c.offsets = empty; })), "offsets");
  CHECK_THROWS_NAMING(with(o, changed([&](auto& c) { c.offsets = from_one; })), "offsets");
  CHECK_THROWS_NAMING(with(o, changed([&](auto& c) { c.offsets = same; })), "offsets");
  CHECK_THROWS_NAMING(with(o, changed([&](auto& c) { c.at = shorter; })), "at");
  CHECK_THROWS_NAMING(with(o, changed([&](auto& c) { c.label = shorter; })), "label");
  CHECK_THROWS_NAMING(with(o, changed([&](auto& c) { c.at = far; })), "at");
  CHECK_THROWS_NAMING(with(o, changed([&](auto& c) { c.label = wrong; })), "label");
  CHECK_THROWS_NAMING(with(o, changed([&](auto& c) { c.label = ends; })), "label");
  if (p.offsets.size() != 2) {
    CHECK_THROWS_NAMING(with(o, changed([&](auto& c) { c.is_rollout = few; })), "is_rollout");
    CHECK_THROWS_NAMING(with(o, changed([&](auto& c) { c.is_complete = few; })), "is_complete");
  }
  CHECK_THROWS_NAMING(
      with(sequence_match_objective<>{.masked_at_floor = 1}, changed([&](auto& c) { c.is_at_floor = few; })),
      "is_at_floor");
}

TEST_CASE("the value of trajectories: the objective is the sum of its terms, the share that of steps") {
  const trajectory_value v{.value = -6, .data_term = 1, .value_term = 2, .rollout_term = 3, .steps = 8, .outside = 2};
  CHECK(v.objective() == 6);
  CHECK(v.outside_share() == 0.25);
  CHECK(static_cast<double>(v) == -6);
  CHECK(trajectory_value{}.outside_share() == 0);
}

}  // namespace
