// V of a state whose illegal backspace is left out, however much of the mass it has; steps that lost their label.
#include <emend/core/matrix.hpp>
#include <emend/core/thread_pool.hpp>
#include <emend/heads/linear.hpp>
#include <emend/sequence_match/evaluate_trajectories.hpp>
#include <emend/sequence_match/least_squares_objective.hpp>
#include <emend/sequence_match/sequence_match_objective.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "instruction_sets.hpp"

using namespace emend;

namespace {

/// J of maximum likelihood (phi = x, gamma = 1) over one trajectory of two steps, the first state at the floor:
///   sum_i l(a_i | s_i) - V(s_i)
/// and its gradient, by the definition in long double.
struct expectation {
  long double value = 0;
  std::vector<long double> gradient;
};
template <class T>
expectation likelihood(const matrix<T>& x, const std::vector<int>& labels, emend::index floor_id) {
  expectation e;
  e.gradient.assign(static_cast<std::size_t>(x.rows() * x.columns()), 0);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto row = static_cast<emend::index>(i);
    const auto is_out = [&](emend::index j) { return i == 0 && j == floor_id; };
    long double largest = -1e30L, sum = 0;
    for (emend::index j = 0; j < x.columns(); ++j)
      if (!is_out(j)) largest = std::max(largest, static_cast<long double>(x(row, j)));
    for (emend::index j = 0; j < x.columns(); ++j)
      if (!is_out(j)) sum += std::exp(static_cast<long double>(x(row, j)) - largest);
    const long double v = largest + std::log(sum);
    e.value += static_cast<long double>(x(row, labels[i])) - v;
    for (emend::index j = 0; j < x.columns(); ++j) {
      long double& g = e.gradient[static_cast<std::size_t>(row * x.columns() + j)];
      if (!is_out(j)) g -= std::exp(static_cast<long double>(x(row, j)) - v);
      if (j == labels[i]) g += 1;
    }
  }
  return e;
}

template <class T, class E>
void check_mass(double gap, instruction_set set, E& executor) {
  CAPTURE(gap);
  constexpr emend::index vocab = 9, floor_id = 4;
  matrix<T> x(3, vocab);
  for (emend::index i = 0; i < 3; ++i)
    for (emend::index j = 0; j < vocab; ++j)
      x(i, j) =
          static_cast<T>(std::sin(static_cast<double>(i * 7 + j * 3))) + (j == floor_id ? static_cast<T>(gap) : T(0));
  const std::vector<int> labels{2, 6}, label{2, 6, -1}, at{0, 1, 2}, offsets{0, 3}, is_at_floor{1, 0, 0};
  // The last state is cut off, so that V(s_2) enters by the value terms alone; phi = x and gamma = 1 cancel them.
  const std::vector<int> is_complete{0};
  const sequence_match_objective<divergences::identity> objective{
      .gamma = 1, .data_value_weight = 1, .form = value_form::summed, .masked_at_floor = floor_id};
  const trajectory_columns columns{offsets, at, label, {}, is_complete, is_at_floor};
  const expectation expected = likelihood(x, labels, floor_id);
  const double tolerance = sizeof(T) == 4 ? 4e-6 : 1e-13;
  const auto check = [&](double value, const matrix<T>& gradient) {
    CHECK(std::fabs(value + static_cast<double>(expected.value)) <=
          tolerance * std::max(1.0, std::fabs(static_cast<double>(expected.value))));
    for (emend::index i = 0; i < 3; ++i)
      for (emend::index j = 0; j < vocab; ++j)
        CHECK(std::fabs(static_cast<double>(gradient(i, j)) +
                        static_cast<double>(expected.gradient[static_cast<std::size_t>(i * vocab + j)])) <= tolerance);
  };
  const trajectory_options options{.instructions = set};
  const auto got = evaluate_trajectories(objective, x, columns, options, executor);
  check(got.value, got.gradient);
  CHECK(evaluate_trajectories_value(objective, x, columns, options, executor).value == got.value);
  matrix<T> in_place = x;
  CHECK(evaluate_trajectories_into(objective, in_place, columns, options, in_place, executor).value == got.value);
  check(got.value, in_place);
  // Scores that are never stored: hidden = I.
  matrix<T> hidden(3, 3), weight(vocab, 3);
  for (emend::index i = 0; i < 3; ++i) {
    hidden(i, i) = 1;
    for (emend::index j = 0; j < vocab; ++j) weight(j, i) = x(i, j);
  }
  const auto linear = evaluate_trajectories(objective, linear_scores{hidden, weight}, columns, options, executor);
  matrix<T> transposed(3, vocab);
  for (emend::index i = 0; i < 3; ++i)
    for (emend::index j = 0; j < vocab; ++j) transposed(i, j) = linear.gradient.d_weight(j, i);
  check(linear.value, transposed);
}

TEST_CASE("V without the illegal action is exact at any mass of it") {
  thread_pool pool(2);
  const sequential alone;
  for (const instruction_set set : supported_instruction_sets())
    for (const double gap : {-5.0, 0.0, 1.5, 2.0, 2.5, 8.0, 10.2, 16.0, 30.0, 80.0}) {
      check_mass<float>(gap, set, alone);
      check_mass<double>(gap, set, alone);
      check_mass<float>(gap, set, pool);
    }
}

