// SequenceMatch's objectives where no score returns to the host: once over tensors of all steps, against the same step
// by step; and on the meta device. The whole library first: what a carrier of LibTorch adds must be found in headers
// that came before it.
#include <emend/emend.hpp>

#include <emend/libtorch/loss.hpp>

#include "other_device.hpp"
#include "throws.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <type_traits>
#include <vector>

namespace {

using emend::index;
using ids = std::vector<index>;
using numbers = std::vector<double>;
namespace div = emend::divergences;

/// The library's divergences behind one type, so that emend::loss is compiled once; counts who calls it for a single
/// step.
struct any_divergence {
  enum kind {
    identity,
    forward,
    reverse,
    jensen_shannon,
    hellinger,
    pearson,
    clipped,
    neyman,
    mixture,
    variation,
    annealed,
    count
  };
  static constexpr double lowest = -emend::detail::infinity;
  kind which = pearson;
  int* for_one = nullptr;

  template <class R>
  R phi(const R& x) const {
    return of_kind([&](const auto& d) { return d.phi(x); });
  }
  template <class R>
  R derivative(const R& x) const {
    if constexpr (std::is_same_v<R, double>) ++*for_one;
    return of_kind([&](const auto& d) { return d.derivative(x); });
  }
  template <class R>
  auto is_outside(const R& x) const {
    return of_kind([&](const auto& d) {
      if constexpr (requires { d.is_outside(x); })
        return d.is_outside(x);
      else
        return x < d.lowest;
    });
  }

 private:
  template <class F>
  auto of_kind(F&& f) const {
    using emend::continued;
    switch (which) {
      case identity:
        return f(div::identity{});
      case forward:
        return f(continued<div::forward_kl>{{}, 0.3});
      case reverse:
        return f(div::reverse_kl{});
      case jensen_shannon:
        return f(continued<div::jensen_shannon>{{}, 0.2});
      case hellinger:
        return f(continued<div::squared_hellinger>{{}, 0.4});
      case clipped:
        return f(div::pearson_chi2{true});
      case neyman:
        return f(continued<div::neyman_chi2>{{}, 0.3});
      case mixture:
        return f(continued<div::mixture_chi2>{{true}, 0.3});
      case variation:
        return f(div::total_variation{0.4, 2});
      case annealed:
        return f(emend::annealed_divergence<continued<div::forward_kl>>{{{}, 0.3}, 0.25});
      default:
        return f(div::pearson_chi2{});
    }
  }
};
static_assert(emend::detail::objective_of_all_steps<emend::sequence_match_objective<any_divergence>>);
static_assert(emend::detail::objective_of_all_steps<emend::least_squares_objective>);

/// Users' own: one that knows of a single number alone, one that branches on it.
struct own_divergence {
  static constexpr double lowest = -emend::detail::infinity;
  double phi(double y) const { return std::atan(y); }
  double derivative(double y) const { return 1 / (1 + y * y); }
};
struct branching_divergence {
  static constexpr double lowest = -emend::detail::infinity;
  template <class R>
  R phi(const R& x) const {
    if (x < 0) return x;
    return x / (1 + x);
  }
  template <class R>
  R derivative(const R& x) const {
    if (x < 0) return R(1);
    return 1 / ((1 + x) * (1 + x));
  }
};

/// One that promises not to throw, and branches: the wish for the host would end the program.
struct calm_divergence : branching_divergence {
  template <class R>
  R phi(const R& x) const noexcept {
    return branching_divergence::phi(x);
  }
};
static_assert(!emend::detail::objective_of_all_steps<emend::sequence_match_objective<calm_divergence>>);
static_assert(!emend::detail::objective_of_all_steps<
              emend::sequence_match_objective<emend::annealed_divergence<emend::continued<calm_divergence>>>>);

/// A user's objective whose V(s') is a constant, and whose step branches: what the probe sees must be what the call
/// will see.
struct own_objective : emend::least_squares_objective {
  template <emend::real R>
  emend::basic_value_and_slope<R> next_value(bool, const R&) const {
    return {2, 0};
  }
  template <emend::real R>
  emend::basic_value_and_slope<R> step(bool, const R& r) const {
    if (r > 0) return {-r * r, -2 * r};
    return {0, 0};
  }
};
static_assert(emend::detail::objective_of_all_steps<own_objective>);

/// Some trajectories over rows that they share; of the rows some are read by nobody.
struct problem {
  at::Tensor scores;  // [2, rows / 2, vocab] in double
  ids offsets{0}, at, label;
  numbers is_rollout, is_complete, is_at_floor;
  index rows = 0;

