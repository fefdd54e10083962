#include <emend/core/random.hpp>
#include <emend/core/thread_pool.hpp>
#include <emend/emend.hpp>

#include <doctest/doctest.h>

#include "throws.hpp"

#include <cmath>
#include <cstring>

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using ids = std::vector<index>;
using numbers = std::vector<double>;
namespace div = divergences;

/// Some trajectories over rows that they share.
struct problem {
  index rows = 0, vocab = 0;
  matrix<double> scores{0, 0};
  ids offsets{0}, at, label;
  numbers is_rollout, is_complete, is_at_floor;

  trajectory_columns columns() const { return {offsets, at, label, is_rollout, is_complete, is_at_floor}; }
};

problem random_problem(std::uint64_t seed, index vocab = 6) {
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
double log_sum(const matrix<double>& x, index row, index left_out = -1) {
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

double slow_objective(const least_squares_objective& o, const problem& p, const matrix<double>& x, double, double) {
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

/// Data trajectories only, all complete and all their steps scored.
problem clean_problem(std::uint64_t seed) {
  problem p = random_problem(seed);
  for (double& x : p.is_rollout) x = 0;
  for (double& x : p.is_complete) x = 1;
  for (std::size_t j = 0; j + 1 < p.offsets.size(); ++j)
    for (index i = p.offsets[j]; i + 1 < p.offsets[j + 1]; ++i)
      if (p.label[static_cast<std::size_t>(i)] < 0) p.label[static_cast<std::size_t>(i)] = 0;
  return p;
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

TEST_CASE("parts of a batch add up to the whole, by the constants of the whole") {
  const problem p = random_problem(5);
  const sequence_match_objective<div::pearson_chi2> o{.alpha = 0.1, .gamma = 0.9, .mixture_coefficient = 0.25};
  const trajectory_options options{.data_normaliser = 5, .rollout_normaliser = 3};
  const auto whole = evaluate_trajectories(o, p.scores, p.columns(), options);
  double value = 0;
  matrix<double> sum(p.rows, p.vocab);
  for (index i = 0; i < p.rows * p.vocab; ++i) sum.data()[i] = 0;
  for (std::size_t j = 0; j + 1 < p.offsets.size(); ++j) {
    const index begin = p.offsets[j], size = p.offsets[j + 1] - begin;
    const ids offsets{0, size};
    const trajectory_columns part{offsets, id_column(p.at.data() + begin, size),
                                  id_column(p.label.data() + begin, size), column(p.is_rollout.data() + j, 1),
                                  column(p.is_complete.data() + j, 1)};
    const auto one = evaluate_trajectories(o, p.scores, part, options);
    value += one.value;
    for (index i = 0; i < p.rows * p.vocab; ++i) sum.data()[i] += one.gradient.data()[i];
  }
  CHECK(value == doctest::Approx(whole.value).epsilon(1e-13));
  for (index i = 0; i < p.rows * p.vocab; ++i) CHECK(std::abs(sum.data()[i] - whole.gradient.data()[i]) < 1e-14);
}

TEST_CASE("the same bits for any number of threads, in place, column by column, and through a linear head") {
  const index rows = 300, vocab = 97;
  matrix<float> x(rows, vocab);
  const counter_random random{1};
  for (index i = 0; i < rows * vocab; ++i)
    x.data()[i] = static_cast<float>(6 * random.uniform(0, static_cast<std::uint64_t>(i)) - 3);
  ids offsets{0}, at, label;
  numbers is_rollout, is_at_floor(rows, 0);
  for (index j = 0; j < 20; ++j) {
    for (index i = 0; i < 15; ++i) {
      at.push_back(i == 0 ? 0 : random.below(rows, 2, static_cast<std::uint64_t>(at.size())));
      label.push_back(i == 14 ? -1 : random.below(vocab, 3, static_cast<std::uint64_t>(at.size())));
    }
    offsets.push_back(static_cast<index>(at.size()));
    is_rollout.push_back(j % 2 == 0 ? 0 : 1);
  }
  is_at_floor[0] = is_at_floor[7] = 1;
  const trajectory_columns columns{offsets, at, label, is_rollout, {}, is_at_floor};
  const sequence_match_objective<> o{.alpha = 0.2, .gamma = 0.95, .masked_at_floor = 5, .mixture_coefficient = 0.25};
  const trajectory_options options{.data_normaliser = 10, .rollout_normaliser = 10};
  const auto bytes = static_cast<std::size_t>(rows * vocab) * sizeof(float);
  const auto alone = evaluate_trajectories(o, x, columns, options);
  thread_pool pool(3);
  const auto together = evaluate_trajectories(o, x, columns, options, pool);
  CHECK(together.value == alone.value);
  CHECK(std::memcmp(together.gradient.data(), alone.gradient.data(), bytes) == 0);
  matrix<float> in_place = x;
  CHECK(evaluate_trajectories_into(o, in_place, columns, options, in_place, pool).value == alone.value);
  CHECK(std::memcmp(in_place.data(), alone.gradient.data(), bytes) == 0);

  std::vector<float> turned(static_cast<std::size_t>(rows * vocab)), turned_gradient(turned.size());
  for (index i = 0; i < rows; ++i)
    for (index k = 0; k < vocab; ++k) turned[static_cast<std::size_t>(k * rows + i)] = x(i, k);
  const score_view<const float> by_column{turned.data(), rows, vocab, 1, rows};
  score_view<float> gradient_by_column{turned_gradient.data(), rows, vocab, 1, rows};
  const double value = evaluate_trajectories_into(o, by_column, columns, options, gradient_by_column);
  CHECK(value == doctest::Approx(alone.value).epsilon(1e-6));
  for (index i = 0; i < rows; ++i)
    for (index k = 0; k < vocab; ++k)
      CHECK(gradient_by_column(i, k) == doctest::Approx(alone.gradient(i, k)).epsilon(1e-4).scale(1e-3));

  // x = x I: the gradient of the hidden state is that of the scores.
  matrix<double> hidden(rows, vocab), unit(vocab, vocab);
  for (index i = 0; i < rows * vocab; ++i) hidden.data()[i] = static_cast<double>(x.data()[i]);
  for (index i = 0; i < vocab; ++i)
    for (index k = 0; k < vocab; ++k) unit(i, k) = i == k;
  const auto exact = evaluate_trajectories(o, hidden, columns, options);
  const auto linear = evaluate_trajectories(o, linear_scores{hidden, unit}, columns, options);
  CHECK(linear.value == doctest::Approx(exact.value).epsilon(1e-13));
  for (index i = 0; i < rows * vocab; ++i)
    CHECK(std::abs(linear.gradient.d_hidden.data()[i] - exact.gradient.data()[i]) < 1e-13);
}

TEST_CASE("a transform of the scores has its chain rule in the late entries, too") {
  const problem p = random_problem(9);
  const sequence_match_objective<div::reverse_kl> o{
      .alpha = 0.2, .gamma = 0.9, .masked_at_floor = 1, .mixture_coefficient = 0.5};
  for (const score_transform& transform :
       {score_transform{.temperature = 2}, score_transform{.temperature = 0.7, .logit_scale = 1.5, .soft_cap = 3}}) {
    const trajectory_options options{.transform = transform};
    const auto result = evaluate_trajectories(o, p.scores, p.columns(), options);
    matrix<double> x = p.scores;
    for (index i = 0; i < p.rows * p.vocab; ++i) {
      const double before = x.data()[i], h = 1e-5;
      x.data()[i] = before + h;
      const double above = evaluate_trajectories_value(o, x, p.columns(), options);
      x.data()[i] = before - h;
      const double below = evaluate_trajectories_value(o, x, p.columns(), options);
      x.data()[i] = before;
      CHECK(result.gradient.data()[i] == doctest::Approx((above - below) / (2 * h)).epsilon(1e-5).scale(1));
    }
  }
}

TEST_CASE("what is not read stays unread: rows of NaN, rollouts beyond their start") {
  problem p = random_problem(2);
  p.offsets = {0, 3, 6};
  p.at = {0, 1, 2, 0, 3, 4};
  p.label = {1, 2, -1, 2, 1, -1};
  p.is_rollout = {0, 1};
  p.is_complete = {1, 1};
  const double nan = std::nan("");
  for (index row = 3; row < p.rows; ++row)
    for (index k = 0; k < p.vocab; ++k) p.scores(row, k) = nan;
  const sequence_match_objective<> plain{};
  const auto result = evaluate_trajectories(plain, p.scores, p.columns());
  CHECK(std::isfinite(result.value));
  for (index row = 3; row < p.rows; ++row)
    for (index k = 0; k < p.vocab; ++k) CHECK(result.gradient(row, k) == 0);
  sequence_match_objective<> mixture{};
  mixture.mixture_coefficient = 0.25;
  CHECK(std::isnan(evaluate_trajectories(mixture, p.scores, p.columns()).value));
}

TEST_CASE("edge cases: no trajectory, no action, -inf") {
  const double inf = detail::infinity;
  const matrix<double> none(0, 4);
  const ids start{0};
  CHECK(evaluate_trajectories(sequence_match_objective<>{}, none, {.offsets = start}).value == 0);

  matrix<double> x(3, 3);
  const double values[] = {0, 1, -inf, 0.5, -inf, 0, 1, 0, 2};
  std::copy(std::begin(values), std::end(values), x.data());
  // Rows that no trajectory reads.
  const auto unread = evaluate_trajectories(sequence_match_objective<>{}, x, {.offsets = start});
  CHECK(unread.value == 0);
  for (index i = 0; i < 9; ++i) CHECK(unread.gradient.data()[i] == 0);

  const ids one{0, 1}, at_one{1}, no_label{-1};
  // Only a terminal state: phi(alpha (1 - gamma) V)/(alpha (1 - gamma)) - V/2.
  const auto empty = evaluate_trajectories(sequence_match_objective<div::identity>{}, x,
                                           {.offsets = one, .at = at_one, .label = no_label});
  const double v = std::log(std::exp(0.5) + 1);
  CHECK(empty.objective() == doctest::Approx(v / 2));
  CHECK(empty.steps == 1);
  CHECK(empty.gradient(1, 1) == 0);

  const ids offsets{0, 3}, at{0, 1, 2}, impossible{2, 0, -1}, possible{1, 0, -1};
  const auto fine = evaluate_trajectories(sequence_match_objective<>{.gamma = 0.9}, x,
                                          {.offsets = offsets, .at = at, .label = possible});
  CHECK(std::isfinite(fine.value));
  CHECK(fine.gradient(0, 2) == 0);
  const auto outside = evaluate_trajectories(sequence_match_objective<>{.gamma = 0.9}, x,
                                             {.offsets = offsets, .at = at, .label = impossible});
  CHECK(outside.value == inf);
  for (index i = 0; i < 9; ++i) CHECK(std::isfinite(outside.gradient.data()[i]));
  CHECK(outside.gradient(0, 2) == 0);
  // A backspace that is certain, and not legal: what is left has no mass.
  matrix<double> certain(2, 2);
  certain(0, 0) = certain(1, 0) = certain(1, 1) = 0;
  certain(0, 1) = -inf;
  const ids two{0, 2}, path{0, 1}, act{0, -1};
  const numbers floor{1, 0};
  CHECK(!std::isfinite(evaluate_trajectories(sequence_match_objective<>{.masked_at_floor = 0}, certain,
                                             {.offsets = two, .at = path, .label = act, .is_at_floor = floor})
                           .value));
}

/// A user's own divergence: what a header of the library need not know.
struct own_divergence {
  static constexpr double lowest = -detail::infinity;
  double phi(double y) const { return std::atan(y); }
  double derivative(double y) const { return 1 / (1 + y * y); }
};

TEST_CASE("an id left out at the floor is as good as a score of -inf there") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    problem p = random_problem(seed);
    // Nobody does at the floor what is not legal there.
    for (std::size_t i = 0; i < p.at.size(); ++i)
      if (p.label[i] == 4 && p.is_at_floor[static_cast<std::size_t>(p.at[i])] != 0) p.label[i] = 1;
    matrix<double> forbidden = p.scores;
    for (index row = 0; row < p.rows; ++row)
      if (p.is_at_floor[static_cast<std::size_t>(row)] != 0) forbidden(row, 4) = -detail::infinity;
    // Terminal states are nobody's floor.
    for (std::size_t j = 0; j + 1 < p.offsets.size(); ++j) p.is_complete[j] = 0;
    const sequence_match_objective<> left_out{
        .alpha = 0.3, .gamma = 0.9, .masked_at_floor = 4, .mixture_coefficient = 0.25};
    const sequence_match_objective<> plain{.alpha = 0.3, .gamma = 0.9, .mixture_coefficient = 0.25};
    const auto one = evaluate_trajectories(left_out, p.scores, p.columns()),
               other = evaluate_trajectories(plain, forbidden, p.columns());
    CHECK(one.value == doctest::Approx(other.value).epsilon(1e-13));
    for (index i = 0; i < p.rows * p.vocab; ++i)
      CHECK(std::abs(one.gradient.data()[i] - other.gradient.data()[i]) < 1e-13);
  }
}

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

TEST_CASE("errors name the argument") {
  const problem p = random_problem(1);
  const auto with = [&](auto o, const trajectory_columns& columns, const trajectory_options& options = {}) {
    return evaluate_trajectories(o, p.scores, columns, options).value;
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
  CHECK_THROWS_NAMING(with(sequence_match_objective<>{.masked_at_floor = p.vocab}, good), "masked_at_floor");
  CHECK_THROWS_NAMING(with(sequence_match_objective<>{.masked_at_floor = -2}, good), "masked_at_floor");
  CHECK_THROWS_NAMING(with(sequence_match_objective<>{.terminal = terminal_value::end_score}, good), "end_id");
  CHECK_THROWS_NAMING(with(sequence_match_objective<>{.terminal = terminal_value::end_score, .end_id = p.vocab}, good),
                      "end_id");
  CHECK_THROWS_NAMING(with(sequence_match_objective<>{.alpha = -1}, good), "alpha");
  CHECK_THROWS_NAMING(with(sequence_match_objective<>{.alpha = std::nan("")}, good), "alpha");
  CHECK_THROWS_NAMING((with(sequence_match_objective<div::reverse_kl_raw>{.alpha = 0}, good)), "alpha");
  CHECK_THROWS_NAMING((with(sequence_match_objective<div::reverse_kl_raw>{.gamma = 1}, good)), "gamma");
  CHECK_THROWS_NAMING(with(sequence_match_objective<>{.gamma = 1.5}, good), "gamma");
  CHECK_THROWS_NAMING(with(sequence_match_objective<>{.data_value_weight = detail::infinity}, good),
                      "data_value_weight");
  CHECK_THROWS_NAMING(with(sequence_match_objective<>{.mixture_coefficient = -1}, good), "mixture_coefficient");
  CHECK_THROWS_NAMING(with(sequence_match_objective<>{.weighting = step_weighting::uniform}, good), "form");
  CHECK_THROWS_NAMING((with(sequence_match_objective<continued<div::forward_kl>>{.divergence = {{}, 0}}, good)),
                      "epsilon");
  CHECK_THROWS_NAMING(with(least_squares_objective{.alpha = 0}, good), "alpha");
  CHECK_THROWS_NAMING(with(least_squares_objective{.coefficient = 0}, good), "coefficient");
  CHECK_THROWS_NAMING(with(least_squares_objective{.gamma = 1}, good), "gamma");
  CHECK_THROWS_NAMING(
      with(least_squares_objective{.gamma = 1, .has_tail = false, .next = next_value_rule::clipped}, good), "gamma");
  CHECK_THROWS_NAMING(with(least_squares_objective{.huber = 0}, good), "huber");
  CHECK_THROWS_NAMING(with(o, good, {.data_normaliser = 0}), "data_normaliser");
  CHECK_THROWS_NAMING(with(o, good, {.rollout_normaliser = -1}), "rollout_normaliser");
}

}  // namespace
