// Updates: the order of a supervised batch, means over tokens, where an update stops, parts without tokens, and names.
#include "tabular.hpp"

#include <doctest/doctest.h>

#include "throws.hpp"

#include <cmath>

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using numbers = std::vector<double>;

/// A policy that visits one sequence a call, also those of which the response is empty.
struct one_by_one : tabular::policy {
  using tabular::policy::policy;
  index empty_parts = 0;

  template <class F>
  void score(const token_batch& batch, F&& f) const {
    for (index b = 0; b < batch.sequences(); ++b) {
      const auto [rows, tokens] = of_sequence(batch, b);
      f(scores_at(rows), tokens);
    }
  }
  template <class F>
  void differentiate(const token_batch& batch, F&& f) {
    for (index b = 0; b < batch.sequences(); ++b) {
      const auto [rows, tokens] = of_sequence(batch, b);
      const matrix<double> part = scores_at(rows);
      matrix<double> gradient(part.rows(), part.columns());
      f(part, tokens, gradient);
      empty_parts += tokens.empty();
      for (std::size_t k = 0; k < rows.size(); ++k)
        for (index j = 0; j < vocab; ++j) gathered(rows[k], j) += gradient(static_cast<index>(k), j);
    }
  }

 private:
  std::pair<std::vector<index>, std::vector<index>> of_sequence(const token_batch& batch, index b) const {
    std::vector<index> rows, tokens;
    for (index t = batch.first_token(b); t < batch.first_token(b + 1); ++t) {
      const index depth = t - batch.first_token(b);
      rows.push_back(row(batch.ids()[static_cast<std::size_t>(batch.response_begin(b) + depth - 1)], depth));
      tokens.push_back(t);
    }
    return {rows, tokens};
  }
  matrix<double> scores_at(const std::vector<index>& rows) const {
    matrix<double> part(static_cast<index>(rows.size()), vocab);
    for (std::size_t k = 0; k < rows.size(); ++k)
      for (index j = 0; j < vocab; ++j) part(static_cast<index>(k), j) = scores(rows[k], j);
    return part;
  }
};

/// A critic that visits one sequence a call likewise.
struct critic_one_by_one : tabular::critic {
  using tabular::critic::critic;

  template <class F>
  void value(const token_batch& batch, F&& f) const {
    for_each_sequence(batch, [&](const numbers& values, const std::vector<index>& tokens,
                                 const std::vector<std::size_t>&) { f(values, tokens); });
  }
  template <class F>
  void differentiate_value(const token_batch& batch, F&& f) {
    for_each_sequence(
        batch, [&](const numbers& values, const std::vector<index>& tokens, const std::vector<std::size_t>& cells) {
          numbers gradient(values.size());
          f(values, tokens, gradient);
          for (std::size_t k = 0; k < cells.size(); ++k) gathered[cells[k]] += gradient[k];
        });
  }

 private:
  template <class F>
  void for_each_sequence(const token_batch& batch, F&& f) const {
    for (index b = 0; b < batch.sequences(); ++b) {
      numbers values;
      std::vector<index> tokens;
      std::vector<std::size_t> cells;
      for (index t = batch.first_token(b); t < batch.first_token(b + 1); ++t) {
        const index depth = t - batch.first_token(b),
                    previous = batch.ids()[static_cast<std::size_t>(batch.response_begin(b) + depth - 1)];
        cells.push_back(static_cast<std::size_t>(depth * vocab + previous));
        tokens.push_back(t);
        values.push_back(table[cells.back()]);
      }
      f(values, tokens, cells);
    }
  }
};

/// Sequences of 2, 0, 1 and 0 tokens, all that an update needs known.
template <class P>
rollout some_rollout(P& policy) {
  rollout r;
  r.batch.add(std::vector<int>{0}, std::vector<int>{2, 1});
  r.batch.add(std::vector<int>{1}, std::vector<int>{});
  r.batch.add(std::vector<int>{1, 2}, std::vector<int>{0});
  r.batch.add(std::vector<int>{0, 1}, std::vector<int>{});
  r.old_log_prob = r.reference_log_prob = score_responses(policy, r.batch).log_prob;
  r.advantage = {1, -2, 3};
  r.value = {0.5, 0.25, 0};
  r.returns = {1, 2, 3};
  return r;
}

