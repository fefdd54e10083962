#include <emend/emend.hpp>

#include <doctest/doctest.h>

#include "throws.hpp"

#include <cmath>

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using numbers = std::vector<double>;

const double infinite = detail::infinity, bad = std::nan("");

/// Four sequences of 3, 1, 0 and 4 tokens with holes, ratios on either side of every bound, advantages of every sign.
struct batch {
  numbers log_prob{-1.2, -0.3, bad, -2.5, -0.9, bad, bad, bad, bad, -0.05, -3.1, -1.0},
      old{-1.0, -0.9, bad, -2.5, -1.8, bad, bad, bad, bad, -0.5, -2.2, -1.1},
      reference{-1.1, -0.2, bad, -2.0, -1.0, bad, bad, bad, bad, -0.1, -3.0, -0.7},
      advantage{1.5, 0.8, bad, -0.7, -1.2, bad, bad, bad, bad, -0.4, 2.0, 0}, mask{1, 1, 0, 1, 1, 0, 0, 0, 0, 1, 1, 1};
  numbers weight;
  batch() { weight = token_weights(layout()); }
  padded layout() const { return {4, 3, mask}; }
};

template <class Loss>
log_prob_evaluation<Loss> run(const Loss& loss, const numbers& log_prob, const batch& b) {
  const number_options options{.mask = b.mask, .weight = b.weight};
  if constexpr (requires(token<double> t) { loss(t); })
    return evaluate_log_probs(loss, log_prob, options);
  else
    return evaluate_log_prob_sequences(loss, log_prob, b.layout(), options);
}

/// The gradient is the derivative of the value, and nothing comes from masked tokens.
template <class Loss>
void check_gradient(const Loss& loss) {
  const batch b;
  const auto result = run(loss, b.log_prob, b);
  REQUIRE(std::isfinite(result.value));
  CHECK(result.evaluated == 7);
  for (std::size_t i = 0; i < b.log_prob.size(); ++i) {
    if (b.mask[i] == 0) {
      CHECK(result.gradient[i] == 0);
      continue;
    }
    const double step = 1e-6;
    numbers up = b.log_prob, down = b.log_prob;
    up[i] += step;
    down[i] -= step;
    const double slope = (run(loss, up, b).value - run(loss, down, b).value) / (2 * step);
    CHECK(result.gradient[i] == doctest::Approx(slope).epsilon(1e-7));
  }
}

TEST_CASE("gradients are the derivatives of the values") {
  const batch b;
  check_gradient(ppo_clip{b.old, b.advantage});
  check_gradient(ppo_clip{.old_log_prob = b.old, .advantage = b.advantage, .dual_clip = 1.5});
  check_gradient(ppo_clip{.old_log_prob = b.old, .advantage = b.advantage, .ratio_cap = 1.4});
  check_gradient(ppo_clip{.old_log_prob = b.old, .advantage = b.advantage, .log_ratio_bound = 0.5});
  check_gradient(sapo{b.old, b.advantage});
  check_gradient(dro{b.old, b.advantage, 0.3});
  check_gradient(reinforce{b.advantage});
  const numbers selected{1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0};
  check_gradient(kl_cov{b.old, b.advantage, selected, 0.7});
  check_gradient(sequence_level<ppo_clip>{{b.old, b.advantage}});
  check_gradient(sequence_level<ppo_clip>{.loss = {b.old, b.advantage, 3e-4, 4e-4}});
  check_gradient(sequence_level<ppo_clip>{.loss = {b.old, b.advantage}, .ratio = sequence_ratio::sum});
  check_gradient(sequence_level<sapo>{{b.old, b.advantage}});
  check_gradient(gmpo{b.old, b.advantage});
  const numbers mean = sequence_means(b.advantage, b.layout());
  check_gradient(
      gmpo{.old_log_prob = b.old, .advantage = b.advantage, .sequence_advantage = mean, .length_epsilon = 1e-8});
  check_gradient(a_star_po{b.reference, b.advantage, 0.5});
  for (const kl_kind kind : {kl_kind::k1, kl_kind::k2, kl_kind::k3, kl_kind::absolute}) {
    check_gradient(kl_penalty{.reference_log_prob = b.reference, .coefficient = 0.2, .kind = kind});
    check_gradient(kl_penalty{.reference_log_prob = b.reference,
                              .kind = kind,
                              .weighting = kl_weighting::score_function,
                              .old_log_prob = b.old});
  }
  // r k3(d) is weighed by a ratio of the same log-probability: its closed form r d is the derivative of the value.
  check_gradient(
      kl_penalty{.reference_log_prob = b.reference, .weighting = kl_weighting::ratio, .old_log_prob = b.old});
}

