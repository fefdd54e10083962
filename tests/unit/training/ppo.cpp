#include <emend/training/ppo.hpp>

#include <doctest/doctest.h>

#include "one_by_one.hpp"
#include "throws.hpp"

#include <cmath>

namespace {

using namespace one_sequence_a_call;
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
}

TEST_CASE("an iteration with responses of every length from 0 on") {
  critic_one_by_one parts(3, 2);
  // A whole iteration, with responses of every length from 0 on.
  struct brief : one_by_one {
    using one_by_one::one_by_one;
    std::vector<std::vector<index>> respond(const std::vector<std::vector<index>>& prompts, std::uint64_t) const {
      std::vector<std::vector<index>> responses(prompts.size());
      for (std::size_t b = 0; b < prompts.size(); ++b) responses[b].assign(b % 3, 1);
      return responses;
    }
  };
  brief writer(3, 2), reference(3, 2);
  const auto score = [](const rollout& of) { return numbers(static_cast<std::size_t>(of.batch.tokens()), 1); };
  const auto [written, report] = ppo_iteration(writer, reference, parts, {{0}, {1}, {2}, {0}}, score, {}, 0);
  CHECK(report.tokens == 3);
  CHECK(report.clip_fraction == 0);
  CHECK(std::isfinite(report.policy_loss));
}

/// A loss with two metrics of its own, the second of them the divergence.
struct with_other_metrics {
  column weight;
  static constexpr bool uses_log_sum_squares = false;
  static constexpr std::array metric_names = {"seven", "eight", "approximate_kl"};
  void check(index) const {}
  template <class R>
  R operator()(const token<R>& t) const {
    return t(weight) * t.log_prob;
  }
  template <class R>
  std::array<R, 3> metrics(const token<R>&) const {
    return {R(7), R(8), R(9)};
  }
};

TEST_CASE("the report of PPO takes metrics by their names") {
  tabular::policy policy(3, 2), reference(3, 2);
  tabular::critic critic(3, 2);
  const auto score = [](const rollout& r) { return numbers(static_cast<std::size_t>(r.batch.tokens()), 1); };
  const auto report_of = [&](const auto& make) {
    return ppo_iteration(policy, reference, critic, {{0}, {1}}, score, make, {}, 0).second;
  };
  const auto other = report_of([](const token_columns& c) { return with_other_metrics{c.weight}; });
  CHECK(other.approximate_kl == doctest::Approx(9));
  CHECK(std::isnan(other.clip_fraction));
  const auto none = report_of(
      [](const token_columns& c) { return [weight = c.weight](const auto& t) { return t(weight) * t.log_prob; }; });
  CHECK(std::isnan(none.approximate_kl));
  CHECK(std::isnan(none.clip_fraction));
  const auto clip = report_of(make_clip);
  CHECK(clip.approximate_kl >= 0);
  CHECK(clip.clip_fraction == 0);
  const auto too_few = [](const rollout&) { return numbers(); };
  CHECK_THROWS_NAMING(ppo_iteration(policy, reference, critic, {{0}}, too_few, {}, 0), "score");
}

}  // namespace
