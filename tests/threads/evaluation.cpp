// Evaluations over a pool, for ThreadSanitizer: the same bits for any number of threads.
#include <emend/core/matrix.hpp>
#include <emend/core/thread_pool.hpp>
#include <emend/evaluation/evaluate.hpp>
#include <emend/evaluation/evaluate_sequences.hpp>
#include <emend/evaluation/statistics.hpp>
#include <emend/losses/ppo_clip.hpp>
#include <emend/sequence_match/evaluate_trajectories.hpp>
#include <emend/sequence_match/sequence_match_objective.hpp>

#include <doctest/doctest.h>

#include <cstring>
#include <stdexcept>

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

matrix<float> scores(index rows, index columns) {
  matrix<float> x(rows, columns);
  for (index i = 0; i < rows; ++i)
    for (index j = 0; j < columns; ++j) x(i, j) = static_cast<float>((i * 37 + j * 101) % 97) * 0.03f - 1;
  return x;
}
bool is_same(const matrix<float>& a, const matrix<float>& b) {
  return std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.rows() * a.columns()) * sizeof(float)) == 0;
}
struct columns {
  std::vector<int> targets, links, mask;
  std::vector<double> old_log_prob, advantage;
  explicit columns(index n) {
    for (index i = 0; i < n; ++i) {
      targets.push_back(static_cast<int>(i % 5));
      links.push_back(static_cast<int>(i + 1 < n ? i + 1 : -1));
      mask.push_back(i % 7 != 3);
      old_log_prob.push_back(-3);
      advantage.push_back(i % 2 ? 1 : -1);
    }
  }
};

TEST_CASE("scores in memory") {
  const matrix<float> x = scores(60, 500);
  const columns of(60);
  const ppo_clip loss{of.old_log_prob, of.advantage};
  for (const evaluation_options& options :
       {evaluation_options{.mask = of.mask}, evaluation_options{.mask = of.mask, .links = of.links}}) {
    const auto alone = evaluate(loss, x, of.targets, options);
    for (int threads : {1, 2, 3}) {
      thread_pool pool(threads);
      for (int again = 0; again < 3; ++again) {
        const auto got = evaluate(loss, x, of.targets, options, pool);
        CHECK(got.value == alone.value);
        CHECK(got.metrics == alone.metrics);
        CHECK(is_same(got.gradient, alone.gradient));
        CHECK(statistics(x, of.targets, {}, pool).log_z == statistics(x, of.targets).log_z);
      }
    }
  }
}

TEST_CASE("trajectories whose states are linked, and come back") {
  const matrix<float> x = scores(60, 500);
  std::vector<index> offsets{0}, at, label;
  std::vector<int> is_rollout, is_at_floor(60, 0);
  is_at_floor[0] = 1;
  for (index j = 0; j < 8; ++j) {
    for (index i = 0; i < 12; ++i) {
      at.push_back(i == 0 ? 0 : (j * 17 + i * 5) % 60);
      label.push_back(i == 11 ? -1 : (i * 31 + j) % 500);
    }
    offsets.push_back(static_cast<index>(at.size()));
    is_rollout.push_back(j % 2 == 0 ? 0 : 1);
  }
  const trajectory_columns columns{offsets, at, label, is_rollout, {}, is_at_floor};
  const sequence_match_objective<> objective{.alpha = 0.1, .masked_at_floor = 7, .mixture_coefficient = 0.25};
  const auto alone = evaluate_trajectories(objective, x, columns);
  thread_pool pool(3);
  for (int again = 0; again < 5; ++again) {
    const auto got = evaluate_trajectories(objective, x, columns, {}, pool);
    CHECK(got.value == alone.value);
    CHECK(is_same(got.gradient, alone.gradient));
    matrix<float> in_place = x;
    CHECK(evaluate_trajectories_into(objective, in_place, columns, {}, in_place, pool).value == alone.value);
    CHECK(is_same(in_place, alone.gradient));
  }
}

TEST_CASE("hidden x weight") {
  const matrix<float> hidden = scores(40, 8), weight = scores(1300, 8);
  const columns of(40);
  const ppo_clip loss{of.old_log_prob, of.advantage};
  const auto alone = evaluate(loss, linear_scores{hidden, weight}, of.targets);
  thread_pool pool(3);
  for (int again = 0; again < 3; ++again) {
    const auto got = evaluate(loss, linear_scores{hidden, weight}, of.targets, {}, pool);
    CHECK(got.value == alone.value);
    CHECK(is_same(got.gradient.d_hidden, alone.gradient.d_hidden));
    CHECK(is_same(got.gradient.d_weight, alone.gradient.d_weight));
  }
}

TEST_CASE("a loss that evaluates over the same pool") {
  const matrix<float> x = scores(30, 200), other = scores(3, 50);
  const columns of(30), few(3);
  thread_pool pool(3);
  const auto plain = [](const auto& t) { return -t.log_prob; };
  const auto nesting = [&](const auto& t) {
    evaluate(plain, other, few.targets, {}, pool);
    return -t.log_prob;
  };
  const auto alone = evaluate(plain, x, of.targets);
  const auto got = evaluate(nesting, x, of.targets, {}, pool);
  CHECK(got.value == alone.value);
  CHECK(is_same(got.gradient, alone.gradient));
}

TEST_CASE("several threads evaluate over one pool") {
  const matrix<float> x = scores(30, 200);
  const columns of(30);
  const ppo_clip loss{of.old_log_prob, of.advantage};
  const auto alone = evaluate(loss, x, of.targets);
  thread_pool pool(2);
  std::vector<std::thread> callers;
  std::vector<int> same(4, 0);
  for (std::size_t c = 0; c < 4; ++c)
    callers.emplace_back([&, c] {
      for (int again = 0; again < 5; ++again)
        same[c] += is_same(evaluate(loss, x, of.targets, {}, pool).gradient, alone.gradient);
    });
  for (std::thread& caller : callers) caller.join();
  CHECK(same == std::vector<int>{5, 5, 5, 5});
}

TEST_CASE("an exception of a loss comes through the pool") {
  const matrix<float> x = scores(30, 200);
  const columns of(30);
  thread_pool pool(3);
  const auto throwing = [](const auto& t) {
    if (t.position == 17) throw std::runtime_error("from the loss");
    return -t.log_prob;
  };
  CHECK_THROWS_AS(evaluate(throwing, x, of.targets, {}, pool), std::runtime_error);
  const auto plain = [](const auto& t) { return -t.log_prob; };
  CHECK(is_same(evaluate(plain, x, of.targets, {}, pool).gradient, evaluate(plain, x, of.targets).gradient));
}

}  // namespace