TEST_CASE("weights that are constants: the gradient is the weight times that of the log-probability") {
  const batch b;
  const auto expect = [&](const auto& loss, auto&& slope) {
    const auto result = run(loss, b.log_prob, b);
    for (std::size_t i = 0; i < b.log_prob.size(); ++i)
      if (b.mask[i] != 0) CHECK(result.gradient[i] == doctest::Approx(b.weight[i] * slope(i)).epsilon(1e-12));
  };
  const auto ratio = [&](std::size_t i) { return std::exp(b.log_prob[i] - b.old[i]); };
  expect(cispo{.old_log_prob = b.old, .advantage = b.advantage, .ratio_low = 0.9, .ratio_high = 1.3},
         [&](std::size_t i) { return -std::min(std::max(ratio(i), 0.9), 1.3) * b.advantage[i]; });
  const auto moved = [&](std::size_t i) { return std::exp(b.log_prob[i]) - std::exp(b.old[i]); };
  expect(dppo{.old_log_prob = b.old, .advantage = b.advantage, .low = 0.1, .high = 0.1, .ratio_cap = 1.5},
         [&](std::size_t i) {
           const bool kept = b.advantage[i] > 0 ? moved(i) <= 0.1 : moved(i) >= -0.1;
           return kept ? -std::min(ratio(i), 1.5) * b.advantage[i] : 0;
         });
  expect(ipo_mask{.old_log_prob = b.old, .advantage = b.advantage, .bound = 0.2, .tau = 0.1}, [&](std::size_t i) {
    const double pull = 0.2 * (b.log_prob[i] - b.old[i]);
    return pull - (std::abs(moved(i)) <= 0.2 ? ratio(i) * b.advantage[i] : 0);
  });
  const auto log_sum = [&](std::size_t i) {
    double sum = 0;
    for (std::size_t k = i / 3 * 3; k < i / 3 * 3 + 3; ++k)
      if (b.mask[k] != 0) sum += b.log_prob[k] - b.old[k];
    return sum;
  };
  expect(vespo{b.old, b.advantage}, [&](std::size_t i) {
    const double k = b.advantage[i] >= 0 ? 2 : 3, lambda = b.advantage[i] >= 0 ? 3 : 2, w = std::exp(log_sum(i));
    return -std::exp(lambda) * std::pow(w, k) * std::exp(-lambda * w) * b.advantage[i];
  });
  // GSPO-token: the value of the sequence's ratio, the gradient of the token alone.
  expect(sequence_level<dro>{.loss = {b.old, b.advantage, 1}, .gradient = ratio_gradient::token}, [&](std::size_t i) {
    double count = 0;
    for (std::size_t k = i / 3 * 3; k < i / 3 * 3 + 3; ++k) count += b.mask[k];
    return -b.advantage[i] + log_sum(i) / count;
  });
  expect(kl_penalty{.reference_log_prob = b.reference,
                    .weighting = kl_weighting::unbiased_gradient,
                    .old_log_prob = b.old,
                    .weight_cap = 1.2},
         [&](std::size_t i) { return std::min(ratio(i), 1.2) * (b.log_prob[i] - b.reference[i]); });
}

TEST_CASE("binary KL gate of DPPO: a token that moved against its advantage is kept however far") {
  const numbers log_prob{-0.1, -3}, old{-1.5, -0.5}, up{1, 1}, down{-1, -1};
  const auto clipped = [&](const numbers& a) {
    const dppo loss{.old_log_prob = old,
                    .advantage = a,
                    .divergence = probability_divergence::binary_kl,
                    .low = 0.05,
                    .high = 0.05};
    return std::vector<double>{evaluate_log_probs(loss, numbers{log_prob[0], bad}, {.mask = numbers{1, 0}}).metrics[0],
                               evaluate_log_probs(loss, numbers{bad, log_prob[1]}, {.mask = numbers{0, 1}}).metrics[0]};
  };
  CHECK(clipped(up) == numbers{1, 0});
  CHECK(clipped(down) == numbers{0, 1});
}

TEST_CASE("an advantage of 0 gives 0, whatever the ratio") {
  const numbers zero{0}, old{-800}, now{0};
  const auto check = [&](const auto& loss) {
    const auto result = evaluate_log_probs(loss, now);
    CHECK(result.value == 0);
    CHECK(result.gradient[0] == 0);
  };
  check(ppo_clip{old, zero});
  check(cispo{old, zero});
  check(sapo{old, zero});
  check(reinforce{zero});
  check(dppo{old, zero});
  const auto of_sequence = evaluate_log_prob_sequences(sequence_level<ppo_clip>{{old, zero}}, now, padded(1, 1));
  CHECK(of_sequence.value == 0);
}

