// Dense token-level rewards in place of a scalar one.
#include <emend/reward/abc.hpp>
#include <emend/reward/geli.hpp>
#include <emend/reward/q_rm.hpp>
#include <emend/reward/red.hpp>
#include <emend/reward/rlmec.hpp>
#include <emend/reward/rto.hpp>
#include <emend/reward/rudder.hpp>
#include <emend/reward/segments.hpp>
#include <emend/reward/tlcr.hpp>

#include <doctest/doctest.h>

#include <cmath>

#include "../random_numbers.hpp"
#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using numbers = std::vector<double>;

/// d f / d x_i by central differences.
template <class F>
numbers difference(numbers x, F&& f) {
  numbers result;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double at = x[i];
    x[i] = at + 1e-5;
    const double above = f(x);
    x[i] = at - 1e-5;
    const double below = f(x);
    x[i] = at;
    result.push_back((above - below) / 2e-5);
  }
  return result;
}

void check_gradient(const numbers& got, const numbers& want) {
  REQUIRE(got.size() == want.size());
  for (std::size_t i = 0; i < got.size(); ++i) CHECK(got[i] == doctest::Approx(want[i]).epsilon(1e-6).scale(1));
}

const std::vector<int> hole{1, 0, 1, 0, 0, 0};  // two rows of three; the second has no token

TEST_CASE("RLMEC: clamped about 1/2, by whether the solution is right") {
  const numbers log_prob{std::log(0.9), std::log(0.2), std::log(0.45), std::log(0.9)};
  const std::vector<int> right{1, 0};
  const numbers got = rlmec_rewards(log_prob, right, padded(2, 2));
  CHECK(got[0] == doctest::Approx(0.4));
  CHECK(got[1] == 0);
  CHECK(got[2] == doctest::Approx(-0.05));
  CHECK(got[3] == 0);
  CHECK_THROWS_NAMING(rlmec_rewards(log_prob, right, padded(2, 3)), "log_prob");
  CHECK_THROWS_NAMING(rlmec_rewards(log_prob, log_prob, padded(2, 2)), "is_correct");
}

TEST_CASE("RLMEC's loss: value and gradients") {
  random_numbers random;
  const numbers log_prob{-1, -2, -0.5}, old{-1.05, -1.2, -0.5}, reward{0.3, -0.1, 0.2}, rewrite = random.normal(4);
  const std::vector<int> edited{1, 0, 0, 1};
  const rlmec_options options{.rewrite_coefficient = 0.7};
  const auto result = rlmec_loss(log_prob, old, reward, rewrite, edited, options);
  CHECK(result.rewrite_loss == doctest::Approx(-(rewrite[0] + 0.5 * rewrite[1] + 0.5 * rewrite[2] + rewrite[3]) / 4));
  CHECK(result.value == doctest::Approx(result.token_loss + 0.7 * result.rewrite_loss));
  check_gradient(result.log_prob_gradient, difference(log_prob, [&](const numbers& x) {
                   return rlmec_loss(x, old, reward, rewrite, edited, options).value;
                 }));
  check_gradient(result.rewrite_gradient, difference(rewrite, [&](const numbers& x) {
                   return rlmec_loss(log_prob, old, reward, x, edited, options).value;
                 }));
  rlmec_options of_twice = options;
  of_twice.tokens = 6;
  of_twice.rewrite_tokens = 8;
  CHECK(rlmec_loss(log_prob, old, reward, rewrite, edited, of_twice).value == doctest::Approx(result.value / 2));
  CHECK(rlmec_loss({}, {}, {}, {}, {}).value == 0);
  CHECK_THROWS_NAMING(rlmec_loss(log_prob, rewrite, reward, rewrite, edited), "old_log_prob");
  CHECK_THROWS_NAMING(rlmec_loss(log_prob, old, rewrite, rewrite, edited), "reward");
  CHECK_THROWS_NAMING(rlmec_loss(log_prob, old, reward, log_prob, edited), "is_edited");
}

