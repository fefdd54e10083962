#include <emend/sequence_match/least_squares_objective.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "throws.hpp"
#include "trajectory_problem.hpp"

namespace {

using namespace trajectory_problems;
using emend::index;  // not the one of <strings.h>
namespace div = divergences;

TEST_CASE("least squares: value and gradient are those of the formula, under every option") {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    const problem p = random_problem(seed);
    check_against_slow(least_squares_objective{0.3, 0.9, 0.5, rollout_start::action, true, step_weighting::discounted,
                                               terminal_value::end_score, 1, 3},
                       p);
    check_against_slow(least_squares_objective{0.3, 0.9, 0.25, rollout_start::value, seed % 2 == 0,
                                               step_weighting::discounted, terminal_value::log_z, -1, 3},
                       p);
    for (const next_value_rule next : {next_value_rule::plain, next_value_rule::clipped, next_value_rule::data_fixed})
      for (const rollout_start start : {rollout_start::action, rollout_start::value})
        check_against_slow(least_squares_objective{.alpha = 4,
                                                   .gamma = 0.8,
                                                   .start = start,
                                                   .next = next,
                                                   .huber = seed % 2 == 0 ? 2.5 : detail::infinity},
                           p);
  }
}

TEST_CASE("LS-IQ's rules for V(s') of a step: its bound, and Q fixed at its own") {
  const matrix<double> x(2, 2);  // V = log 2 everywhere
  const ids offsets{0, 2}, at{0, 1}, label{1, -1};
  const auto with = [&](next_value_rule next, bool is_rollout, double huber = detail::infinity) {
    const numbers rollout{is_rollout ? 1.0 : 0.0}, complete{0};
    // The bound of V is 1/(4 * 1 * 0.5) = 0.5.
    return evaluate_trajectories(
        least_squares_objective{.alpha = 4, .gamma = 0.5, .coefficient = 1, .next = next, .huber = huber}, x,
        {offsets, at, label, rollout, complete});
  };
  CHECK(with(next_value_rule::plain, false).value == doctest::Approx(std::pow(-2 * std::log(2) - 1, 2) / 8));
  CHECK(with(next_value_rule::clipped, false).value == doctest::Approx(4.0 / 8));
  CHECK(with(next_value_rule::clipped, false).gradient(1, 0) == 0);
  CHECK(with(next_value_rule::data_fixed, false).value == doctest::Approx(4.0 / 8));
  CHECK(with(next_value_rule::clipped, true).value == 0);
  CHECK(with(next_value_rule::clipped, false, 0.5).value == doctest::Approx(0.5 * (2 * 2 - 0.5) / 8));
  CHECK(with(next_value_rule::clipped, false, 0.5).gradient(0, 1) == doctest::Approx(-0.5));
}

TEST_CASE("least squares is the chi-square mixture with the rollouts pushed down, but for a constant") {
  const problem p = random_problem(8);
  problem q = clean_problem(8);
  q.is_rollout = p.is_rollout;
  const double alpha = 0.3, gamma = 0.9;
  const auto squares =
      evaluate_trajectories(least_squares_objective{.alpha = alpha, .gamma = gamma}, q.scores, q.columns());
  // r - alpha r^2/4 on data, -r - alpha r^2/4 on rollouts, 1/alpha less a step.
  double expected = 0;
  for (std::size_t j = 0; j + 1 < q.offsets.size(); ++j) {
    const index last = q.offsets[j + 1] - 1;
    const double sign = q.is_rollout[j] != 0 ? -1 : 1;
    double weight = 1;
    for (index i = q.offsets[j]; i < last; ++i, weight *= gamma) {
      const double r = q.scores(q.at[static_cast<std::size_t>(i)], q.label[static_cast<std::size_t>(i)]) -
                       gamma * log_sum(q.scores, q.at[static_cast<std::size_t>(i) + 1]);
      expected += weight * (sign * r - alpha / 4 * r * r - 1 / alpha);
    }
    const double r = (1 - gamma) * log_sum(q.scores, q.at[static_cast<std::size_t>(last)]);
    expected += weight / (1 - gamma) * (sign * r - alpha / 4 * r * r - 1 / alpha);
  }
  CHECK(squares.objective() == doctest::Approx(expected).epsilon(1e-12));
  CHECK(squares.value_term == 0);
}

TEST_CASE("least_squares_objective: errors name the argument") {
  const problem p = random_problem(1);
  const auto with = [&](auto o) { return evaluate_trajectories(o, p.scores, p.columns()).value; };
  CHECK_THROWS_NAMING(with(least_squares_objective{.alpha = 0}), "alpha");
  CHECK_THROWS_NAMING(with(least_squares_objective{.coefficient = 0}), "coefficient");
  CHECK_THROWS_NAMING(with(least_squares_objective{.gamma = 1}), "gamma");
  CHECK_THROWS_NAMING(with(least_squares_objective{.gamma = 1, .has_tail = false, .next = next_value_rule::clipped}),
                      "gamma");
  CHECK_THROWS_NAMING(with(least_squares_objective{.huber = 0}), "huber");
}

}  // namespace