  emend::trajectory_columns columns() const { return {offsets, at, label, is_rollout, is_complete, is_at_floor}; }
};
problem random_problem(std::uint64_t seed, index vocab = 6) {
  const emend::counter_random random{seed};
  std::uint64_t counter = 0;
  const auto below = [&](index n) { return random.below(n, 0, counter++); };
  problem p;
  p.rows = 2 * (3 + below(8));
  p.scores = at::randn({2, p.rows / 2, vocab}, at::TensorOptions().dtype(at::kDouble));
  for (index i = 0; i < p.rows; ++i) p.is_at_floor.push_back(below(3) == 0);
  for (index j = 0, n = 1 + below(6); j < n; ++j) {
    const bool is_rollout = below(2) == 0;
    const index actions = below(7);
    for (index i = 0; i <= actions; ++i) {
      p.at.push_back(below(p.rows - 1));
      p.label.push_back(i == actions || below(6) == 0 ? -1 : below(vocab));
    }
    p.offsets.push_back(static_cast<index>(p.at.size()));
    p.is_rollout.push_back(is_rollout);
    p.is_complete.push_back(below(3) != 0);
  }
  return p;
}

double distance(const at::Tensor& a, const at::Tensor& b) {
  REQUIRE(a.sizes() == b.sizes());
  const at::Tensor x = a.detach().cpu().to(at::kDouble), y = b.detach().cpu().to(at::kDouble);
  if (!x.isnan().equal(y.isnan())) return std::numeric_limits<double>::infinity();
  return at::where(x == y, at::zeros_like(x), (x - y).abs()).nan_to_num(0.0, 1e300).max().item().toDouble();
}

struct outcome {
  at::Tensor value, gradient;
  emend::trajectory_value parts;
};
template <class O>
outcome on_the_host(const O& objective, const at::Tensor& scores, const problem& p,
                    const emend::trajectory_options& options) {
  const at::Tensor x = scores.detach().clone().requires_grad_();
  outcome found;
  found.value = emend::loss(objective, x, p.columns(), options, &found.parts);
  found.value.backward();
  found.gradient = x.grad();
  return found;
}
template <class O>
outcome on_the_device(const O& objective, const at::Tensor& scores, const problem& p,
                      const emend::trajectory_options& options) {
  const at::Tensor x = there(scores.detach()).clone().requires_grad_();
  outcome found;
  found.value = emend::loss(objective, emend::device_scores{x}, p.columns(), options, &found.parts);
  CHECK(found.value.device() == x.device());
  const at::ScalarType expected = scores.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  CHECK((found.value.scalar_type() == expected));
  found.value.backward();
  found.gradient = x.grad();
  return found;
}
void check_same(const outcome& device, const outcome& host, double tolerance = 1e-11) {
  // Of what is finite: an infinity must be the same one.
  const double scale = std::max(1.0, host.gradient.to(at::kDouble).abs().nan_to_num(0.0, 0.0).max().item().toDouble());
  CHECK(distance(device.gradient, host.gradient) <= tolerance * scale);
  const auto near = [&](double a, double b) {
    return std::isfinite(b) ? std::abs(a - b) <= tolerance * std::max(1.0, std::abs(b))
                            : a == b || (std::isnan(a) && std::isnan(b));
  };
  CHECK(near(device.value.item().toDouble(), host.value.item().toDouble()));
  CHECK(near(device.parts.value, host.parts.value));
  CHECK(near(device.parts.data_term, host.parts.data_term));
  CHECK(near(device.parts.value_term, host.parts.value_term));
  CHECK(near(device.parts.rollout_term, host.parts.rollout_term));
  CHECK(device.parts.steps == host.parts.steps);
  CHECK(device.parts.outside == host.parts.outside);
}

/// The objectives of a seed: every divergence and option comes up.
emend::sequence_match_objective<any_divergence> objective_of(std::uint64_t seed, int* for_one) {
  using emend::terminal_value, emend::value_form;
  const auto k = static_cast<int>(seed);
  const auto which = static_cast<any_divergence::kind>(k % any_divergence::count);
  return {.divergence = {which, for_one},
          .alpha = k % 7 == 6 && which != any_divergence::annealed ? 0 : 0.6,
          .gamma = k % 5 == 4   ? 1
                   : k % 5 == 3 ? 0
                                : 0.9,
          .data_value_weight = k % 4 == 1 ? 1 : 0.5,
          .form = k % 3 == 1 ? value_form::summed : value_form::telescoped,
          .weighting = k % 6 == 1 ? emend::step_weighting::uniform : emend::step_weighting::discounted,
          .terminal = std::array{terminal_value::log_z, terminal_value::end_score,
                                 terminal_value::zero}[static_cast<std::size_t>(k / 3 % 3)],
          .end_id = 2,
          .masked_at_floor = k % 2 == 0 ? 4 : -1,
          .mixture_coefficient = k % 4 == 3 ? 0 : 0.25,
          .has_mixture_tail = k % 8 < 4};
}

TEST_CASE("device trajectories: every divergence and option, as step by step on the host") {
  at::manual_seed(41);
  for (std::uint64_t seed = 0; seed < 132; ++seed) {
    CAPTURE(seed);
    const problem p = random_problem(seed);
    int for_one = 0;
    const auto objective = objective_of(seed, &for_one);
    const emend::trajectory_options options{.data_normaliser = 3, .rollout_normaliser = 2};
    const outcome host = on_the_host(objective, p.scores, p, options);
    for_one = 0;
    const outcome device = on_the_device(objective, p.scores, p, options);
    CHECK(for_one <= 2);  // by the checks of a limit alone
    check_same(device, host);
  }
}

TEST_CASE("device trajectories: rewards as regression") {
  using emend::next_value_rule;
  at::manual_seed(42);
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    const problem p = random_problem(seed);
    const auto k = static_cast<int>(seed);
    const emend::least_squares_objective objective{
        .alpha = 0.8,
        .gamma = 0.7,
        .coefficient = k % 2 == 0 ? 0.5 : 2,
        .start = k % 3 == 0 ? emend::rollout_start::value : emend::rollout_start::action,
        .has_tail = k % 5 != 0,
        .terminal = k % 7 == 0 ? emend::terminal_value::zero : emend::terminal_value::log_z,
        .masked_at_floor = k % 4 == 1 ? 3 : -1,
        .next = static_cast<next_value_rule>(k % 3),
        .huber = k % 4 < 2 ? emend::detail::infinity : 0.5};
    check_same(on_the_device(objective, p.scores, p, {}), on_the_host(objective, p.scores, p, {}));
  }
}