TEST_CASE("ABC: a reward spread by attention adds up to the reward") {
  const numbers attention{1, 3, 3, 1}, reward{4, 5};
  CHECK(mean_over_heads(attention, 2) == numbers{2, 2});
  CHECK_THROWS_NAMING(mean_over_heads(attention, 3), "heads");
  const padded layout(2, 2);
  const numbers share = attention_shares(attention, layout);
  CHECK(share == numbers{0.25, 0.75, 0.75, 0.25});
  CHECK(abc_rewards(share, reward, layout, {.beta = 0.5}) == numbers{0.5, 1.5 + 2, 1.875, 0.625 + 2.5});
  const numbers nothing{0, 0, 0, 0};
  CHECK(attention_shares(nothing, layout) == numbers{0.5, 0.5, 0.5, 0.5});
  const numbers six{1, __builtin_nan(""), 3, 9, 9, 9};
  CHECK(attention_shares(six, padded(2, 3, hole)) == numbers{0.25, 0, 0.75, 0, 0, 0});
  CHECK(abc_rewards(six, reward, padded(2, 3, hole), {.beta = 0}) == numbers{0, 0, 4, 0, 0, 0});
  CHECK_THROWS_NAMING(attention_shares(six, layout), "attention");
  CHECK_THROWS_NAMING(abc_rewards(six, reward, layout), "share");
  CHECK_THROWS_NAMING(abc_rewards(attention, six, layout), "reward");
}

TEST_CASE("RED and RUDDER telescope over counted tokens") {
  const numbers score{2, 99, 5, 99, 99, 99}, empty{1, 7};
  CHECK(red_rewards(score, empty, padded(2, 3, hole)) == numbers{1, 0, 3, 0, 0, 0});
  CHECK(red_rewards(score, empty, padded(2, 3, hole), {.dense_weight = 0}) == numbers{0, 0, 5, 0, 0, 0});
  CHECK(rudder_rewards(score, padded(2, 3, hole)) == numbers{2, 0, 3, 0, 0, 0});
  CHECK_THROWS_NAMING(red_rewards(empty, empty, padded(2, 3)), "prefix_score");
  CHECK_THROWS_NAMING(red_rewards(score, score, padded(2, 3)), "empty_score");
  CHECK_THROWS_NAMING(rudder_rewards(empty, padded(2, 3)), "return_prediction");
}

TEST_CASE("RTO clips the implied reward") {
  const numbers dpo{-1, -2}, reference{-2, -2.5};
  CHECK(rto_scores(dpo, reference, padded(1, 2), {.scale = 1, .clip = 0.75}) == numbers{0.75, 0.5});
  CHECK(rto_scores(dpo, reference, padded(1, 2), {.scale = 1, .clip = __builtin_inf()}) == numbers{1, 0.5});
  CHECK_THROWS_NAMING(rto_scores(dpo, reference, padded(1, 2), {.clip = 0}), "clip");
  CHECK_THROWS_NAMING(rto_scores(dpo, reference, padded(1, 3)), "dpo_log_prob");
}

TEST_CASE("TLCR: what the reviser took away is bad, what it brought is good") {
  const std::vector<int> source{1, 2, 3, 4}, revised{1, 9, 3, 4, 5}, same{1, 2};
  const tlcr_labels labels = tlcr_labels_of(source, revised);
  CHECK(labels.source == std::vector<index>{-1, 0, -1, -1});
  CHECK(labels.revised == std::vector<index>{-1, 1, -1, -1, 1});
  CHECK(tlcr_labels_of(same, same).source == std::vector<index>{-1, -1});
  CHECK(tlcr_labels_of(same, {}).source == std::vector<index>{0, 0});
  CHECK(tlcr_labels_of({}, same).revised == std::vector<index>{1, 1});
  const numbers logit{0.5, -2, 30, -700};
  const std::vector<int> label{1, 0, -1, 0}, none{-1, -1, -1, -1}, wrong{2, 0, 0, 0};
  const auto loss = tlcr_loss(logit, label);
  CHECK(loss.value == doctest::Approx((std::log1p(std::exp(-0.5)) + std::log1p(std::exp(-2.0))) / 3));
  check_gradient(loss.gradient, difference(logit, [&](const numbers& x) { return tlcr_loss(x, label).value; }));
  CHECK(tlcr_loss(logit, label, 6).value == doctest::Approx(loss.value / 2));
  CHECK(tlcr_loss(logit, none).value == 0);
  CHECK_THROWS_NAMING(tlcr_loss(logit, wrong), "label");
  CHECK_THROWS_NAMING(tlcr_loss(logit, same), "label");
  const numbers reward = tlcr_rewards(logit, padded(1, 4));
  CHECK(reward[0] == doctest::Approx(2 / (1 + std::exp(-0.5)) - 1));
  CHECK(reward[3] == -1);
  CHECK_THROWS_NAMING(tlcr_rewards(logit, padded(1, 3)), "logit");
}