TEST_CASE("ratios that overflow: bounded ones stay finite; a clipped branch passes no gradient") {
  const numbers positive{1}, negative{-1}, old{-1000}, now{0};
  const auto clipped = evaluate_log_probs(ppo_clip{old, positive}, now);
  CHECK(clipped.value == doctest::Approx(-1.2));
  CHECK(clipped.gradient[0] == 0);
  CHECK(evaluate_log_probs(ppo_clip{old, negative}, now).value == infinite);
  const auto bounded =
      evaluate_log_probs(ppo_clip{.old_log_prob = old, .advantage = negative, .log_ratio_bound = 20}, now);
  CHECK(bounded.value == doctest::Approx(std::exp(20)));
  CHECK(bounded.gradient[0] == 0);
  const auto dual = evaluate_log_probs(ppo_clip{.old_log_prob = old, .advantage = negative, .dual_clip = 3}, now);
  CHECK(dual.value == 3);
  CHECK(dual.gradient[0] == 0);
  CHECK(std::isfinite(evaluate_log_probs(sapo{old, negative}, now).value));
  CHECK(std::isfinite(evaluate_log_probs(dppo{old, negative}, now).value));
}

TEST_CASE("a sequence of one token: the sequence-level loss is the token's") {
  const batch b;
  const numbers one{-0.4}, old{-0.9}, advantage{0.7};
  for (const sequence_ratio ratio : {sequence_ratio::mean, sequence_ratio::sum}) {
    const auto token_form = evaluate_log_probs(ppo_clip{old, advantage}, one);
    const auto sequence_form = evaluate_log_prob_sequences(
        sequence_level<ppo_clip>{.loss = {old, advantage}, .ratio = ratio}, one, padded(1, 1));
    CHECK(sequence_form.value == token_form.value);
    CHECK(sequence_form.gradient == token_form.gradient);
    CHECK(sequence_form.metrics[0] == token_form.metrics[0]);
  }
}

TEST_CASE("an empty batch, and a batch of masked tokens, have value 0 and no gradient") {
  const numbers none, masked{bad, bad}, zeros{0, 0};
  CHECK(evaluate_log_probs(ppo_clip{none, none}, none).value == 0);
  CHECK(evaluate_log_prob_sequences(gmpo{none, none}, none, padded(0, 3)).value == 0);
  const auto result = evaluate_log_probs(ppo_clip{masked, masked}, masked, {.mask = zeros});
  CHECK(result.value == 0);
  CHECK(result.gradient == zeros);
  CHECK(result.metrics[2] == 0);
}

TEST_CASE("a reference that is not known adds no divergence") {
  const numbers reference{bad, -1}, log_prob{-2, -2};
  const auto result = evaluate_log_probs(kl_penalty{.reference_log_prob = reference}, log_prob);
  CHECK(result.value == doctest::Approx(std::exp(1) - 2));
  CHECK(result.gradient[0] == 0);
}

TEST_CASE("errors name the argument") {
  const numbers two{1, 2}, three{1, 2, 3};
  CHECK_THROWS_NAMING(evaluate_log_probs(cispo{two, three}, three), "old_log_prob");
  CHECK_THROWS_NAMING(evaluate_log_probs(cispo{three, two}, three), "advantage");
  CHECK_THROWS_NAMING(evaluate_log_probs(ppo_clip{.old_log_prob = three, .advantage = three, .dual_clip = 0.5}, three),
                      "dual_clip");
  CHECK_THROWS_NAMING(evaluate_log_probs(ppo_clip{three, three, -0.1}, three), "clip_low");
  CHECK_THROWS_NAMING(evaluate_log_probs(sapo{three, three, 0}, three), "temperature_positive");
  CHECK_THROWS_NAMING(evaluate_log_probs(kl_cov{three, three, two}, three), "selected");
  CHECK_THROWS_NAMING(
      evaluate_log_probs(kl_penalty{.reference_log_prob = three, .weighting = kl_weighting::ratio}, three),
      "old_log_prob");
  CHECK_THROWS_NAMING(evaluate_log_prob_sequences(
                          vespo{.old_log_prob = three, .advantage = three, .lambda_negative = 0}, three, padded(1, 3)),
                      "lambda_negative");
  CHECK_THROWS_NAMING(evaluate_log_prob_sequences(gmpo{three, three, two}, three, padded(1, 3)), "sequence_advantage");
  CHECK_THROWS_NAMING(evaluate_log_prob_sequences(gmpo{three, three}, three, padded(1, 2)), "log_prob");
}

}  // namespace