TEST_CASE("device trajectories: dtypes, strides, temperature, scale and cap") {
  at::manual_seed(43);
  int for_one = 0;
  const emend::sequence_match_objective<any_divergence> objective{.divergence = {any_divergence::forward, &for_one},
                                                                  .alpha = 0.4,
                                                                  .gamma = 0.95,
                                                                  .masked_at_floor = 1,
                                                                  .mixture_coefficient = 0.25};
  const problem p = random_problem(7);
  for (const at::ScalarType type : {at::kDouble, at::kFloat, at::kBFloat16, at::kHalf})
    for (const emend::score_transform& transform :
         {emend::score_transform{}, emend::score_transform{.temperature = 0.7, .logit_scale = 1.5},
          emend::score_transform{.temperature = 1.3, .logit_scale = 0.5, .soft_cap = 2}}) {
      CAPTURE(c10::toString(type));
      const double tolerance = type == at::kDouble  ? 1e-11
                               : type == at::kFloat ? 2e-6
                               : type == at::kHalf  ? 2e-3
                                                    : 1e-2;
      const emend::trajectory_options options{.transform = transform};
      const at::Tensor x = p.scores.to(type);
      const outcome host = on_the_host(objective, x, p, options);
      check_same(on_the_device(objective, x, p, options), host, tolerance);
      // Rows of two batches that do not follow each other, ids that do not either.
      const at::Tensor strided = x.transpose(1, 2).contiguous().transpose(1, 2);
      check_same(on_the_device(objective, strided, p, options), host, tolerance);
    }
}

