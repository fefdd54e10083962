// The kernels of a step on a device, against the same text by one thread of the host, which tests/threads compares with
// the library. What both work on lies in memory that they share.
#include "pinned.hpp"

#include <emend/core/random.hpp>
#include <emend/cuda.hpp>
#include <emend/cuda/kernels.cuh>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
namespace device = emend::cuda;

constexpr float infinite = std::numeric_limits<float>::infinity();

pinned<float> random_numbers(index count, std::uint64_t seed, double low = -2, double high = 2) {
  pinned<float> x;
  for (index i = 0; i < count; ++i)
    x.push_back(
        static_cast<float>(low + (high - low) * counter_random{seed}.uniform(1, static_cast<std::uint64_t>(i))));
  return x;
}
/// Counted positions in disorder; of row 0 none.
struct pinned_mask {
  pinned<unsigned char> bytes;
  const bool* data() const { return reinterpret_cast<const bool*>(bytes.data()); }
};
pinned_mask random_mask(index rows, index tokens, std::uint64_t seed) {
  pinned_mask mask;
  for (index i = 0; i < rows * tokens; ++i)
    mask.bytes.push_back(i >= tokens && counter_random{seed}.below(3, 2, static_cast<std::uint64_t>(i)) > 0);
  return mask;
}

void require_done(cudaError_t launched) {
  const cudaError_t said = finished(launched);
  REQUIRE_MESSAGE(said == cudaSuccess, cudaGetErrorString(said));
}
template <class X>
void check_near(const X& got, const X& expected, double tolerance) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double a = static_cast<double>(got[i]), b = static_cast<double>(expected[i]);
    if (a == b || (std::isnan(a) && std::isnan(b))) continue;
    const bool is_near = std::abs(a - b) <= tolerance * std::max(1.0, std::abs(b));
    if (!is_near) FAIL_CHECK("entry ", i, ": ", a, " is not ", b);
  }
}

TEST_CASE("device GAE: rows longer and shorter than a block, masks, hole rules, both lambdas") {
  for (const index tokens : {1, 2, 127, 128, 129, 1000})
    for (const index rows : {1, 5, 300}) {
      CAPTURE(tokens);
      CAPTURE(rows);
      const auto reward = random_numbers(rows * tokens, 1), value = random_numbers(rows * tokens, 2),
                 bootstrap = random_numbers(rows, 3);
      const pinned_mask mask = random_mask(rows, tokens, 4);
      for (const bool is_masked : {false, true})
        for (const hole_rule holes : {hole_rule::carry, hole_rule::decay})
          for (const double value_lambda : {-1.0, 1.0})
            for (const double adaptive : {0.0, 0.3}) {
              pinned<float> advantage(reward.size(), 9), returns(reward.size(), 9), expected_advantage = advantage,
                                                                                    expected_returns = returns;
              device::gae_problem p{.reward = reward.data(),
                                    .value = value.data(),
                                    .mask = is_masked ? mask.data() : nullptr,
                                    .bootstrap = bootstrap.data(),
                                    .rows = rows,
                                    .tokens = tokens,
                                    .gamma = 0.97,
                                    .lambda = 0.9,
                                    .value_lambda = value_lambda,
                                    .length_adaptive_alpha = adaptive,
                                    .holes = holes,
                                    .advantage = advantage.data(),
                                    .returns = returns.data()};
              require_done(device::launch_gae(p, nullptr));
              p.advantage = expected_advantage.data(), p.returns = expected_returns.data();
              device::device_team one;
              device::gae_memory memory;
              for (index row = 0; row < rows; ++row) device::gae_row(one, memory, p, row);
              check_near(advantage, expected_advantage, 2e-6);
              check_near(returns, expected_returns, 2e-6);
            }
    }
}

