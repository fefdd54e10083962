#include "tabular.hpp"

#include <doctest/doctest.h>

#include "throws.hpp"

#include <cmath>

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using numbers = std::vector<double>;

/// Scores of a task over 3 tokens and responses of 2: the second token should be the first plus one, the first is free
/// but for a small bonus; each token is paid where it is written.
numbers score_task(const rollout& r) {
  numbers score(static_cast<std::size_t>(r.batch.tokens()), 0);
  for (index b = 0; b < r.batch.sequences(); ++b) {
    const index t = r.batch.first_token(b), first = r.batch.targets()[static_cast<std::size_t>(t)],
                second = r.batch.targets()[static_cast<std::size_t>(t) + 1];
    score[static_cast<std::size_t>(t)] = first == 2 ? 0.3 : 0;
    score[static_cast<std::size_t>(t) + 1] = second == (first + 1) % 3 ? 1 : 0;
  }
  return score;
}

numbers score_task_of_nothing(const rollout& r) { return numbers(static_cast<std::size_t>(r.batch.tokens()), 0); }

TEST_CASE("PPO with a divergence in the reward reaches the known optimum: pi = softmax of reward / beta") {
  // The optimum of E[sum r] - beta KL(pi | uniform): the second step's is softmax(r / beta) in every row, the first's
  // is softmax((r + V) / beta) with the soft value of what follows, the same for every first token.
  const double beta = 0.5;
  tabular::policy policy(3, 2), reference(3, 2);
  tabular::critic critic(3, 2);
  policy.rate = 3;
  critic.rate = 3;
  ppo_options options{
      .reward = {.kl_coefficient = beta}, .gae = {.gamma = 1, .lambda = 1}, .whitens_advantages = false, .seed = 5};
  options.value_clip = 1e9;
  options.policy = {.epochs = 2, .minibatch = 600};
  options.critic = {.epochs = 2, .minibatch = 600};
  const std::vector<std::vector<index>> prompts(1200, {0});
  double score = 0;
  const index done = train_ppo(
      policy, reference, critic, [&](index) { return prompts; }, score_task, options, 0, 150,
      [&](const rollout&, const ppo_report& report) {
        if (report.iteration == 100) policy.rate = critic.rate = 0.6;
        score = report.score;
        return true;
      });
  CHECK(done == 150);
  const double good = std::exp(1 / beta), share = good / (good + 2);
  const double bonus = std::exp(0.3 / beta), first_share = bonus / (bonus + 2);
  for (index first = 0; first < 3; ++first) {
    const double* row = policy.scores.data() + policy.row(first, 1) * 3;
    const double z = std::exp(row[0]) + std::exp(row[1]) + std::exp(row[2]);
    CHECK(std::exp(row[(first + 1) % 3]) / z == doctest::Approx(share).epsilon(0.03));
  }
  const double* row = policy.scores.data() + policy.row(0, 0) * 3;
  const double z = std::exp(row[0]) + std::exp(row[1]) + std::exp(row[2]);
  CHECK(std::exp(row[2]) / z == doctest::Approx(first_share).epsilon(0.05));
  CHECK(score == doctest::Approx(share + 0.3 * first_share).epsilon(0.05));
}

/// Some iterations from a fresh start; the scores at the end.
template <class Change>
matrix<double> run(Change&& change, int iterations = 3) {
  tabular::policy policy(3, 2), reference(3, 2);
  tabular::critic critic(3, 2);
  ppo_options options{.seed = 9};
  options.policy = {.epochs = 2, .minibatch = 16};
  options.critic = {.epochs = 1, .minibatch = 16};
  change(policy, options);
  const std::vector<std::vector<index>> prompts{{0}, {1}, {2, 0}, {0, 0, 1}};
  options.responses_per_prompt = 12;
  for (int i = 0; i < iterations; ++i) ppo_iteration(policy, reference, critic, prompts, score_task, options, i);
  return policy.scores;
}

