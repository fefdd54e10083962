#include <emend/sequence_match/trajectory_objective.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>

#include "trajectory_problem.hpp"

namespace {

using namespace trajectory_problems;
using emend::index;  // not the one of <strings.h>
namespace div = divergences;

/// A user's own objective: the log-likelihood of the data, its steps discounted.
struct likelihood {
  double gamma = 0.9;
  step_weighting weighting = step_weighting::discounted;
  value_form form = value_form::telescoped;
  terminal_value terminal = terminal_value::log_z;
  index end_id = -1, masked_at_floor = -1;
  bool counts_step(bool is_rollout) const { return !is_rollout; }
  bool counts_tail(bool is_rollout) const { return !is_rollout; }
  value_and_slope step(bool, double r) const { return {r, 1}; }
  value_and_slope tail(bool, double v) const { return {v, 1}; }
  double value_weight(bool is_rollout) const { return is_rollout ? 0 : 1; }
  double dropped_weight() const { return 1; }
  bool starts_from_value(bool) const { return false; }
  bool is_step_outside(double) const { return false; }
  bool is_tail_outside(double) const { return false; }
  void check() const {}
};
static_assert(trajectory_objective<likelihood>);
struct without_tail {
  double gamma = 0.9;
};
static_assert(!trajectory_objective<without_tail>);

TEST_CASE("a user's own trajectory objective: maximum likelihood is behavioural cloning") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const problem p = random_problem(seed);
    const auto own = evaluate_trajectories(likelihood{}, p.scores, p.columns());
    const auto expected = evaluate_trajectories(
        sequence_match_objective<div::identity>{.gamma = 0.9, .data_value_weight = 1}, p.scores, p.columns());
    CHECK(own.value == doctest::Approx(expected.value).epsilon(1e-13).scale(1));
    for (index i = 0; i < p.rows * p.vocab; ++i)
      CHECK(std::abs(own.gradient.data()[i] - expected.gradient.data()[i]) < 1e-13);
  }
}

}  // namespace
