#include <emend/training/update_policy.hpp>
#include <emend/losses/policy_objective.hpp>
#include <emend/losses/reinforce.hpp>
#include <emend/losses/sequence_level.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "one_by_one.hpp"
#include "throws.hpp"

namespace {

using namespace one_sequence_a_call;
using emend::index;  // not the one of <strings.h>
using numbers = std::vector<double>;

TEST_CASE("a policy that visits one sequence a call may meet empty responses") {
  const auto check = [&](const auto& make) {
    tabular::policy whole(3, 2);
    one_by_one parts(3, 2);
    rollout r = some_rollout(whole);
    CHECK(score_responses(parts, r.batch).log_prob == r.old_log_prob);
    token_batch supervised;
    supervised.add(std::vector<int>{0}, std::vector<int>{});
    supervised.add(std::vector<int>{1}, std::vector<int>{2, 2});
    for (const index minibatch : {0, 1, 3}) {
      const update_options options{.epochs = 2, .minibatch = minibatch, .seed = 4, .pretraining = &supervised};
      const auto got = update_policy(parts, r, make, options), want = update_policy(whole, r, make, options);
      CHECK(got.steps == want.steps);
      CHECK(got.tokens == want.tokens);
      CHECK(got.loss == doctest::Approx(want.loss));
      CHECK(got.pretraining_loss == doctest::Approx(want.pretraining_loss));
      for (index i = 0; i < whole.scores.rows() * 3; ++i)
        CHECK(parts.scores.data()[i] == doctest::Approx(whole.scores.data()[i]));
    }
    CHECK(parts.empty_parts > 0);
  };
  check(make_clip);
  check(make_sequence_clip);
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

struct noting : one_by_one {
  using one_by_one::one_by_one;
  std::vector<index> supervised;
  template <class F>
  void differentiate(const token_batch& batch, F&& f) {
    // Prompts of one id are supervised here, those of two a rollout's.
    for (index b = 0; b < batch.sequences(); ++b)
      if (batch.prompt(b).size() == 1) supervised.push_back(batch.prompt(b)[0]);
    one_by_one::differentiate(batch, f);
  }
};

TEST_CASE("the supervised sequences come one after the other, over all steps, and from the first again") {
  noting policy(5, 2);
  rollout r;
  for (int b = 0; b < 5; ++b) r.batch.add(std::vector<int>{0, 1}, std::vector<int>{2});
  r.old_log_prob = score_responses(policy, r.batch).log_prob;
  r.advantage = numbers(5, 0);
  token_batch supervised;
  for (int s = 0; s < 3; ++s) supervised.add(std::vector<int>{s}, std::vector<int>{1});
  const auto report = update_policy(policy, r, make_clip, {.epochs = 2, .minibatch = 2, .pretraining = &supervised});
  CHECK(report.steps == 6);
  CHECK(policy.supervised == std::vector<index>{0, 1, 2, 0, 1, 2, 0, 1, 2, 0});

  // A step whose responses are all empty still follows the supervised sequences, and nothing stays for the next.
  tabular::policy mixed(3, 2);
  rollout silent;
  for (int b = 0; b < 2; ++b) silent.batch.add(std::vector<int>{0}, std::vector<int>{});
  const auto of_silent = update_policy(mixed, silent, make_clip, {.pretraining = &supervised});
  CHECK(of_silent.steps == 1);
  CHECK(of_silent.tokens == 0);
  CHECK(of_silent.pretraining_loss == doctest::Approx(16 * std::log(3)));
  for (const double metric : of_silent.metrics) CHECK(metric == 0);
  CHECK(mixed.scores(mixed.row(0, 0), 1) > 0);
  CHECK(update_policy(mixed, silent, make_clip).steps == 0);
}

TEST_CASE("metrics are means over the tokens of a step, and of the update") {
  tabular::policy policy(3, 2);
  rollout r = some_rollout(policy);
  // Log-ratios 1, 2 and 3 before the first step: the first two in one step, the third in another.
  r.old_log_prob[0] -= 1, r.old_log_prob[1] -= 2, r.old_log_prob[2] -= 3;
  policy.rate = 0;
  numbers means, counts;
  const auto report = update_policy(policy, r, make_clip, {.minibatch = 1}, [&](const auto& step) {
    means.push_back(step.metrics[2]);
    counts.push_back(static_cast<double>(step.evaluated));
  });
  REQUIRE(means.size() == 2);
  const std::size_t two = counts[0] == 2 ? 0 : 1;
  CHECK(counts[two] == 2);
  CHECK(means[two] == doctest::Approx(1.5));
  CHECK(means[1 - two] == doctest::Approx(3));
  CHECK(report.metrics[2] == doctest::Approx(2));
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

TEST_CASE("an update stops above a divergence, not at it, and by the metric of that name") {
  tabular::policy policy(3, 2);
  rollout r = some_rollout(policy);
  for (double& x : r.old_log_prob) x -= 1;
  policy.rate = 0;
  double kl = 0;
  update_policy(policy, r, make_clip, {}, [&](const auto& step) { kl = step.metrics[1]; });
  CHECK(kl == doctest::Approx(std::exp(1) - 2));
  const auto steps = [&](double stop) {
    const auto report = update_policy(policy, r, make_clip, {.epochs = 3, .stop_at_kl = stop});
    CHECK(report.is_stopped == (report.steps < 3));
    return report.steps;
  };
  CHECK(steps(kl) == 3);
  CHECK(steps(std::nextafter(kl, 0)) == 1);
  CHECK(steps(std::nextafter(kl, 9)) == 3);
  CHECK(steps(2) == 3);  // below the ratio, above the divergence
  // A divergence that is no number stops, too, if anything may.
  rollout bad = r;
  bad.old_log_prob[0] = std::nan("");
  const auto stopped = update_policy(policy, bad, make_clip, {.epochs = 3, .stop_at_kl = 1e9});
  CHECK(stopped.is_stopped);
  CHECK(stopped.steps == 1);
  CHECK(update_policy(policy, bad, make_clip, {.epochs = 3}).steps == 3);
  // A loss that does not say its divergence cannot be stopped by it.
  const auto make_plain = [](const token_columns& c) {
    return policy_objective<reinforce>{.policy = {c.advantage}, .weight = c.weight};
  };
  CHECK_THROWS_NAMING(update_policy(policy, r, make_plain, {.stop_at_kl = 1}), "stop_at_kl");
  CHECK(update_policy(policy, r, make_plain).steps == 1);
  CHECK_THROWS_NAMING(update_policy(policy, r, make_clip, {.stop_at_kl = std::nan("")}), "stop_at_kl");
  CHECK_THROWS_NAMING(update_policy(policy, r, make_clip, {.aggregate = {.counts = {.tokens = 3}}}),
                      "aggregate.counts");
  CHECK_THROWS_NAMING(update_policy(policy, r, make_clip, {.aggregate = {.counts = {.sequences = 3}}}),
                      "aggregate.counts");
  r.reference_log_prob.pop_back();
  CHECK_THROWS_NAMING(update_policy(policy, r, make_clip), "reference_log_prob");
}

TEST_CASE("update_policy: errors name the argument") {
  tabular::policy reference(3, 2);
  rollout bad = collect(reference, reference, {{0}});
  CHECK_THROWS_NAMING(update_policy(reference, bad, make_clip), "advantage");
  bad.advantage = numbers(2, 0);
  CHECK_THROWS_NAMING(update_policy(reference, bad, make_clip, {.epochs = -1}), "epochs");
  CHECK_THROWS_NAMING(update_policy(reference, bad, make_clip, {.micro_batch = -1}), "micro_batch");
}

}  // namespace
