// Random trajectories over rows of scores, and their objectives by the formulas alone.
#pragma once

#include <emend/core/matrix.hpp>
#include <emend/core/random.hpp>
#include <emend/sequence_match/evaluate_trajectories.hpp>
#include <emend/sequence_match/least_squares_objective.hpp>
#include <emend/sequence_match/sequence_match_objective.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace trajectory_problems {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using ids = std::vector<index>;
using numbers = std::vector<double>;

/// Some trajectories over rows that they share.
struct problem {
  index rows = 0, vocab = 0;
  matrix<double> scores{0, 0};
  ids offsets{0}, at, label;
  numbers is_rollout, is_complete, is_at_floor;

  trajectory_columns columns() const { return {offsets, at, label, is_rollout, is_complete, is_at_floor}; }
};

inline problem random_problem(std::uint64_t seed, index vocab = 6) {
  const counter_random random{seed};
  std::uint64_t counter = 0;
  const auto below = [&](index n) { return random.below(n, 0, counter++); };
  problem p;
  p.rows = 5 + below(12);
  p.vocab = vocab;
  p.scores = matrix<double>(p.rows, vocab);
  for (index i = 0; i < p.rows * vocab; ++i)
    p.scores.data()[i] = 4 * random.uniform(1, static_cast<std::uint64_t>(i)) - 2;
  for (index i = 0; i < p.rows; ++i) p.is_at_floor.push_back(below(4) == 0);
  for (index j = 0, n = 1 + below(5); j < n; ++j) {
    const bool is_rollout = below(2) == 0, is_complete = below(3) != 0;
    const index actions = below(7);
    for (index i = 0; i <= actions; ++i) {
      p.at.push_back(below(p.rows));
      p.label.push_back(i == actions || (!is_rollout && below(6) == 0) ? -1 : below(vocab));
    }
    p.offsets.push_back(static_cast<index>(p.at.size()));
    p.is_rollout.push_back(is_rollout);
    p.is_complete.push_back(is_complete);
  }
  return p;
}

/// log sum_a exp l(a) of a row, one id left out.
inline double log_sum(const matrix<double>& x, index row, index left_out = -1) {
  double sum = 0;
  for (index j = 0; j < x.columns(); ++j)
    if (j != left_out) sum += std::exp(x(row, j));
  return std::log(sum);
}

/// V of entry i of trajectory j.
template <class O>
double value_at(const O& o, const problem& p, const matrix<double>& x, std::size_t j, index i) {
  const index row = p.at[static_cast<std::size_t>(i)];
  const bool is_terminal = i == p.offsets[j + 1] - 1 && p.is_complete[j] != 0;
  if (is_terminal && o.terminal == terminal_value::zero) return 0;
  if (is_terminal && o.terminal == terminal_value::end_score) return x(row, o.end_id);
  return log_sum(x, row,
                 o.masked_at_floor >= 0 && p.is_at_floor[static_cast<std::size_t>(row)] != 0 ? o.masked_at_floor : -1);
}

/// J step by step, from the formula alone.
template <class D>
double slow_objective(const sequence_match_objective<D>& o, const problem& p, const matrix<double>& x,
                      double data_count = 1, double rollout_count = 1) {
  double total = 0;
  for (std::size_t j = 0; j + 1 < p.offsets.size(); ++j) {
    const bool is_rollout = p.is_rollout[j] != 0, is_complete = p.is_complete[j] != 0;
    const index first = p.offsets[j], steps = p.offsets[j + 1] - first - 1;
    const auto v = [&](index i) { return value_at(o, p, x, j, first + i); };
    const auto w = [&](index i) {
      return o.weighting == step_weighting::uniform ? 1 : std::pow(o.gamma, static_cast<double>(i));
    };
    double terms = 0, bracket = 0, dropped = 0;
    for (index i = 0; i < steps; ++i) {
      const index a = p.label[static_cast<std::size_t>(first + i)];
      bracket += w(i) * (v(i) - o.gamma * v(i + 1));
      if (a < 0) {
        dropped += w(i) * (v(i) - o.gamma * v(i + 1));
        continue;
      }
      const double r = x(p.at[static_cast<std::size_t>(first + i)], a) - o.gamma * v(i + 1);
      terms +=
          is_rollout ? -o.alpha * o.mixture_coefficient * w(i) * r * r : w(i) / o.alpha * o.divergence.phi(o.alpha * r);
    }
    if (is_complete) {
      bracket += w(steps) * v(steps);
      const double k = 1 - o.gamma;
      if (!is_rollout)
        terms += w(steps) / (o.alpha * k) * o.divergence.phi(o.alpha * k * v(steps));
      else if (o.has_mixture_tail)
        terms -= o.alpha * o.mixture_coefficient * k * w(steps) * v(steps) * v(steps);
    }
    if (o.form == value_form::telescoped) bracket = v(0);
    total += is_rollout ? (terms - (1 - o.data_value_weight) * bracket) / rollout_count
                        : (terms - o.data_value_weight * bracket + dropped) / data_count;
  }
  return total;
}