TEST_CASE("device whitening: parts and their remainder, masks, given moments, in place") {
  for (const index count : {1, 3, 8191, 8192, 8193, 300001}) {
    CAPTURE(count);
    auto values = random_numbers(count, 5, 3, 9);
    const pinned_mask mask = random_mask(1 + count, 1, 6);
    for (const whiten_options& options : {whiten_options{},
                                          whiten_options{.is_unbiased = false,
                                                         .epsilon = 1e-5,
                                                         .place = epsilon_place::deviation,
                                                         .uncounted = uncounted_value::as_of_zero},
                                          whiten_options{.given = {10, 2, 40}}})
      for (const bool is_masked : {false, true}) {
        pinned<float> out = values;
        pinned<unsigned char> scratch(static_cast<std::size_t>(device::whiten_scratch_bytes(count)));
        device::whiten_problem p{.values = out.data(),
                                 .mask = is_masked ? mask.data() + 1 : nullptr,
                                 .count = count,
                                 .options = options,
                                 .out = out.data()};
        require_done(device::launch_whiten(p, scratch.data(), nullptr));
        p.values = values.data();
        device::device_team one;
        device::whiten_memory memory;
        std::vector<moments> of_part;
        for (index part = 0; part < device::whiten_parts(count); ++part)
          of_part.push_back(device::moments_of_part(one, memory, p, part));
        const auto f = device::whitening_of(one, memory, p, of_part.data());
        pinned<float> expected(values.size());
        for (index i = 0; i < count; ++i) expected[static_cast<std::size_t>(i)] = device::whitened(p, f, i);
        check_near(out, expected, 2e-6);
      }
  }
}

TEST_CASE_TEMPLATE("device draws: every filter, ties, -inf, rows without an id", T, float, bfloat16, float16) {
  for (const index vocab : {1, 5, 257, 3000, 50257}) {
    const index rows = vocab > 10000 ? 24 : 200;
    CAPTURE(vocab);
    const auto numbers = random_numbers(rows * vocab, static_cast<std::uint64_t>(vocab), -6, 6);
    pinned<T> scores;
    for (const float x : numbers) scores.push_back(T(x));
    for (index j = 0; j < vocab; ++j) {
      scores[static_cast<std::size_t>(j)] = T(static_cast<float>(j % 3));
      if (j % 2) scores[static_cast<std::size_t>(vocab + j)] = T(-infinite);
      scores[static_cast<std::size_t>(2 * vocab + j)] = T(-infinite);
    }
    scores[static_cast<std::size_t>(4 * vocab - 1)] = T(std::nanf(""));
    int wrong = 0, drawn = 0;
    for (const auto [temperature, k, top_p, min_p] : {std::array{1.0, 0.0, 1.0, 0.0},
                                                      {0.7, 5, 1, 0},
                                                      {1.3, 0, 0.9, 0},
                                                      {1, 0, 1, 0.1},
                                                      {0.8, 50, 0.8, 0.02},
                                                      {1, 1, 1, 0}}) {
      pinned<std::int64_t> ids(static_cast<std::size_t>(rows), -7), expected_ids = ids;
      pinned<double> log_prob(ids.size(), -7), expected_log_prob = log_prob;
      device::sample_problem<T> p{.scores = scores.data(),
                                  .rows = rows,
                                  .vocab = vocab,
                                  .row_stride = vocab,
                                  .temperature = temperature,
                                  .top_k = static_cast<index>(k),
                                  .top_p = top_p,
                                  .min_p = min_p,
                                  .random = {31},
                                  .step = 3,
                                  .ids = ids.data(),
                                  .log_prob = log_prob.data()};
      require_done(device::launch_sample(p, nullptr));
      p.ids = expected_ids.data(), p.log_prob = expected_log_prob.data();
      device::device_team one;
      device::sample_memory memory;
      for (index row = 0; row < rows; ++row) device::sample_row(one, memory, p, row);
      for (std::size_t i = 0; i < ids.size(); ++i) {
        ++drawn;
        if (ids[i] != expected_ids[i])
          ++wrong;
        else if (std::isnan(expected_log_prob[i]))
          CHECK(std::isnan(log_prob[i]));
        else
          CHECK(log_prob[i] == doctest::Approx(expected_log_prob[i]).epsilon(1e-5).scale(1));
      }
      CHECK(ids[2] == -1);
      CHECK(ids[3] == -1);
    }
    // Powers differ in their last bits, so that one draw in a million may fall on the other side of a boundary.
    CHECK(wrong <= 1);
    CHECK(drawn == 6 * rows);
  }
}

TEST_CASE("device masks and positions of a forest") {
  for (const index nodes : {1, 2, 33, 130, 1500}) {
    pinned<std::int64_t> parent, position(static_cast<std::size_t>(nodes), -7), expected_position = position;
    for (index i = 0; i < nodes; ++i)
      parent.push_back(i == 0 || i % 17 == 0 ? -1 : counter_random{3}.below(i, 0, static_cast<std::uint64_t>(i)));
    pinned<float> mask(static_cast<std::size_t>(nodes * nodes), 7), expected = mask;
    device::ancestor_problem p{.parent = parent.data(), .nodes = nodes, .position = position.data()};
    require_done(device::launch_ancestors(p, mask.data(), 0.0f, -1.0f, nullptr));
    p.position = expected_position.data();
    device::device_team one;
    for (index i = 0; i < nodes; ++i) device::ancestor_row(one, p, expected.data(), 0.0f, -1.0f, i);
    CHECK(mask == expected);
    CHECK(position == expected_position);
  }
}

