#include <emend/sequence_match/sequence_match_objective.hpp>
#include <emend/evaluation/evaluate.hpp>
#include <emend/losses/cross_entropy.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <vector>

#include "throws.hpp"
#include "trajectory_problem.hpp"

namespace {

using namespace trajectory_problems;
using emend::index;  // not the one of <strings.h>
namespace div = divergences;

TEST_CASE("value and gradient are those of the formula, step by step, under every option") {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    const problem p = random_problem(seed);
    for (const terminal_value terminal : {terminal_value::log_z, terminal_value::end_score, terminal_value::zero})
      for (const bool is_summed : {false, true}) {
        const auto form = is_summed ? value_form::summed : value_form::telescoped;
        const auto weighting = is_summed && seed % 2 == 0 ? step_weighting::uniform : step_weighting::discounted;
        const index masked = seed % 3 == 0 ? 4 : -1;
        check_against_slow(
            sequence_match_objective<div::identity>{{}, 0.3, 0.9, 0.5, form, weighting, terminal, 2, masked}, p);
        check_against_slow(
            sequence_match_objective<div::pearson_chi2>{
                {}, 0.5, 0.8, 0.25, form, weighting, terminal, 2, masked, 0.25, seed % 2 == 0},
            p, 3, 7);
        check_against_slow(
            sequence_match_objective<continued<div::jensen_shannon>>{
                {{}, 0.05}, 0.4, 0.95, 1, form, weighting, terminal, 2, masked},
            p, 2, 1);
      }
  }
}

TEST_CASE("a worked example, number by number") {
  // alpha 1/2, gamma 0.9, actions 1, 2, 0; a terminal V of 0.7 as the score of an end action of id 0 in its row.
  matrix<double> x(4, 3);
  const double numbers_of[] = {1, 0, -1, 0.5, 1.5, 0, 2, -1, 0, 0.7, 0, 0};
  std::copy(std::begin(numbers_of), std::end(numbers_of), x.data());
  const ids offsets{0, 4}, at{0, 1, 2, 3}, label{1, 2, 0, -1};
  const trajectory_columns columns{offsets, at, label};
  const auto objective = [&]<class D>(const D& d) {
    return evaluate_trajectories(sequence_match_objective<D>{.divergence = d,
                                                             .alpha = 0.5,
                                                             .gamma = 0.9,
                                                             .data_value_weight = 1,
                                                             .terminal = terminal_value::end_score,
                                                             .end_id = 0},
                                 x, columns)
        .objective();
  };
  CHECK(objective(div::identity{}) == doctest::Approx(-3.313113).epsilon(1e-6));
  CHECK(objective(div::forward_kl{}) == doctest::Approx(-11.114575).epsilon(1e-6));
  CHECK(objective(div::reverse_kl{}) == doctest::Approx(-5.922653).epsilon(1e-6));
  CHECK(objective(div::squared_hellinger{}) == doctest::Approx(-90.062868).epsilon(1e-6));
  CHECK(objective(div::pearson_chi2{}) == doctest::Approx(-4.327350).epsilon(1e-6));
  CHECK(objective(div::neyman_chi2{}) == doctest::Approx(-5.620697).epsilon(1e-6));
  CHECK(objective(div::mixture_chi2{}) == doctest::Approx(-7.928280).epsilon(1e-6));
  CHECK(std::isnan(objective(div::jensen_shannon{})));
}

/// The gradient of discounted maximum likelihood, as weights of `evaluate`.
matrix<double> likelihood_gradient(const problem& p, double gamma, double* value = nullptr) {
  ids rows, targets;
  numbers weight;
  for (std::size_t j = 0; j + 1 < p.offsets.size(); ++j)
    for (index i = p.offsets[j]; i + 1 < p.offsets[j + 1]; ++i) {
      rows.push_back(p.at[static_cast<std::size_t>(i)]);
      targets.push_back(p.label[static_cast<std::size_t>(i)]);
      weight.push_back(std::pow(gamma, static_cast<double>(i - p.offsets[j])));
    }
  auto result = evaluate(cross_entropy{}, p.scores, targets, {.weight = weight, .rows = rows});
  if (value) *value = result.value;
  return std::move(result.gradient);
}