TEST_CASE("an objective that starts from V reads the same V") {
  constexpr emend::index vocab = 6, floor_id = 1;
  matrix<double> x(2, vocab);
  for (emend::index j = 0; j < vocab; ++j)
    x(0, j) = 0.1 * static_cast<double>(j), x(1, j) = 0.3 - 0.2 * static_cast<double>(j);
  x(0, floor_id) = 25;
  const std::vector<int> label{3, -1}, at{0, 1}, offsets{0, 2}, is_at_floor{1, 0}, is_rollout{1}, is_complete{0};
  const least_squares_objective objective{
      .alpha = 0.1, .gamma = 0.9, .start = rollout_start::value, .masked_at_floor = floor_id};
  const trajectory_columns columns{offsets, at, label, is_rollout, is_complete, is_at_floor};
  const auto value_of = [&](const matrix<double>& scores) {
    long double sum = 0, next = 0;
    for (emend::index j = 0; j < vocab; ++j) {
      if (j != floor_id) sum += std::exp(static_cast<long double>(scores(0, j)));
      next += std::exp(static_cast<long double>(scores(1, j)));
    }
    const long double r = std::log(sum) - 0.9L * std::log(next), distance = 0.1L * r + 2;
    return static_cast<double>(0.5L / (2 * 0.1L) * distance * distance);
  };
  const auto got = evaluate_trajectories(objective, x, columns);
  CHECK(got.value == doctest::Approx(value_of(x)).epsilon(1e-13));
  for (emend::index i = 0; i < 2; ++i)
    for (emend::index j = 0; j < vocab; ++j) {
      matrix<double> above = x, below = x;
      above(i, j) += 1e-5;
      below(i, j) -= 1e-5;
      CHECK(got.gradient(i, j) == doctest::Approx((value_of(above) - value_of(below)) / 2e-5).epsilon(1e-7).scale(1));
    }
}

TEST_CASE("a state in which nothing legal is left has the constant value -inf") {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const matrix<double> x(2, 2, {0.0, -infinity, 0.5, 0.25});
  const std::vector<int> label{0, -1}, at{0, 1}, offsets{0, 2}, is_at_floor{1, 0};
  const auto got = evaluate_trajectories(sequence_match_objective<>{.alpha = 0.1, .masked_at_floor = 0}, x,
                                         trajectory_columns{offsets, at, label, {}, {}, is_at_floor});
  CHECK(got.value == -infinity * -0.5 * -1);
  CHECK(got.gradient(0, 1) == 0);
}

/// The objective by its formula, in double: one trajectory of data and one rollout, some of their labels dropped.
double by_formula(const matrix<double>& x, const std::vector<int>& offsets, const std::vector<int>& label,
                  const sequence_match_objective<>& o) {
  const auto v = [&](int row) {
    double sum = 0;
    for (emend::index j = 0; j < x.columns(); ++j) sum += std::exp(x(row, j));
    return std::log(sum);
  };
  const auto phi = [](double r) { return r - r * r / 4; };
  double objective = 0;
  for (int j = 0; j < 2; ++j) {
    const int first = offsets[static_cast<std::size_t>(j)], last = offsets[static_cast<std::size_t>(j) + 1] - 1;
    double weight = 1;
    for (int i = first; i < last; ++i) {
      const int a = label[static_cast<std::size_t>(i)];
      if (a >= 0) {
        const double r = x(i, a) - o.gamma * v(i + 1);
        objective += j == 0 ? weight / o.alpha * phi(o.alpha * r) : -weight * o.alpha * o.mixture_coefficient * r * r;
      } else if (j == 0) {
        objective += weight * (v(i) - o.gamma * v(i + 1));
      }
      weight *= o.gamma;
    }
    const double tail = o.alpha * (1 - o.gamma) * v(last);
    objective += j == 0 ? weight / (o.alpha * (1 - o.gamma)) * phi(tail)
                        : -weight * o.alpha * o.mixture_coefficient * (1 - o.gamma) * v(last) * v(last);
    objective -= (j == 0 ? o.data_value_weight : 1 - o.data_value_weight) * v(first);
  }
  return objective;
}

TEST_CASE("a step without its label leaves the data's loss with its value step; the label 0 does not") {
  matrix<double> x(8, 4);
  for (emend::index i = 0; i < 8; ++i)
    for (emend::index j = 0; j < 4; ++j) x(i, j) = std::cos(static_cast<double>(i * 5 + j * 11));
  const std::vector<int> offsets{0, 4, 8}, at{0, 1, 2, 3, 4, 5, 6, 7}, is_rollout{0, 1};
  const sequence_match_objective<> objective{
      .alpha = 0.3, .gamma = 0.8, .data_value_weight = 0.3, .mixture_coefficient = 0.25};
  for (const std::vector<int>& label : {std::vector<int>{0, -1, 1, -1, 2, -1, 0, -1},
                                        {-1, 0, 0, -1, -1, 0, 3, -1},
                                        {2, 0, -1, -1, 0, 0, -1, -1},
                                        {0, 0, 0, -1, 0, 0, 0, -1}}) {
    const auto got = evaluate_trajectories(objective, x, trajectory_columns{offsets, at, label, is_rollout, {}, {}});
    CHECK(got.value == doctest::Approx(-by_formula(x, offsets, label, objective)).epsilon(1e-12));
    for (emend::index i = 0; i < 8; ++i)
      for (emend::index j = 0; j < 4; ++j) {
        matrix<double> above = x, below = x;
        above(i, j) += 1e-5;
        below(i, j) -= 1e-5;
        const double slope =
            (by_formula(below, offsets, label, objective) - by_formula(above, offsets, label, objective)) / 2e-5;
        CHECK(got.gradient(i, j) == doctest::Approx(slope).epsilon(1e-7).scale(0.1));
      }
  }
}

}  // namespace