TEST_CASE("micro-batches and parts change nothing but rounding; the seed is all that is random") {
  const auto plain = run([](auto&, auto&) {});
  const auto is_near = [&](const matrix<double>& other, double tolerance) {
    double far = 0;
    for (index i = 0; i < plain.rows() * plain.columns(); ++i)
      far = std::max(far, std::abs(plain.data()[i] - other.data()[i]));
    return far <= tolerance;
  };
  CHECK(is_near(run([](auto&, auto&) {}), 0));
  CHECK(is_near(run([](auto&, auto& options) { options.policy.micro_batch = 5; }), 1e-12));
  CHECK(is_near(run([](auto& policy, auto&) { policy.parts = 3; }), 1e-12));
  CHECK(!is_near(run([](auto&, auto& options) { options.seed = 10; }), 1e-3));
  for (const aggregation how : {aggregation::token_sum, aggregation::per_example_mean}) {
    const auto whole = run([&](auto&, auto& options) { options.policy.how = how; });
    const auto parts = run([&](auto&, auto& options) { options.policy.how = how, options.policy.micro_batch = 3; });
    for (index i = 0; i < whole.rows() * whole.columns(); ++i)
      CHECK(parts.data()[i] == doctest::Approx(whole.data()[i]).epsilon(1e-11));
  }
}

TEST_CASE("a run taken up again goes on as it would have") {
  tabular::policy whole(3, 2), halves(3, 2), reference(3, 2);
  tabular::critic whole_critic(3, 2), halves_critic(3, 2);
  const ppo_options options{.seed = 3};
  const auto prompts = [](index) { return std::vector<std::vector<index>>(10, {1}); };
  const auto on = [](const rollout&, const ppo_report&) { return true; };
  train_ppo(whole, reference, whole_critic, prompts, score_task, options, 0, 6, on);
  train_ppo(halves, reference, halves_critic, prompts, score_task, options, 0, 2, on);
  train_ppo(halves, reference, halves_critic, prompts, score_task, options, 2, 6, on);
  for (index i = 0; i < whole.scores.rows() * 3; ++i) CHECK(whole.scores.data()[i] == halves.scores.data()[i]);
}

TEST_CASE("any loss is one lambda: a sequence-level one, and one with columns of its own") {
  tabular::policy policy(3, 2), reference(3, 2);
  auto r = collect(policy, reference, {{0}, {1}}, {.responses_per_prompt = 4, .seed = 1});
  r.advantage = numbers(16, 0);
  for (index b = 0; b < 8; ++b)
    r.advantage[static_cast<std::size_t>(2 * b)] = r.advantage[static_cast<std::size_t>(2 * b + 1)] = b % 2 ? 1 : -1;
  const auto of_sequence = update_policy(policy, r, [](const token_columns& c) {
    return policy_objective<sequence_level<ppo_clip>>{.policy = {{c.old_log_prob, c.advantage}}, .weight = c.weight};
  });
  CHECK(of_sequence.steps == 1);
  CHECK(of_sequence.tokens == 16);
  CHECK(of_sequence.metrics[3] == doctest::Approx(1));  // ratio before the first step

  const numbers own(16, 2);
  index seen = 0;
  const auto lambda =
      update_policy(policy, r,
                    [&](const token_columns& c) {
                      const auto mine = gather(own, c.tokens);
                      seen += c.tokens.size();
                      return [mine, weight = c.weight](const auto& t) { return t(mine) * t(weight) * t.log_prob; };
                    },
                    {.epochs = 3, .minibatch = 3});
  CHECK(seen == 3 * 16);
  CHECK(lambda.steps == 9);
}

TEST_CASE("the pretraining mix adds the gradient of the likelihood, and nothing else") {
  // With advantages of 0 the mix is all that moves the policy: towards what its batch says.
  tabular::policy policy(3, 2), reference(3, 2);
  policy.rate = 0.5;
  auto r = collect(policy, reference, std::vector<std::vector<index>>(6, {0}), {.seed = 2});
  r.advantage = numbers(12, 0);
  token_batch supervised;
  supervised.add(std::vector<int>{0}, std::vector<int>{2, 1});
  supervised.add(std::vector<int>{1}, std::vector<int>{2, 2});
  const auto make = [](const token_columns& c) {
    return policy_objective<ppo_clip>{.policy = {c.old_log_prob, c.advantage}, .weight = c.weight};
  };
  const auto report = update_policy(policy, r, make, {.pretraining = &supervised, .pretraining_coefficient = 2});
  CHECK(report.loss == 0);
  CHECK(report.pretraining_loss == doctest::Approx(2 * std::log(3)));
  // One step: a row that is met m times among the 12 tokens moves by rate * 2 * m / 12 (one at the target - 1/3).
  const auto cell = [&](index previous, index depth, index j) { return policy.scores(policy.row(previous, depth), j); };
  CHECK(cell(0, 0, 2) == doctest::Approx(0.5 * 2 * 3.0 / 12 * 2 / 3));
  CHECK(cell(0, 0, 0) == doctest::Approx(-0.5 * 2 * 3.0 / 12 / 3));
  CHECK(cell(2, 1, 1) == doctest::Approx(0.5 * 2 * (3.0 - 6.0 / 3) / 12));
  const auto without = update_policy(policy, r, make);
  CHECK(without.pretraining_loss == 0);
  const token_batch none;
  CHECK_THROWS_NAMING(update_policy(policy, r, make, {.pretraining = &none}), "pretraining");
}