TEST_CASE("behavioural cloning is discounted maximum likelihood, for every alpha and either value form") {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const problem p = clean_problem(seed);
    double expected = 0;
    const matrix<double> gradient = likelihood_gradient(p, 0.9, &expected);
    for (const double alpha : {0.0, 0.01, 3.0})
      for (const value_form form : {value_form::telescoped, value_form::summed}) {
        const auto result = evaluate_trajectories(
            sequence_match_objective<div::identity>{.alpha = alpha, .gamma = 0.9, .data_value_weight = 1, .form = form},
            p.scores, p.columns());
        CHECK(result.value == doctest::Approx(expected).epsilon(1e-13).scale(1));
        for (index i = 0; i < p.rows * p.vocab; ++i)
          CHECK(std::abs(result.gradient.data()[i] - gradient.data()[i]) < 2e-15 * (1 + 10 * std::abs(expected)));
      }
  }
}

TEST_CASE(
    "alpha to 0 goes to maximum likelihood, at the rate that the divergence's curvature says, and alpha 0 is it") {
  const auto check = [](const auto& d, double kappa) {
    using D = std::remove_cvref_t<decltype(d)>;
    const problem p = clean_problem(3);
    const matrix<double> gradient = likelihood_gradient(p, 0.9);
    const auto with = [&](double alpha) {
      return evaluate_trajectories(
          sequence_match_objective<D>{.divergence = d, .alpha = alpha, .gamma = 0.9, .data_value_weight = 1}, p.scores,
          p.columns());
    };
    const auto limit = with(0);
    CHECK(limit.outside == 0);
    double distance = 0;
    for (index i = 0; i < p.rows * p.vocab; ++i) {
      CHECK(std::abs(limit.gradient.data()[i] - gradient.data()[i]) < 1e-14);
      distance = std::max(distance, std::abs(with(1e-7).gradient.data()[i] - gradient.data()[i]));
    }
    CHECK(distance < 1e-5);
    CHECK(distance > 0);
    // (1/alpha) phi(alpha r) = r - kappa/2 alpha r^2, so J falls behind maximum likelihood by kappa/2 alpha times the
    // sum of squares.
    const double alpha = 1e-5;
    const auto chi2 = evaluate_trajectories(
        sequence_match_objective<div::pearson_chi2>{.alpha = alpha, .gamma = 0.9, .data_value_weight = 1}, p.scores,
        p.columns());
    const double ratio = (with(alpha).objective() - limit.objective()) / (chi2.objective() - limit.objective());
    CHECK(ratio == doctest::Approx(kappa / 0.5).epsilon(1e-3));
  };
  check(div::forward_kl{}, 1);
  check(div::reverse_kl{}, 1);
  check(div::jensen_shannon{}, 2);
  check(div::squared_hellinger{}, 2);
  check(div::neyman_chi2{}, 0.5);
  check(div::mixture_chi2{}, 1);
}

TEST_CASE("the value term telescopes for each trajectory: forms agree, rollouts add only their start, discounted") {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    problem p = random_problem(seed);
    for (double& x : p.is_complete) x = 1;
    sequence_match_objective<div::reverse_kl> o{.alpha = 0.2, .gamma = 0.93, .data_value_weight = 0.5};
    const auto telescoped = evaluate_trajectories(o, p.scores, p.columns());
    o.form = value_form::summed;
    const auto summed = evaluate_trajectories(o, p.scores, p.columns());
    CHECK(summed.value_term == doctest::Approx(telescoped.value_term).epsilon(1e-12).scale(1));
    for (index i = 0; i < p.rows * p.vocab; ++i)
      CHECK(std::abs(summed.gradient.data()[i] - telescoped.gradient.data()[i]) < 1e-12);
    for (std::size_t j = 0; j + 1 < p.offsets.size(); ++j) {
      double sum = 0;
      const index last = p.offsets[j + 1] - 1;
      for (index i = p.offsets[j]; i < last; ++i)
        sum += std::pow(0.93, static_cast<double>(i - p.offsets[j])) *
               (log_sum(p.scores, p.at[static_cast<std::size_t>(i)]) -
                0.93 * log_sum(p.scores, p.at[static_cast<std::size_t>(i) + 1]));
      sum += std::pow(0.93, static_cast<double>(last - p.offsets[j])) *
             log_sum(p.scores, p.at[static_cast<std::size_t>(last)]);
      CHECK(sum == doctest::Approx(log_sum(p.scores, p.at[static_cast<std::size_t>(p.offsets[j])])).epsilon(1e-12));
    }
  }
}

