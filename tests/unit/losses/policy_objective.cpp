#include <emend/emend.hpp>

#include <doctest/doctest.h>

#include "throws.hpp"

#include <cmath>

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using numbers = std::vector<double>;

/// Scores of two sequences of 3 positions over 4 ids; the second has one position.
struct batch {
  matrix<double> scores{6, 4};
  std::vector<index> targets{0, 3, 1, 2, 0, 0};
  numbers old{-1, -1.5, -2, -0.7, 0, 0}, reference{-1.3, -1.2, -1.9, -0.9, 0, 0}, advantage{1, 1, 1, -0.5, 0, 0},
      mask{1, 1, 1, 1, 0, 0};
  numbers weight, entropy_weight;
  batch() {
    for (index i = 0; i < 24; ++i) scores.data()[i] = std::sin(1.7 * static_cast<double>(i) + 0.3) * 2;
    weight = token_weights(layout(), aggregation::per_example_mean);
    entropy_weight = token_weights(layout());
  }
  padded layout() const { return {2, 3, mask}; }
  template <class Policy>
  policy_objective<Policy> objective(const Policy& policy, kl_weighting weighting = kl_weighting::none) const {
    return {.policy = policy,
            .weight = weight,
            .kl = {.reference_log_prob = reference, .coefficient = 0.1, .weighting = weighting, .old_log_prob = old},
            .entropy_coefficient = 0.05,
            .entropy_weight = entropy_weight};
  }
};

template <class Objective>
auto run(const Objective& objective, const matrix<double>& scores, const batch& b) {
  if constexpr (token_loss<Objective>)
    return evaluate(objective, scores, b.targets, {.mask = b.mask});
  else
    return evaluate_sequences(objective, scores, b.targets, b.layout());
}

template <class Objective>
void check_gradient(const Objective& objective) {
  const batch b;
  const auto result = run(objective, b.scores, b);
  for (index i = 0; i < 24; ++i) {
    matrix<double> up = b.scores, down = b.scores;
    up.data()[i] += 1e-6;
    down.data()[i] -= 1e-6;
    const double slope = (run(objective, up, b).value - run(objective, down, b).value) / 2e-6;
    CHECK(result.gradient.data()[i] == doctest::Approx(slope).epsilon(1e-6).scale(1e-3));
  }
}

TEST_CASE("policy, penalty and bonus in one pass are the sum of the three") {
  const batch b;
  const ppo_clip policy{b.old, b.advantage};
  const auto objective = b.objective(policy);
  const auto whole = run(objective, b.scores, b);
  const double parts =
      evaluate(policy, b.scores, b.targets, {.mask = b.mask, .weight = b.weight}).value +
      evaluate(kl_penalty{.reference_log_prob = b.reference, .coefficient = 0.1}, b.scores, b.targets,
               {.mask = b.mask, .weight = b.weight})
          .value +
      evaluate(entropy_bonus{0.05}, b.scores, b.targets, {.mask = b.mask, .weight = b.entropy_weight}).value;
  CHECK(whole.value == doctest::Approx(parts).epsilon(1e-14));
  CHECK(whole.evaluated == 4);
  CHECK(whole.metrics[0] == evaluate(policy, b.scores, b.targets, {.mask = b.mask}).metrics[0]);
  CHECK(whole.metrics[5] > 0);
}

TEST_CASE("gradients of token-level and sequence-level objectives") {
  const batch b;
  check_gradient(b.objective(ppo_clip{b.old, b.advantage}));
  check_gradient(b.objective(ppo_clip{b.old, b.advantage}, kl_weighting::ratio));
  check_gradient(b.objective(sequence_level<ppo_clip>{{b.old, b.advantage}}));
  check_gradient(b.objective(sequence_level<ppo_clip>{{b.old, b.advantage}}, kl_weighting::ratio));
  check_gradient(b.objective(gmpo{b.old, b.advantage}));
}

TEST_CASE("a weight of 0 takes the token out of the policy's loss but not out of the entropy") {
  batch b;
  b.weight[1] = 0;
  b.advantage[1] = std::nan("");
  const auto result = run(b.objective(ppo_clip{b.old, b.advantage}), b.scores, b);
  CHECK(std::isfinite(result.value));
  CHECK(result.gradient(1, 0) != 0);
}

TEST_CASE("errors name the argument") {
  batch b;
  b.weight.pop_back();
  CHECK_THROWS_NAMING(run(b.objective(ppo_clip{b.old, b.advantage}), b.scores, b), "weight");
  b = batch();
  b.entropy_weight.pop_back();
  CHECK_THROWS_NAMING(run(b.objective(ppo_clip{b.old, b.advantage}), b.scores, b), "entropy_weight");
  b = batch();
  b.reference.pop_back();
  CHECK_THROWS_NAMING(run(b.objective(sequence_level<ppo_clip>{{b.old, b.advantage}}), b.scores, b),
                      "reference_log_prob");
}

}  // namespace