TEST_CASE("an update ends where the policy has moved too far") {
  tabular::policy policy(3, 2), reference(3, 2);
  policy.rate = 50;
  auto r = collect(policy, reference, std::vector<std::vector<index>>(20, {0}), {.seed = 2});
  r.advantage = numbers(40, 1);
  for (std::size_t i = 0; i < 40; i += 3) r.advantage[i] = -1;
  const auto make = [](const token_columns& c) {
    return policy_objective<ppo_clip>{.policy = {c.old_log_prob, c.advantage}, .weight = c.weight};
  };
  const auto report = update_policy(policy, r, make, {.epochs = 50, .stop_at_kl = 0.01});
  CHECK(report.is_stopped);
  CHECK(report.steps < 50);
}

TEST_CASE("empty responses, no prompts, and errors") {
  struct silent : tabular::policy {
    using tabular::policy::policy;
    std::vector<std::vector<index>> respond(const std::vector<std::vector<index>>& prompts, std::uint64_t) const {
      return std::vector<std::vector<index>>(prompts.size());
    }
  };
  silent policy(3, 2);
  tabular::policy reference(3, 2);
  tabular::critic critic(3, 2);
  const auto [r, report] = ppo_iteration(policy, reference, critic, {{0}, {1}}, score_task_of_nothing, {}, 0);
  CHECK(report.tokens == 0);
  CHECK(report.sequences == 2);
  CHECK(report.policy_loss == 0);
  const auto [none, nothing] = ppo_iteration(policy, reference, critic, {}, score_task_of_nothing, {}, 0);
  CHECK(nothing.sequences == 0);

  token_batch batch;
  CHECK_THROWS_NAMING(batch.add(std::vector<index>{}, std::vector<index>{1}), "prompt");
  batch.add(std::vector<int>{0, 1}, std::vector<int>{2});
  CHECK_THROWS_NAMING(batch.select(std::vector<int>{1}), "sequences");
  CHECK_THROWS_NAMING(collect(reference, reference, {{0}}, {.responses_per_prompt = 0}), "responses_per_prompt");
  rollout bad = collect(reference, reference, {{0}});
  const auto make = [](const token_columns& c) {
    return policy_objective<ppo_clip>{.policy = {c.old_log_prob, c.advantage}, .weight = c.weight};
  };
  CHECK_THROWS_NAMING(update_policy(reference, bad, make), "advantage");
  bad.advantage = numbers(2, 0);
  CHECK_THROWS_NAMING(update_policy(reference, bad, make, {.epochs = -1}), "epochs");
  CHECK_THROWS_NAMING(update_policy(reference, bad, make, {.micro_batch = -1}), "micro_batch");
}

TEST_CASE("minibatches: every sequence once, shuffled by seed and epoch, the last one short") {
  const auto parts = minibatches(10, 4, 1, 0);
  CHECK(parts.size() == 3);
  CHECK(parts[2].size() == 2);
  std::vector<int> seen(10, 0);
  for (const auto& part : parts)
    for (const index b : part) ++seen[static_cast<std::size_t>(b)];
  CHECK(seen == std::vector<int>(10, 1));
  CHECK(minibatches(10, 4, 1, 0) == parts);
  CHECK(minibatches(10, 4, 1, 1) != parts);
  CHECK(minibatches(10, 4, 2, 0) != parts);
  CHECK(minibatches(10, 0, 1, 0).size() == 1);
  CHECK(minibatches(0, 4, 1, 0).empty());
  CHECK_THROWS_NAMING(minibatches(-1, 4, 1, 0), "n");
}

}  // namespace