TEST_CASE(
    "a dropped step leaves with its value step: cloning what is left is maximum likelihood of the steps that are "
    "scored") {
  problem p = clean_problem(11);
  p.label[0] = -1;
  const auto whole =
      evaluate_trajectories(sequence_match_objective<div::identity>{.alpha = 0.1, .gamma = 0.9, .data_value_weight = 1},
                            p.scores, p.columns());
  double expected = 0;
  for (std::size_t j = 0; j + 1 < p.offsets.size(); ++j)
    for (index i = p.offsets[j]; i + 1 < p.offsets[j + 1]; ++i) {
      const index a = p.label[static_cast<std::size_t>(i)], row = p.at[static_cast<std::size_t>(i)];
      if (a >= 0)
        expected += std::pow(0.9, static_cast<double>(i - p.offsets[j])) * (p.scores(row, a) - log_sum(p.scores, row));
    }
  CHECK(whole.objective() == doctest::Approx(expected).epsilon(1e-12));
}

/// A user's own divergence: what a header of the library need not know.
struct own_divergence {
  static constexpr double lowest = -detail::infinity;
  double phi(double y) const { return std::atan(y); }
  double derivative(double y) const { return 1 / (1 + y * y); }
};

TEST_CASE("a step beyond the domain is counted, and a user's own divergence serves") {
  matrix<double> x(2, 2);
  x(0, 0) = -60;
  x(0, 1) = 0;
  x(1, 0) = x(1, 1) = 0;
  const ids offsets{0, 2}, at{0, 1}, label{0, -1};
  const trajectory_columns columns{offsets, at, label};
  const sequence_match_objective<continued<div::forward_kl>> o{.divergence = {{}, 0.01}, .alpha = 0.1, .gamma = 0.9};
  const auto result = evaluate_trajectories(o, x, columns);
  CHECK(result.steps == 2);
  CHECK(result.outside == 1);
  CHECK(result.outside_share() == 0.5);
  CHECK(std::isfinite(result.value));
  const sequence_match_objective<own_divergence> mine{.alpha = 0.1, .gamma = 0.9};
  check_against_slow(mine, random_problem(4));
}

TEST_CASE("sequence_match_objective: errors name the argument") {
  const problem p = random_problem(1);
  const auto with = [&](auto o) { return evaluate_trajectories(o, p.scores, p.columns()).value; };
  CHECK_THROWS_NAMING(with(sequence_match_objective<>{.masked_at_floor = p.vocab}), "masked_at_floor");
  CHECK_THROWS_NAMING(with(sequence_match_objective<>{.masked_at_floor = -2}), "masked_at_floor");
  CHECK_THROWS_NAMING(with(sequence_match_objective<>{.terminal = terminal_value::end_score}), "end_id");
  CHECK_THROWS_NAMING(with(sequence_match_objective<>{.terminal = terminal_value::end_score, .end_id = p.vocab}),
                      "end_id");
  CHECK_THROWS_NAMING(with(sequence_match_objective<>{.alpha = -1}), "alpha");
  CHECK_THROWS_NAMING(with(sequence_match_objective<>{.alpha = std::nan("")}), "alpha");
  CHECK_THROWS_NAMING((with(sequence_match_objective<div::reverse_kl_raw>{.alpha = 0})), "alpha");
  CHECK_THROWS_NAMING((with(sequence_match_objective<div::reverse_kl_raw>{.gamma = 1})), "gamma");
  CHECK_THROWS_NAMING(with(sequence_match_objective<>{.gamma = 1.5}), "gamma");
  CHECK_THROWS_NAMING(with(sequence_match_objective<>{.data_value_weight = detail::infinity}), "data_value_weight");
  CHECK_THROWS_NAMING(with(sequence_match_objective<>{.mixture_coefficient = -1}), "mixture_coefficient");
  CHECK_THROWS_NAMING(with(sequence_match_objective<>{.weighting = step_weighting::uniform}), "form");
  CHECK_THROWS_NAMING((with(sequence_match_objective<continued<div::forward_kl>>{.divergence = {{}, 0}})), "epsilon");
}

}  // namespace
