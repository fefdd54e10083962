#include <emend/sequence_match/evaluate_trajectories.hpp>
#include <emend/core/thread_pool.hpp>
#include <emend/evaluation/linear_source.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "throws.hpp"
#include "trajectory_problem.hpp"

namespace {

using namespace trajectory_problems;
using emend::index;  // not the one of <strings.h>
namespace div = divergences;

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

TEST_CASE("evaluate_trajectories: errors name the argument") {
  const problem p = random_problem(1);
  const sequence_match_objective<> o{};
  const auto with = [&](const trajectory_options& options) {
    return evaluate_trajectories(o, p.scores, p.columns(), options).value;
  };
  CHECK_THROWS_NAMING(with({.data_normaliser = 0}), "data_normaliser");
  CHECK_THROWS_NAMING(with({.rollout_normaliser = -1}), "rollout_normaliser");
}

}  // namespace