TEST_CASE("segments close where the policy is unsure") {
  const numbers entropy{0, 5, 0, 5, 5, 0}, value{1, 8, 3, 6, 5, 9};
  const padded layout(1, 6);
  CHECK(segment_ends(entropy, layout, 0) == std::vector<index>{1, 3, 4});
  CHECK(segment_ends(entropy, layout, 0, {.is_last_token_in_segment = true}) == std::vector<index>{1, 3, 4, 5});
  CHECK(segment_ends(entropy, layout, 0, {.minimum_length = 3}) == std::vector<index>{3, 4});
  CHECK(segment_rewards(entropy, value, layout) == numbers{4, 4, 3, 3, 5, 0});
  CHECK(segment_rewards(entropy, value, layout, {.placement = segment_placement::end}) == numbers{0, 8, 0, 6, 5, 0});
  CHECK(segment_rewards(entropy, value, layout, {.clamp = 3.5}) == numbers{3.5, 3.5, 3, 3, 3.5, 0});
  const auto normalised =
      segment_rewards(entropy, value, layout,
                      {.placement = segment_placement::end, .mean_slope = 2, .mean_offset = 1, .deviation_offset = 4});
  CHECK(normalised[1] == doctest::Approx((8 - 2 * std::log(1.0 / 3) - 1) / 4));
  const numbers one{5};
  CHECK(segment_ends(one, padded(1, 1), 0) == std::vector<index>{0});
  const std::vector<int> none{0};
  CHECK(segment_ends(one, padded(1, 1, none), 0).empty());
  CHECK_THROWS_NAMING(segment_ends(one, layout, 0), "entropy");
  CHECK_THROWS_NAMING(segment_ends(one, padded(1, 1), 0, {.minimum_length = 0}), "minimum_length");
  CHECK_THROWS_NAMING(segment_rewards(entropy, one, layout), "value");
  CHECK_THROWS_NAMING(segment_rewards(entropy, value, layout, {.clamp = 0}), "clamp");
}

TEST_CASE("Q-RM: advantages, and a loss over means") {
  const numbers score{1, 2}, value{0.5, 1}, log_prob{-1, -1}, reference{-2, -1};
  CHECK(q_rm_advantages(score, value, log_prob, reference, padded(1, 2),
                        {.kl_coefficient = 0.5, .value_coefficient = 2}) == numbers{1 - 0.5 - 1, 0});
  random_numbers random;
  const numbers chosen = random.normal(5), rejected = random.normal(3);
  const std::vector<int> chosen_offsets{0, 2, 5}, rejected_offsets{0, 3, 3};
  const auto loss = [&](const numbers& c, const numbers& r) {
    return q_rm_loss(c, ragged(chosen_offsets), r, ragged(rejected_offsets));
  };
  const auto result = loss(chosen, rejected);
  check_gradient(result.chosen_gradient, difference(chosen, [&](const numbers& x) { return loss(x, rejected).value; }));
  check_gradient(result.rejected_gradient,
                 difference(rejected, [&](const numbers& x) { return loss(chosen, x).value; }));
  const auto half = q_rm_loss(chosen, ragged(chosen_offsets), rejected, ragged(rejected_offsets), {.normaliser = 4});
  CHECK(half.value == doctest::Approx(result.value / 2));
  CHECK_THROWS_NAMING(q_rm_loss(rejected, ragged(chosen_offsets), rejected, ragged(rejected_offsets)), "chosen");
  CHECK_THROWS_NAMING(q_rm_loss(chosen, ragged(chosen_offsets), rejected, padded(1, 3)), "rejected_layout");
  CHECK_THROWS_NAMING(q_rm_advantages(score, value, log_prob, rejected, padded(1, 2)), "reference_log_prob");
}

TEST_CASE("GELI: returns decomposed, over all tokens or over a sample") {
  const numbers reward{1, 9, 3, 9, 9, 9}, whole{5, 2};
  const std::vector<int> sample{1, 0, 0, 1, 1, 1};
  const padded layout(2, 3, hole);
  const auto full = geli_loss(reward, whole, layout);
  CHECK(full.value == 1);  // (1 + 3 - 5)^2, and nothing of the sequence without tokens
  CHECK(full.gradient == numbers{-2, 0, -2, 0, 0, 0});
  const auto part = geli_loss(reward, whole, layout, sample, 2);
  CHECK(part.value == doctest::Approx(9.0 / 2));  // (2/1 * 1 - 5)^2
  check_gradient(part.gradient,
                 difference(reward, [&](const numbers& x) { return geli_loss(x, whole, layout, sample, 2).value; }));
  CHECK_THROWS_NAMING(geli_loss(whole, whole, layout), "token_reward");
  CHECK_THROWS_NAMING(geli_loss(reward, reward, layout), "episode_return");
  CHECK_THROWS_NAMING(geli_loss(reward, whole, layout, whole), "is_sampled");
  CHECK_THROWS_NAMING(geli_loss(reward, whole, layout, {}, 0), "normaliser");
}

}  // namespace
