// Evaluations over a pool whose threads have done other work before: what they keep from it is memory, nothing else.
#include <emend/core/matrix.hpp>
#include <emend/core/thread_pool.hpp>
#include <emend/distillation/divergence.hpp>
#include <emend/evaluation/evaluate.hpp>
#include <emend/evaluation/evaluate_sequences.hpp>
#include <emend/losses/cross_entropy.hpp>
#include <emend/losses/ppo_clip.hpp>
#include <emend/losses/sequence_level.hpp>
#include <emend/sequence_match/least_squares_objective.hpp>
#include <emend/sequence_match/evaluate_trajectories.hpp>
#include <emend/sequence_match/sequence_match_objective.hpp>

#include <doctest/doctest.h>

#include <cstring>
#include <functional>
#include <thread>

#include "instruction_sets.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

constexpr index rows = 128, vocab = 500;

matrix<float> scores(int seed) {
  matrix<float> x(rows, vocab);
  for (index i = 0; i < rows; ++i)
    for (index j = 0; j < vocab; ++j) x(i, j) = static_cast<float>((i * 37 + j * 101 + seed * 7) % 97) * 0.03f - 1;
  return x;
}
bool is_same(const matrix<float>& a, const matrix<float>& b) {
  return std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.rows() * a.columns()) * sizeof(float)) == 0;
}

struct batch {
  matrix<float> x = scores(0), other = scores(3);
  std::vector<int> targets, links;
  std::vector<double> old_log_prob, advantage;
  std::vector<index> offsets{0}, trajectory_offsets{0}, at, label;
  std::vector<int> is_rollout;
  batch() {
    for (index i = 0; i < rows; ++i) {
      targets.push_back(static_cast<int>(i * 3 % vocab));
      links.push_back(static_cast<int>(i + 1 < rows ? i + 1 : -1));
      old_log_prob.push_back(-6);
      advantage.push_back(i % 2 ? 1 : -1);
      if (i % 16 == 15) offsets.push_back(i + 1);
    }
    for (index j = 0; j < 8; ++j) {
      for (index i = 0; i < 16; ++i) {
        at.push_back(j * 16 + i);
        label.push_back(i == 15 ? -1 : (i * 31 + j) % vocab);
      }
      trajectory_offsets.push_back(static_cast<index>(at.size()));
      is_rollout.push_back(j % 2 == 0 ? 0 : 1);
    }
  }
};

/// Each kind of gradient over any executor.
template <class E>
std::vector<std::function<matrix<float>(E&)>> gradients(const batch& b) {
  return {
      [&b](E& e) { return evaluate(cross_entropy{}, b.x, b.targets, {}, e).gradient; },
      [&b](E& e) {
        const auto loss = [](const auto& t) { return t.next_log_z - t.log_prob; };
        return evaluate(loss, b.x, b.targets, {.links = b.links}, e).gradient;
      },
      [&b](E& e) {
        const sequence_level<ppo_clip> loss{{b.old_log_prob, b.advantage}};
        return evaluate_sequences(loss, b.x, b.targets, ragged(b.offsets), {}, e).gradient;
      },
      [&b](E& e) {
        const trajectory_columns columns{b.trajectory_offsets, b.at, b.label, b.is_rollout};
        // Rollouts start from V: statistics and gradient are two passes.
        return evaluate_trajectories(least_squares_objective{.alpha = 0.1, .start = rollout_start::value}, b.x, columns,
                                     {}, e)
            .gradient;
      },
      [&b](E& e) {
        const trajectory_columns columns{b.trajectory_offsets, b.at, b.label, b.is_rollout};
        return evaluate_trajectories(sequence_match_objective<>{.alpha = 0.1}, b.x, columns, {}, e).gradient;
      },
      [&b](E& e) { return divergence(divergence_kind::jensen_shannon, b.x, b.other, {}, e).gradient; },
  };
}

TEST_CASE("a gradient is the same whatever the threads of its pool did before") {
  const batch b;
  for (const instruction_set set : supported_instruction_sets()) {
    CAPTURE(static_cast<int>(set));
    const pinned_instruction_set pinned(set);
    const sequential alone;
    std::vector<matrix<float>> expected;
    for (const auto& gradient : gradients<const sequential>(b)) {
      // On a thread of its own, which has done nothing before.
      std::thread([&] { expected.push_back(gradient(alone)); }).join();
    }
    thread_pool pool(4);
    const auto kinds = gradients<thread_pool>(b);
    int different = 0;
    for (int again = 0; again < 20; ++again)
      for (std::size_t before = 0; before < kinds.size(); ++before)
        for (std::size_t kind = 0; kind < kinds.size(); ++kind) {
          kinds[before](pool);
          different += !is_same(kinds[kind](pool), expected[kind]);
        }
    CHECK(different == 0);
  }
}

}  // namespace