TEST_CASE("device trajectories: scores of -inf, NaN, rows that nobody reads, and one temperature a row") {
  at::manual_seed(44);
  const double inf = emend::detail::infinity, nan = std::numeric_limits<double>::quiet_NaN();
  int for_one = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    CAPTURE(seed);
    problem p = random_problem(seed);
    const emend::sequence_match_objective<any_divergence> objective = objective_of(seed, &for_one);
    const emend::least_squares_objective squares{
        .alpha = 0.8,
        .gamma = seed % 4 == 3 ? 0 : 0.7,
        .start = seed % 2 ? emend::rollout_start::value : emend::rollout_start::action};
    const at::Tensor rows = p.scores.view({-1, p.scores.size(2)});
    rows[p.rows - 1].fill_(nan);  // the row that no entry names
    rows[0][0] = -inf;
    rows[1].narrow(0, 2, 4).fill_(-inf);
    if (seed % 3 == 1) rows[3].fill_(-inf);  // nothing is possible
    if (seed % 3 == 2)
      rows[3].fill_(-inf), rows[3][4].fill_(0.5);  // one action is certain: at the floor perhaps the one left out
    const outcome host = on_the_host(objective, p.scores, p, {}), device = on_the_device(objective, p.scores, p, {});
    check_same(on_the_device(squares, p.scores, p, {}), on_the_host(squares, p.scores, p, {}));
    check_same(device, host);
    CHECK(device.gradient.view({-1, p.scores.size(2)})[p.rows - 1].abs().max().item().toDouble() == 0);
    rows[2][3] = nan;
    outcome with_host = on_the_host(objective, p.scores, p, {}),
            with_device = on_the_device(objective, p.scores, p, {});
    // Of a row with NaN, and slope 0 for its V, the host writes its labels alone and the device NaN.
    const auto row = [&](const outcome& of) { return of.gradient.view({-1, p.scores.size(2)})[2]; };
    if (!row(with_host).isnan().equal(row(with_device).isnan())) {
      CHECK(row(with_device).isnan().all().item().toBool());
      for (const outcome* of : {&with_host, &with_device}) row(*of).fill_(0);
    }
    check_same(with_device, with_host);
    rows[2][3] = inf;
    with_host = on_the_host(objective, p.scores, p, {}), with_device = on_the_device(objective, p.scores, p, {});
    if (!row(with_host).isnan().equal(row(with_device).isnan()))
      for (const outcome* of : {&with_host, &with_device}) row(*of).fill_(0);
    check_same(with_device, with_host);
  }
  const problem p = random_problem(3);
  const numbers temperatures(static_cast<std::size_t>(p.rows), 1.5);
  const auto objective = objective_of(2, &for_one);
  const emend::trajectory_options each{.transform = {.temperatures = temperatures}},
      one{.transform = {.temperature = 1.5}};
  check_same(on_the_device(objective, p.scores, p, each), on_the_device(objective, p.scores, p, one));
}

TEST_CASE("device trajectories: what knows of one number alone goes through the host") {
  at::manual_seed(45);
  const problem p = random_problem(11);
  const emend::sequence_match_objective<own_divergence> own{.alpha = 0.5, .gamma = 0.9, .mixture_coefficient = 0.25};
  check_same(on_the_device(own, p.scores, p, {}), on_the_host(own, p.scores, p, {}));
  const emend::sequence_match_objective<branching_divergence> branching{.alpha = 0.5, .gamma = 0.9};
  check_same(on_the_device(branching, p.scores, p, {}), on_the_host(branching, p.scores, p, {}));
  const emend::sequence_match_objective<emend::annealed_divergence<emend::continued<own_divergence>>> wrapped{
      .divergence = {.share = 0.5}, .alpha = 0.5, .gamma = 0.9};
  check_same(on_the_device(wrapped, p.scores, p, {}), on_the_host(wrapped, p.scores, p, {}));
  const emend::sequence_match_objective<calm_divergence> calm{.alpha = 0.5, .gamma = 0.9};
  check_same(on_the_device(calm, p.scores, p, {}), on_the_host(calm, p.scores, p, {}));
  const own_objective fixed{{.gamma = 0.9}};
  check_same(on_the_device(fixed, p.scores, p, {}), on_the_host(fixed, p.scores, p, {}));
  CHECK(!emend::detail::device_trajectories<decltype(own)>::can_be_called(own, other_device()));
  CHECK(!emend::detail::device_trajectories<decltype(branching)>::can_be_called(branching, other_device()));
}

