#include <emend/emend.hpp>

#include <doctest/doctest.h>

#include "tabular_policy.hpp"
#include "throws.hpp"

#include <cmath>

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using namespace table_of_texts;
namespace div = divergences;

TEST_CASE("behavioural cloning learns the frequencies of the data") {
  tabular_policy policy;
  sequence_match_state state{replay_buffer(1)};
  double before = detail::infinity;
  const auto data = texts();
  const index done = train_sequence_match(
      policy, data, none,
      [](index) { return sequence_match_objective<div::identity>{.gamma = 1, .data_value_weight = 1}; },
      {.data_batch = 8, .rollout_batch = 0}, state, 2000,
      [&](const sequence_match_report& r) {
        CHECK(r.objective.value <= before + 1e-12);
        before = r.objective.value;
        CHECK(r.data_actions == 4 * 2 + 2 * 3 + 2 * 3);
        return true;
      });
  CHECK(done == 2000);
  CHECK(state.step == 2000);
  CHECK(policy.steps == 2000);
  CHECK(policy.probabilities({0})[1] == doctest::Approx(0.75).epsilon(0.01));
  CHECK(policy.probabilities({0})[2] == doctest::Approx(0.25).epsilon(0.01));
  CHECK(policy.probabilities({0, 1})[3] == doctest::Approx(2.0 / 3).epsilon(0.02));
  CHECK(policy.probabilities({0, 1})[1] == doctest::Approx(1.0 / 3).epsilon(0.02));
}

TEST_CASE("with errors and their backspaces the model learns to erase what the data never say") {
  const auto data = texts(0.3);
  bool has_error = false;
  for (const trajectory& t : data)
    for (const index a : t.label) has_error |= a == words.backspace;
  REQUIRE(has_error);
  tabular_policy policy;
  sequence_match_state state{replay_buffer(40)};
  double last = 0, first = 0;
  train_sequence_match(
      policy, data, sample,
      [](index) { return sequence_match_objective<>{.alpha = 0.05, .gamma = 0.95, .mixture_coefficient = 0.25}; },
      {.data_batch = 8, .rollout_batch = 8, .sample_every = 5, .seed = 3}, state, 600,
      [&](const sequence_match_report& r) {
        CHECK(r.sampled == (r.step % 5 == 0 ? 4 : 0));
        CHECK(r.buffered == std::min<index>(40, 4 * (r.step / 5 + 1)));
        CHECK(r.rollouts == std::min<index>(8, r.buffered));
        if (r.step == 0) first = r.objective.objective();
        last = r.objective.objective();
        return true;
      });
  CHECK(last > first);
  // 2 2 is a text that no datum has: wherever an error led there, erasing is likely.
  double erasing = 0;
  for (const trajectory& t : data) {
    ids text{0};
    for (std::size_t i = 0; i < t.actions.size(); ++i) {
      if (t.label[i] == words.backspace) erasing = std::max(erasing, policy.probabilities(text)[4]);
      if (t.actions[i].kind == action_kind::append)
        text.push_back(t.actions[i].argument);
      else
        text.pop_back();
    }
  }
  CHECK(erasing > 0.5);
}

TEST_CASE("a run that is taken up again goes on, bit for bit, as it would have") {
  const auto data = texts(0.2);
  const sequence_match_training options{
      .data_batch = 3, .rollout_batch = 2, .sample_every = 4, .normaliser = trajectory_normaliser::actions, .seed = 11};
  const linear_schedule likelihood{1, 0, 5, 25};
  const auto objective = [&](index step) {
    return sequence_match_objective<annealed_divergence<div::pearson_chi2>>{
        .divergence = {{}, likelihood(step)},
        .alpha = 0.1,
        .gamma = 0.9,
        .mixture_coefficient = 0.25 * (1 - likelihood(step))};
  };
  const auto go = [](const sequence_match_report&) { return true; };
  tabular_policy whole, parts;
  sequence_match_state of_whole{replay_buffer(6)}, saved{replay_buffer(6)};
  CHECK(train_sequence_match(whole, data, sample, objective, options, of_whole, 40, go) == 40);
  // Stopped by its callback, saved, and taken up from copies.
  CHECK(train_sequence_match(parts, data, sample, objective, options, saved, 40,
                             [](const sequence_match_report& r) { return r.step < 17; }) == 18);
  tabular_policy again;
  again.logits = parts.logits;
  sequence_match_state state{replay_buffer(6), saved.step};
  for (index i = 0; i < saved.buffer.size(); ++i) state.buffer.push(saved.buffer[i]);
  CHECK(train_sequence_match(again, data, sample, objective, options, state, 40, go) == 22);
  CHECK(again.logits == whole.logits);
  CHECK(train_sequence_match(again, data, sample, objective, options, state, 40, go) == 0);
}

TEST_CASE("micro-batches add up to the step") {
  const auto data = texts(0.3);
  const auto objective = [](index) {
    return sequence_match_objective<continued<div::forward_kl>>{.alpha = 0.2, .gamma = 0.9, .mixture_coefficient = 0.5};
  };
  const auto train = [&](index micro_batch) {
    tabular_policy policy;
    sequence_match_state state{replay_buffer(10)};
    train_sequence_match(policy, data, sample, objective,
                         {.data_batch = 5, .rollout_batch = 3, .sample_every = 2, .micro_batch = micro_batch}, state, 6,
                         [](const sequence_match_report&) { return true; });
    return policy;
  };
  const tabular_policy whole = train(0), parts = train(3);
  CHECK(whole.passes == 6);
  CHECK(parts.passes == 18);
  CHECK(whole.logits.size() == parts.logits.size());
  for (const auto& [text, row] : whole.logits)
    for (std::size_t a = 0; a < row.size(); ++a) CHECK(std::abs(row[a] - parts.logits.at(text)[a]) < 1e-12);
}

TEST_CASE("errors name the argument") {
  tabular_policy policy;
  const auto data = texts();
  const auto objective = [](index) { return sequence_match_objective<>{}; };
  const auto train = [&](const std::vector<trajectory>& of, const sequence_match_training& options) {
    sequence_match_state state{replay_buffer(2)};
    return train_sequence_match(policy, of, sample, objective, options, state, 1,
                                [](const sequence_match_report&) { return true; });
  };
  CHECK_THROWS_NAMING(train({}, {}), "data");
  CHECK_THROWS_NAMING(train({rollout_trajectory(ids{0}, ids{3}, words)}, {}), "data");
  CHECK_THROWS_NAMING(train(data, {.data_batch = 0}), "data_batch");
  CHECK_THROWS_NAMING(train(data, {.rollout_batch = -1}), "rollout_batch");
  CHECK_THROWS_NAMING(train(data, {.sample_every = 0}), "sample_every");
  CHECK_THROWS_NAMING(train(data, {.micro_batch = -1}), "micro_batch");
  sequence_match_state state{replay_buffer(2)};
  const auto no_rollouts = [&](tabular_policy&, index, std::uint64_t) { return data; };
  CHECK_THROWS_NAMING(train_sequence_match(policy, data, no_rollouts, objective, {}, state, 1,
                                           [](const sequence_match_report&) { return true; }),
                      "sample");
  CHECK(policy.steps == 0);
}

}  // namespace