const auto make_clip = [](const token_columns& c) {
  return policy_objective<ppo_clip>{.policy = {c.old_log_prob, c.advantage}, .weight = c.weight};
};
const auto make_sequence_clip = [](const token_columns& c) {
  return policy_objective<sequence_level<ppo_clip>>{.policy = {{c.old_log_prob, c.advantage}}, .weight = c.weight};
};

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

  tabular::critic whole(3, 2);
  critic_one_by_one parts(3, 2);
  tabular::policy policy(3, 2);
  const rollout r = some_rollout(policy);
  CHECK(value_responses(parts, r.batch) == value_responses(whole, r.batch));
  const auto make = [](column old_value, column returns) { return value_clip{old_value, returns}; };
  for (const index minibatch : {0, 1, 3}) {
    const update_options options{.epochs = 2, .minibatch = minibatch, .seed = 4};
    const auto got = update_critic(parts, r, make, options), want = update_critic(whole, r, make, options);
    CHECK(got.steps == want.steps);
    CHECK(got.loss == doctest::Approx(want.loss));
    for (std::size_t i = 0; i < whole.table.size(); ++i) CHECK(parts.table[i] == doctest::Approx(whole.table[i]));
  }

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

struct silent_critic : tabular::critic {
  using tabular::critic::critic;
  template <class F>
  void value(const token_batch&, F&& f) const {
    f(numbers{1}, std::vector<index>{0, 1});
  }
};

struct forgetful : tabular::policy {
  using tabular::policy::policy;
  template <class F>
  void score(const token_batch&, F&& f) const {
    f(matrix<double>(1, 3, {0, 0, 0}), std::vector<index>{1});
  }
};

TEST_CASE("a critic gives one value a token, and tokens that a model leaves out show") {
  token_batch batch;
  batch.add(std::vector<int>{0}, std::vector<int>{2, 1});
  silent_critic critic(3, 2);
  CHECK_THROWS_NAMING(value_responses(critic, batch), "values of the critic");
  forgetful policy(3, 2);
  const auto got = score_responses(policy, batch);
  CHECK(std::isnan(got.log_prob[0]));
  CHECK(got.log_prob[1] == doctest::Approx(-std::log(3)));
}

TEST_CASE("every order of a minibatch is as frequent as any other") {
  std::vector<int> count(6, 0);
  const int epochs = 6000;
  for (std::uint64_t epoch = 0; epoch < epochs; ++epoch) {
    const std::vector<index> order = minibatches(3, 0, 5, epoch)[0];
    const index number = 2 * order[0] + (order[1] > order[2] ? 1 : 0);
    ++count[static_cast<std::size_t>(number)];
  }
  for (const int c : count) CHECK(std::abs(c - epochs / 6) < 150);  // five standard deviations
  std::vector<int> first(8, 0);
  for (std::uint64_t epoch = 0; epoch < 8000; ++epoch)
    ++first[static_cast<std::size_t>(minibatches(8, 3, 1, epoch)[0][0])];
  for (const int c : first) CHECK(std::abs(c - 1000) < 150);
}

}  // namespace

TEST_CASE("entries at tokens outside a column are refused") {
  CHECK(gather({1, 2, 3}, {2, 0}) == numbers{3, 1});
  CHECK_THROWS_NAMING(gather({1, 2, 3}, {7}), "tokens");
  CHECK_THROWS_NAMING(gather({1, 2, 3}, {1000000000}), "tokens");
}

TEST_CASE("sequences that are not in the batch are refused") {
  token_batch batch;
  batch.add({1}, {2, 3});
  batch.add({1}, {4});
  CHECK(tokens_of(batch, {1, 0}) == std::vector<index>{2, 0, 1});
  CHECK_THROWS_NAMING(tokens_of(batch, {2}), "sequences");
  CHECK_THROWS_NAMING(tokens_of(batch, {-1}), "sequences");
}
