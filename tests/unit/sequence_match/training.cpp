#include <emend/emend.hpp>

#include <doctest/doctest.h>

#include "throws.hpp"

#include <cmath>
#include <map>

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using ids = std::vector<index>;
namespace div = divergences;

// Tokens 0 (start), 1, 2; actions 1, 2, end 3, backspace 4.
constexpr index vocab = 5;
const action_ids words{.end = 3, .backspace = 4};

/// A row of logits for each text, and gradient ascent on them.
struct tabular_policy {
  std::map<ids, std::vector<double>> logits, gathered;
  double rate = 0.5;
  int steps = 0, passes = 0;

  std::vector<double>& row(const ids& text) {
    return logits.try_emplace(text, std::vector<double>(static_cast<std::size_t>(vocab), 0.0)).first->second;
  }
  std::vector<double> probabilities(const ids& text) {
    std::vector<double> p = row(text);
    double sum = 0;
    for (double& x : p) sum += x = std::exp(x);
    for (double& x : p) x /= sum;
    return p;
  }

  /// Scores of a forest's rows, and their texts.
  std::pair<matrix<double>, std::vector<ids>> read(const trajectory_forest& forest) {
    ++passes;
    const auto count = static_cast<index>(forest.rows().size());
    std::vector<ids> texts;
    matrix<double> scores(count, vocab);
    for (index k = 0; k < count; ++k) {
      ids text;
      for (index node = forest.rows()[static_cast<std::size_t>(k)]; node >= 0;
           node = forest.parent()[static_cast<std::size_t>(node)])
        text.insert(text.begin(), forest.token()[static_cast<std::size_t>(node)]);
      for (index a = 0; a < vocab; ++a) scores(k, a) = row(text)[static_cast<std::size_t>(a)];
      texts.push_back(text);
    }
    return {scores, texts};
  }
  template <class F>
  void score(const trajectory_forest& forest, F&& f) {
    f(read(forest).first);
  }
  template <class F>
  void differentiate(const trajectory_forest& forest, F&& f) {
    const auto [scores, texts] = read(forest);
    const index count = scores.rows();
    matrix<double> gradient(count, vocab);
    f(scores, gradient);
    for (index k = 0; k < count; ++k) {
      auto& sum = gathered
                      .try_emplace(texts[static_cast<std::size_t>(k)],
                                   std::vector<double>(static_cast<std::size_t>(vocab), 0.0))
                      .first->second;
      for (index a = 0; a < vocab; ++a) sum[static_cast<std::size_t>(a)] += gradient(k, a);
    }
  }
  void step() {
    ++steps;
    for (const auto& [text, slope] : gathered)
      for (std::size_t a = 0; a < slope.size(); ++a) row(text)[a] -= rate * slope[a];
    gathered.clear();
  }
  trajectory write(std::uint64_t seed, std::uint64_t stream, index longest) {
    const counter_random random{seed};
    ids text{0}, done;
    for (index k = 0; k < longest; ++k) {
      const auto& scores = row(text);
      const index a = draw_categorical(scores.data(), vocab, random.uniform(stream, static_cast<std::uint64_t>(k)));
      done.push_back(a);
      if (a == words.end) break;
      if (a != words.backspace)
        text.push_back(a);
      else if (text.size() > 1)
        text.pop_back();
    }
    return rollout_trajectory(ids{0}, done, words);
  }
};
static_assert(trainable_tree_policy<tabular_policy> && scoring_tree_policy<tabular_policy>);

const auto sample = [](tabular_policy& policy, index, std::uint64_t seed) {
  std::vector<trajectory> found;
  for (std::uint64_t i = 0; i < 4; ++i) found.push_back(policy.write(seed, i, 12));
  return found;
};
const auto none = [](tabular_policy&, index, std::uint64_t) { return std::vector<trajectory>{}; };

/// Texts 1 end, 2 1 end, 1 1 end, with frequencies 1/2, 1/4, 1/4.
std::vector<trajectory> texts(double level = 0) {
  std::vector<trajectory> data;
  for (index i = 0; i < 8; ++i) {
    const ids clean = i < 4 ? ids{1, 3} : i < 6 ? ids{2, 1, 3} : ids{1, 1, 3};
    const auto errors = draw_errors(static_cast<index>(clean.size()), uniform_noise{2, 1},
                                    {.level = level, .seed = 9, .stream = static_cast<std::uint64_t>(i)});
    data.push_back(data_trajectory(
        ids{0}, augment_with_errors(clean, errors.run_length, errors.noise_tokens, words.backspace), words));
  }
  return data;
}

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

TEST_CASE("a policy is scored as a step of training sees it, in parts or whole, and nothing of it changes") {
  const auto data = texts(0.3);
  tabular_policy policy;
  for (int k = 0; k < 3; ++k) policy.row({0})[static_cast<std::size_t>(k)] = 0.4 * k;
  std::vector<trajectory> all = data;
  for (trajectory& t : sample(policy, 0, 5)) all.push_back(t);
  const sequence_match_objective<> objective{.alpha = 0.1, .gamma = 0.9, .mixture_coefficient = 0.25};
  for (const trajectory_normaliser by : {trajectory_normaliser::trajectories, trajectory_normaliser::actions}) {
    const trajectory_value scored = score_trajectories(policy, objective, all, {.normaliser = by});
    const auto expected = [&] {
      // One step over the same trajectories, all of them.
      tabular_policy trained;
      trained.logits = policy.logits;
      sequence_match_state state{replay_buffer(4)};
      trajectory_value seen;
      const auto first = [&](tabular_policy&, index, std::uint64_t) {
        return std::vector<trajectory>(all.begin() + static_cast<std::ptrdiff_t>(data.size()), all.end());
      };
      train_sequence_match(
          trained, data, first, [&](index) { return objective; },
          {.data_batch = 8, .rollout_batch = 4, .normaliser = by}, state, 1,
          [&](const sequence_match_report& r) { return seen = r.objective, true; });
      return seen;
    }();
    // The buffer draws with replacement: only the data's part is of the same trajectories.
    CHECK(scored.data_term == doctest::Approx(expected.data_term).epsilon(1e-12));
    CHECK(scored.steps == expected.steps);
    for (const index parts : {1, 5}) {
      const trajectory_value again =
          score_trajectories(policy, objective, all, {.micro_batch = parts, .normaliser = by});
      CHECK(again.value == doctest::Approx(scored.value).epsilon(1e-12));
      CHECK(again.rollout_term == doctest::Approx(scored.rollout_term).epsilon(1e-12));
    }
  }
  CHECK(policy.steps == 0);
  CHECK(policy.gathered.empty());
  CHECK(score_trajectories(policy, objective, {}).value == 0);
  CHECK_THROWS_NAMING(score_trajectories(policy, objective, data, {.micro_batch = -1}), "micro_batch");
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