inline double slow_objective(const least_squares_objective& o, const problem& p, const matrix<double>& x, double,
                             double) {
  double total = 0;
  const double bound = 1 / (o.coefficient * (1 - o.gamma));  // of alpha V
  const auto error = [&](double distance) {
    const double size = std::abs(distance);
    return size > o.huber ? o.huber * o.huber + 2 * o.huber * (size - o.huber) : size * size;
  };
  for (std::size_t j = 0; j + 1 < p.offsets.size(); ++j) {
    const index first = p.offsets[j], steps = p.offsets[j + 1] - first - 1;
    const double goal = (p.is_rollout[j] != 0 ? -1 : 1) / o.coefficient;
    for (index i = 0; i < steps; ++i) {
      const index entry = first + i, a = p.label[static_cast<std::size_t>(entry)];
      if (a < 0) continue;
      const double start = o.starts_from_value(p.is_rollout[j] != 0) ? value_at(o, p, x, j, entry)
                                                                     : x(p.at[static_cast<std::size_t>(entry)], a);
      double next = o.alpha * value_at(o, p, x, j, entry + 1);
      if (o.next != next_value_rule::plain) next = std::max(-bound, std::min(bound, next));
      if (o.next == next_value_rule::data_fixed && p.is_rollout[j] == 0) next = bound;
      total += std::pow(o.gamma, static_cast<double>(i)) * error(o.alpha * start - o.gamma * next - goal);
    }
    if (p.is_complete[j] != 0 && o.has_tail)
      total += std::pow(o.gamma, static_cast<double>(steps)) / (1 - o.gamma) *
               error(o.alpha * (1 - o.gamma) * value_at(o, p, x, j, first + steps) - goal);
  }
  return -o.coefficient / (2 * o.alpha) * total;
}

template <class O>
void check_against_slow(const O& o, const problem& p, double data_count = 1, double rollout_count = 1) {
  const trajectory_options options{.data_normaliser = data_count, .rollout_normaliser = rollout_count};
  const auto result = evaluate_trajectories(o, p.scores, p.columns(), options);
  const double expected = slow_objective(o, p, p.scores, data_count, rollout_count);
  CHECK(result.objective() == doctest::Approx(expected).epsilon(1e-10).scale(1));
  CHECK(result.value == -result.objective());
  matrix<double> x = p.scores;
  for (index i = 0; i < p.rows; ++i)
    for (index k = 0; k < p.vocab; ++k) {
      const double before = x(i, k), h = 1e-5;
      x(i, k) = before + h;
      const double above = slow_objective(o, p, x, data_count, rollout_count);
      x(i, k) = before - h;
      const double below = slow_objective(o, p, x, data_count, rollout_count);
      x(i, k) = before;
      CHECK(result.gradient(i, k) ==
            doctest::Approx((below - above) / (2 * h)).epsilon(1e-5).scale(std::max(1.0, std::abs(expected))));
    }
}

/// Data trajectories only, all complete and all their steps scored.
inline problem clean_problem(std::uint64_t seed) {
  problem p = random_problem(seed);
  for (double& x : p.is_rollout) x = 0;
  for (double& x : p.is_complete) x = 1;
  for (std::size_t j = 0; j + 1 < p.offsets.size(); ++j)
    for (index i = p.offsets[j]; i + 1 < p.offsets[j + 1]; ++i)
      if (p.label[static_cast<std::size_t>(i)] < 0) p.label[static_cast<std::size_t>(i)] = 0;
  return p;
}

}  // namespace trajectory_problems