TEST_CASE("device trajectories: a forest of real trajectories, in place, and over hidden states") {
  at::manual_seed(46);
  const emend::action_ids actions{.end = 0, .backspace = 1};
  const ids prompt{4, 5}, longer{4, 5, 6};
  std::vector<emend::trajectory> batch{
      emend::data_trajectory(prompt, {.pushed = {6, 7, 1, 8, 0}, .label = {6, -1, 1, 8, 0}}, actions),
      emend::rollout_trajectory(prompt, ids{6, 1, 7, 0}, actions),
      emend::data_trajectory(longer, {.pushed = {7, 8}, .label = {7, 8}}, actions)};
  const emend::trajectory_forest forest(batch);
  const auto rows = static_cast<index>(forest.rows().size());
  const emend::sequence_match_objective<> objective{.masked_at_floor = 1, .mixture_coefficient = 0.25};
  const at::Tensor hidden = at::randn({rows, 5}, at::TensorOptions().dtype(at::kDouble)),
                   weight = at::randn({9, 5}, hidden.options()), x = at::matmul(hidden, weight.t());
  const emend::trajectory_options options{.data_normaliser = 2};

  const at::Tensor on_host = x.clone().requires_grad_();
  emend::trajectory_value parts;
  const at::Tensor expected = emend::loss(objective, on_host, forest.columns(), options, &parts);
  expected.backward();
  const at::Tensor in_place = there(x).clone();
  const at::Tensor leaf = in_place.detach().requires_grad_();
  const at::Tensor value = emend::loss(objective, emend::device_scores{leaf}, forest.columns(), options, nullptr, true);
  CHECK(distance(value, expected) < 1e-12);
  value.backward();
  CHECK(distance(leaf.grad(), on_host.grad()) < 1e-12);
  CHECK(distance(in_place, on_host.grad()) < 1e-12);
  {
    const at::NoGradGuard no_graph;
    CHECK(distance(emend::loss(objective, emend::device_scores{there(x)}, forest.columns(), options), expected) <
          1e-12);
  }
  const at::Tensor d_hidden = at::matmul(on_host.grad(), weight), d_weight = at::matmul(on_host.grad().t(), hidden);
  for (const bool is_by_operations : {false, true}) {
    const at::Tensor h = there(hidden).clone().requires_grad_(), w = there(weight).clone().requires_grad_();
    emend::trajectory_value found;
    const at::Tensor product =
        is_by_operations
            ? emend::loss(objective, emend::linear_scores<emend::device_scores, emend::device_scores>{{h}, {w}},
                          forest.columns(), options, &found)
            : emend::loss(objective, emend::linear_scores{h, w}, forest.columns(), options, &found);
    product.backward();
    CHECK(distance(product, expected) < 1e-12);
    CHECK(distance(h.grad(), d_hidden) < 1e-11);
    CHECK(distance(w.grad(), d_weight) < 1e-11);
    CHECK(found.steps == parts.steps);
  }
}

TEST_CASE("device trajectories: V without an illegal action that has almost all of the mass") {
  // V without an id is log_z of the row in which its score is -inf: a reference without a subtraction. Both paths must
  // be near it, in value and gradient, whatever share the id has.
  at::manual_seed(31);
  const index illegal = 2;
  problem p;
  p.rows = 4;
  p.at = {0, 1, 2, 3, 0, 2};
  p.label = {1, 4, 3, -1, 5, -1};
  p.offsets = {0, 4, 6};
  p.is_rollout = {0, 1};
  p.is_complete = {1, 1};
  p.is_at_floor = {1, 0, 1, 1};
  for (const double left : {0.4, 3e-4, 1e-9}) {
    CAPTURE(left);
    at::Tensor others = at::randn({2, 2, 7}, at::TensorOptions().dtype(at::kDouble));
    others.select(2, illegal).fill_(-std::numeric_limits<double>::infinity());
    const at::Tensor mass = at::logsumexp(others, -1);
    for (const at::ScalarType type : {at::kDouble, at::kFloat}) {
      CAPTURE(c10::toString(type));
      at::Tensor scores = others.clone();
      scores.select(2, illegal).copy_(mass + std::log((1 - left) / left));
      scores = scores.to(type);
      at::Tensor without = scores.to(at::kDouble).clone();
      for (index row = 0; row < p.rows; ++row)
        if (p.is_at_floor[static_cast<std::size_t>(row)] != 0)
          without[row / 2][row % 2][illegal] = -std::numeric_limits<double>::infinity();
      for (const double soft_cap : {0.0, 60.0}) {
        const emend::trajectory_options options{.data_normaliser = 2,
                                                .transform = {.temperature = 0.9, .soft_cap = soft_cap}};
        emend::sequence_match_objective<> objective{.alpha = 0.3, .gamma = 0.9, .mixture_coefficient = 0.25};
        const outcome expected = on_the_host(objective, without, p, options);
        objective.masked_at_floor = illegal;
        const double tolerance = type == at::kDouble ? 1e-13 : 2e-6;
        check_same(on_the_device(objective, scores, p, options), expected, tolerance);
        check_same(on_the_host(objective, scores, p, options), expected, tolerance);
      }
    }
  }
}

