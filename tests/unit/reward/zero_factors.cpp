// Rewards where a factor is 0 and what it multiplies is infinite, and where two policies give the probability 0.
#include <emend/emend.hpp>

#include <doctest/doctest.h>

#include "throws.hpp"

#include <cmath>

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using numbers = std::vector<double>;

const double infinite = HUGE_VAL;
const padded two(1, 2);

TEST_CASE("a factor of 0 leaves its term out, and other factors do not") {
  const numbers share{0.5, 0.5}, far{infinite}, score{1, 2}, old{-1, -infinite}, reference{-1, -1};
  CHECK(abc_rewards(share, far, two, {.beta = 0}) == numbers{0, infinite});
  CHECK(abc_rewards(share, far, two, {.beta = 1}) == numbers{infinite, infinite});
  CHECK(abc_rewards(numbers{0, 1}, far, two, {.beta = 1}) == numbers{0, infinite});
  CHECK(red_rewards(numbers{1, infinite}, numbers{0}, two, {.dense_weight = 0}) == numbers{0, infinite});
  CHECK(red_rewards(numbers{1, infinite}, numbers{0}, two, {.dense_weight = 1}) == numbers{1, infinite});
  CHECK(q_rm_advantages(score, numbers{infinite, 1}, old, reference, two, {.value_coefficient = 0}) == score);
  CHECK(q_rm_advantages(score, numbers{0, 0}, old, reference, two, {.kl_coefficient = 1}) == numbers{1, infinite});
  CHECK(rto_scores(old, reference, two, {.scale = 0}) == numbers{0, 0});
  CHECK(rto_scores(old, reference, two, {.scale = 1, .clip = 3}) == numbers{0, -3});
  const auto rewrite =
      rlmec_loss(numbers{-1}, numbers{-1}, numbers{1}, numbers{-infinite}, numbers{1}, {.rewrite_coefficient = 0});
  CHECK(rewrite.value == doctest::Approx(-1));
  CHECK(rewrite.rewrite_gradient == numbers{0});
  for (const reward_mode mode : {reward_mode::sign, reward_mode::prob, reward_mode::margin, reward_mode::logratio}) {
    const divergence_reward none{.mode = mode, .negative = 0, .clip = infinite};
    CHECK(none(false, true, -infinite, -0.1, 0) == 0);
  }
  CHECK(divergence_reward{.mode = reward_mode::logratio, .clip = infinite}(false, true, -infinite, -0.1, 0) ==
        -infinite);
}

TEST_CASE("two probabilities of 0 have the log-ratio 0") {
  const numbers none{-infinite, -1};
  CHECK(q_rm_advantages(numbers{1, 2}, numbers{0, 0}, none, none, two, {.kl_coefficient = 1}) == numbers{1, 2});
  CHECK(rto_scores(none, none, two) == numbers{0, 0});
  CHECK(divergence_reward{.mode = reward_mode::dense}(true, false, -infinite, 0, -infinite) == 0);
  const auto measures = off_policy_metrics(none, none, two);
  CHECK(measures.kl == 0);
  CHECK(measures.k3 == 0);
  CHECK(measures.log_perplexity_difference == 0);
  CHECK(measures.perplexity_ratio == 1);
  CHECK(measures.token_chi_square == 0);
  CHECK(off_policy_sequence_mask(none, none, numbers{-1}, two, 0) == numbers{1});
}

TEST_CASE("counts below 0 are no counts") {
  const numbers one{-1}, minus{-1};
  const std::vector<index> label{0, -1}, offsets{0, 2};
  CHECK_THROWS_NAMING(q_rm_loss(one, padded(1, 1), one, padded(1, 1), {.normaliser = -1}), "normaliser");
  CHECK_THROWS_NAMING(rlmec_loss(one, one, one, one, one, {.tokens = -1}), "tokens");
  CHECK_THROWS_NAMING(rlmec_rewrite_weights(one, {.rewrite_tokens = -1}), "rewrite_tokens");
  CHECK_THROWS_NAMING(rlmec_rewards(one, one, padded(1, 1), {.correct_high = -1}), "correct_high");
  CHECK_THROWS_NAMING(rlmec_rewards(one, one, padded(1, 1), {.wrong_low = 1}), "wrong_low");
  CHECK_THROWS_NAMING(tlcr_loss(one, std::vector<index>{0}, -1), "normaliser");
  CHECK_THROWS_NAMING(seq2seq_weights(label, offsets, numbers{0}, {.counts = {.tokens = -1}}), "counts.tokens");
  CHECK_THROWS_NAMING(seq2seq_weights(label, offsets, numbers{0}, {.counts = {.sequences = -1}}), "counts.sequences");
  CHECK_THROWS_NAMING(segment_ends(one, padded(1, 1), 0, {.entropy_threshold = std::nan("")}), "entropy_threshold");
}

}  // namespace

TEST_CASE("shares of attention: what is no attention is refused, and of no weight not read") {
  const double unknown = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_NAMING(attention_shares({unknown, .5, .5}, padded(1, 3)), "attention");
  CHECK_THROWS_NAMING(attention_shares({-1, .5, .25}, padded(1, 3)), "attention");
  CHECK(attention_shares({0, 0}, padded(1, 2)) == numbers{.5, .5});
  CHECK(attention_shares({1e308, 1e308, 1e308, 1e308}, padded(1, 4)) == numbers{.25, .25, .25, .25});
  CHECK(abc_rewards({unknown, .5}, {2}, padded(1, 2), {.beta = 0}) == numbers{0, 2});
}

TEST_CASE("controllers keep a finite coefficient, segments a deviation above 0") {
  adaptive_kl_controller none{.coefficient = 0, .bound = infinite};
  CHECK(none.update(infinite, 1) == 0);
  adaptive_kl_controller some{.coefficient = 0.5, .bound = infinite};
  CHECK_THROWS_NAMING(some.update(infinite, 1), "kl");
  CHECK(some.coefficient == 0.5);
  CHECK_THROWS_NAMING(segment_rewards({1, 1}, {1, 1}, padded(1, 2), {.deviation_slope = 0, .deviation_offset = 0}),
                      "deviation_offset");
}

TEST_CASE("a part of a batch without pairs, and one without tokens") {
  CHECK_THROWS_NAMING(seq2seq_weights({1, 2}, {0, 2}, {1}, {.normalise = aggregation::sequence_sum}),
                      "counts.sequences");
  CHECK(seq2seq_weights({1, 2}, {0, 2}, {1}, {.normalise = aggregation::sequence_sum, .counts = {.sequences = 4}})[0] >
        0);
}

TEST_CASE("a fixed gain keeps a finite coefficient; an empty batch of RLMEC has no loss") {
  fixed_gain_kl_controller gain{.bound = infinite};
  CHECK_THROWS_NAMING(gain.update(infinite), "kl");
  CHECK(gain.coefficient == 0.2);
  const rlmec_loss_result none = rlmec_loss(numbers{}, numbers{}, numbers{}, numbers{}, numbers{});
  CHECK(none.value == 0);
  CHECK(none.log_prob_gradient.empty());
  const rlmec_loss_result rewrite = rlmec_loss(numbers{}, numbers{}, numbers{}, {-1, -2}, {1, 0});
  CHECK(rewrite.token_loss == 0);
  CHECK(rewrite.rewrite_loss > 0);
}