TEST_CASE_TEMPLATE("device rewards: every mode, masks, truncation, rows that are no distribution", T, float, double,
                   bfloat16) {
  for (const index vocab : {3, 37, 5003}) {
    const index rows = 7, tokens = 130;
    const auto numbers = random_numbers(rows * tokens * vocab, 12);
    pinned<T> scores;
    for (const float x : numbers) scores.push_back(T(static_cast<arithmetic<T>>(x)));
    pinned<std::int64_t> response;
    for (index t = 0; t < rows * tokens; ++t) {
      T* const row = scores.data() + t * vocab;
      const auto at = [&](index j) { return static_cast<arithmetic<T>>(row[j]); };
      index best = 0;
      for (index j = 1; j < vocab; ++j)
        if (at(j) > at(best)) best = j;
      index id = counter_random{4}.below(vocab, 0, static_cast<std::uint64_t>(t));
      if (t % 40 != 3) id = best;
      if (t % 7 == 2) row[vocab - 1] = row[best];
      if (t % 90 == 8) row[id] = T(-infinite);
      if (t % 400 == 51) row[id] = T(infinite);
      if (t % 400 == 71) row[0] = T(std::nanf(""));
      if (t % 400 == 91) std::fill(row, row + vocab, T(-infinite));
      response.push_back(id);
    }
    const pinned_mask mask = random_mask(rows, tokens, 14);
    pinned<double> reference;
    for (index t = 0; t < rows * tokens; ++t) reference.push_back(-0.01 * static_cast<double>(t));
    for (const reward_mode mode :
         {reward_mode::sign, reward_mode::prob, reward_mode::margin, reward_mode::logratio, reward_mode::dense})
      for (const bool is_masked : {false, true}) {
        struct columns {
          pinned<double> log_prob, best, score, sequence, copy;
          pinned<std::int64_t> arg_max, divergence;
          columns(index all, index rows)
              : log_prob(static_cast<std::size_t>(all), 9),
                best(log_prob),
                score(log_prob),
                sequence(static_cast<std::size_t>(rows), 9),
                copy(sequence),
                arg_max(log_prob.size(), 9),
                divergence(sequence.size(), 9) {}
        } got(rows * tokens, rows), expected(rows * tokens, rows);
        const auto problem = [&](columns& c) {
          return device::reward_problem<T>{.scores = scores.data(),
                                           .sequences = rows,
                                           .tokens = tokens,
                                           .vocab = vocab,
                                           .batch_stride = tokens * vocab,
                                           .token_stride = vocab,
                                           .multiplier = 2,
                                           .response = response.data(),
                                           .mask = is_masked ? mask.data() : nullptr,
                                           .reference_log_prob = reference.data(),
                                           .reward = {mode, 1.5, 0.75, 3, 0.125, is_masked},
                                           .is_per_length = is_masked,
                                           .truncation_penalty = 0.75,
                                           .end_id_count = 1,
                                           .end_ids = {response.back()},
                                           .log_prob = c.log_prob.data(),
                                           .max_log_prob = c.best.data(),
                                           .score = c.score.data(),
                                           .arg_max = c.arg_max.data(),
                                           .divergence = c.divergence.data(),
                                           .sequence_score = c.sequence.data(),
                                           .copy_log_likelihood = c.copy.data()};
        };
        require_done(device::launch_rewards(problem(got), nullptr));
        const auto p = problem(expected);
        device::device_team one;
        device::choice_memory<arithmetic<T>> of_choices;
        device::reward_memory of_rewards;
        for (index t = 0; t < rows * tokens; ++t) device::choice_row(one, of_choices, p, t);
        for (index b = 0; b < rows; ++b) device::reward_row(one, of_rewards, p, b);
        CHECK(got.arg_max == expected.arg_max);
        CHECK(got.divergence == expected.divergence);
        check_near(got.log_prob, expected.log_prob, 1e-5);
        check_near(got.best, expected.best, 1e-5);
        check_near(got.score, expected.score, 1e-5);
        check_near(got.sequence, expected.sequence, 1e-5);
        check_near(got.copy, expected.copy, 1e-5);
      }
  }
}

}  // namespace