TEST_CASE("device trajectories: no trajectory, and what is wrong is named") {
  const at::Tensor x = there(at::randn({4, 7}, at::TensorOptions().dtype(at::kDouble))).requires_grad_();
  const emend::device_scores scores{x};
  const emend::sequence_match_objective<> objective;
  const ids none{0}, no_entry;
  const at::Tensor value = emend::loss(objective, scores, {.offsets = none, .at = no_entry, .label = no_entry});
  value.backward();
  CHECK(value.item().toDouble() == 0);
  CHECK(x.grad().abs().max().item().toDouble() == 0);
  const ids offsets{0, 3}, at{0, 1, 2}, label{1, 2, -1}, beyond{0, 1, 4}, wrong{1, 7, -1}, last{1, 2, 3};
  CHECK_THROWS_NAMING(emend::loss(objective, scores, {.offsets = offsets, .at = beyond, .label = label}), "at");
  CHECK_THROWS_NAMING(emend::loss(objective, scores, {.offsets = offsets, .at = at, .label = wrong}), "label");
  CHECK_THROWS_NAMING(emend::loss(objective, scores, {.offsets = offsets, .at = at, .label = last}), "label");
  CHECK_THROWS_NAMING(
      emend::loss(objective, scores, {.offsets = offsets, .at = at, .label = label}, {.data_normaliser = 0}),
      "data_normaliser");
  CHECK_THROWS_NAMING(
      emend::loss(objective, scores, {.offsets = offsets, .at = at, .label = label}, {.transform = {.temperature = 0}}),
      "temperature");
  CHECK_THROWS_NAMING(emend::loss(emend::sequence_match_objective<>{.alpha = -1}, scores,
                                  {.offsets = offsets, .at = at, .label = label}),
                      "alpha");
  CHECK_THROWS_NAMING(
      emend::loss(objective, emend::device_scores{at::Tensor()}, {.offsets = offsets, .at = at, .label = label}),
      "scores");
  CHECK_THROWS_NAMING(emend::loss(objective, emend::device_scores{at::empty({4, 0}, x.options())},
                                  {.offsets = offsets, .at = at, .label = label}),
                      "scores");
}

TEST_CASE("device trajectories: on the meta device, where there is nothing to bring back") {
  int for_one = 0;
  for (const bool is_masked : {false, true}) {
    const problem p = random_problem(5);
    const at::Tensor x =
        at::empty(p.scores.sizes(), at::TensorOptions().dtype(at::kBFloat16).device(at::kMeta)).requires_grad_();
    const emend::sequence_match_objective<any_divergence> objective{.divergence = {any_divergence::forward, &for_one},
                                                                    .gamma = 0.9,
                                                                    .terminal = emend::terminal_value::end_score,
                                                                    .end_id = 2,
                                                                    .masked_at_floor = is_masked ? 4 : -1,
                                                                    .mixture_coefficient = 0.25};
    const at::Tensor value = emend::loss(objective, x, p.columns());
    value.backward();
    CHECK(value.is_meta());
    CHECK(x.grad().is_meta());
    const at::Tensor y = at::empty(p.scores.sizes(), x.options()).requires_grad_();
    emend::loss(
        emend::least_squares_objective{
            .start = emend::rollout_start::value, .next = emend::next_value_rule::clipped, .huber = 1},
        y, p.columns())
        .backward();
    CHECK(y.grad().is_meta());
  }
  CHECK(for_one == 0);
}

}  // namespace
