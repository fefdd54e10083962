// What peers compute differently from the same numbers.
#include <emend/conventions.hpp>
#include <emend/evaluation/evaluate_log_prob_sequences.hpp>

#include <doctest/doctest.h>

#include <cmath>

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using numbers = std::vector<double>;
using doctest::Approx;

/// The advantages of a response of three tokens in a row of four places, its reward 1 and its values 0.
numbers advantages_under(const convention& peer, const padded& layout) {
  const numbers whole{1}, value(4, 0);
  const std::vector<int> response{1, 1, 1, 0};
  const std::vector<index> place = peer.score_positions(padded(1, 4, response));
  token_reward_options options = peer.reward;
  options.scalar_reward = whole;
  options.scalar_position = place;
  gae_options of_gae = peer.gae;
  of_gae.lambda = 0.5;
  return gae(token_rewards({}, {}, {}, layout, options), value, layout, of_gae).advantage;
}

TEST_CASE("the reward's place: verl at the last token, TRL's PPO behind it") {
  const std::vector<int> response{1, 1, 1, 0};
  CHECK(advantages_under(conventions::verl, padded(1, 4, response)) == numbers{0.25, 0.5, 1, 0});
  CHECK(advantages_under(conventions::trl_ppo, padded(1, 4)) == numbers{0.125, 0.25, 0.5, 1});
  CHECK(advantages_under(conventions::lm_human_preferences, padded(1, 4)) == numbers{0.25, 0.5, 1, 0});
}

TEST_CASE("holes: carried over, or steps without reward") {
  const numbers reward{0, 0, 1}, value(3, 0);
  const std::vector<int> with_hole{1, 0, 1};
  const auto first = [&](const convention& peer) {
    gae_options options = peer.gae;
    options.lambda = 0.5;
    return gae(reward, value, padded(1, 3, with_hole), options).advantage[0];
  };
  for (const convention* peer : {&conventions::verl, &conventions::nemo_rl, &conventions::areal})
    CHECK(first(*peer) == 0.5);
  for (const convention* peer : {&conventions::openrlhf, &conventions::align_anything, &conventions::nemo_aligner})
    CHECK(first(*peer) == 0.25);
}

TEST_CASE("whitening") {
  const numbers values{1, 3, 7};
  const std::vector<int> mask{1, 1, 0};
  const auto under = [&](const convention& peer) { return whiten(values, padded(1, 3, mask), peer.whitening); };
  for (const convention* peer : {&conventions::verl, &conventions::trl_ppo, &conventions::trlx, &conventions::nemo_rl,
                                 &conventions::slime, &conventions::roll}) {
    CHECK(under(*peer)[0] == Approx(-1 / std::sqrt(2)));
    CHECK(under(*peer)[2] == 0);
  }
  CHECK(under(conventions::trl)[1] == Approx(1 / (std::sqrt(2) + 1e-4)));
  CHECK(under(conventions::openrlhf) == numbers{-1, 1, 5});
  CHECK(under(conventions::nemo_aligner)[1] == Approx(1 / std::sqrt(1 + 1e-8)).epsilon(1e-12));
  CHECK(under(conventions::lm_human_preferences)[1] == Approx(1 / std::sqrt(1 + 1e-8)).epsilon(1e-12));
  CHECK(under(conventions::areal)[1] == Approx(1 / 1.00001).epsilon(1e-12));
  CHECK(under(conventions::areal)[2] == Approx(-2 / 1.00001).epsilon(1e-12));
}

TEST_CASE("groups") {
  const numbers reward{1, 3}, lone{5};
  const auto second = [&](const convention& peer) { return group_relative(reward, {}, peer.group).advantage[1]; };
  CHECK(second(conventions::verl) == Approx(1 / (std::sqrt(2) + 1e-6)).epsilon(1e-12));
  CHECK(second(conventions::roll) == second(conventions::verl));
  CHECK(second(conventions::trl) == Approx(1 / (std::sqrt(2) + 1e-4)).epsilon(1e-12));
  CHECK(second(conventions::openrlhf) == Approx(1 / (std::sqrt(2) + 1e-9)).epsilon(1e-12));
  CHECK(second(conventions::open_instruct) == 1);
  CHECK(second(conventions::nemo_rl) == 2);
  CHECK(second(conventions::nemo_aligner) == 2);
  CHECK(group_relative(lone, {}, conventions::verl.group).advantage[0] == Approx(5 / (1 + 1e-6)).epsilon(1e-12));
  CHECK(group_relative(lone, {}, conventions::trl.group).advantage[0] == 0);
}

TEST_CASE("aggregation") {
  const std::vector<int> mask{1, 0, 0, 1, 1, 1};
  const padded layout(2, 3, mask);
  CHECK(conventions::verl.weights(layout) == numbers{0.25, 0, 0, 0.25, 0.25, 0.25});
  CHECK(conventions::verl.weights(layout, aggregation::per_example_mean)[0] == Approx(0.5 / (1 + 1e-8)).epsilon(1e-12));
  CHECK(conventions::align_anything.weights(layout)[0] == 0.5);
  CHECK(conventions::nemo_rl.weights(layout)[0] == 1 / (4 + 1e-8));
  const std::vector<int> with_empty{1, 0, 0, 0, 0, 0};
  const auto weight = [&](const convention& peer) {
    return peer.weights(padded(2, 3, with_empty), aggregation::per_example_mean)[0];
  };
  for (const convention* peer : {&conventions::trl, &conventions::liger, &conventions::roll})
    CHECK(weight(*peer) == Approx(0.5));
  for (const convention* peer : {&conventions::verl, &conventions::openrlhf, &conventions::nemo_rl})
    CHECK(weight(*peer) == Approx(1));
}

TEST_CASE("policy losses, for a ratio of e^2 and an advantage of -1") {
  const numbers log_prob{-1}, old{-3}, advantage{-1};
  const auto value = [&](const auto& loss) { return evaluate_log_probs(loss, log_prob).value; };
  CHECK(value(conventions::verl.ppo_loss(old, advantage)) == 3);
  CHECK(value(conventions::roll.ppo_loss(old, advantage)) == Approx(1.4));
  for (const convention* peer : {&conventions::trl, &conventions::openrlhf, &conventions::slime, &conventions::liger})
    CHECK(value(peer->ppo_loss(old, advantage)) == Approx(std::exp(2)));
  CHECK(value(conventions::verl.cispo_loss(old, advantage)) == Approx(-1.2));
  CHECK(value(conventions::trl.cispo_loss(old, advantage)) == Approx(-5));
  CHECK(value(conventions::open_instruct.cispo_loss(old, advantage)) == Approx(-1.2));
  const numbers far{-40};
  CHECK(value(conventions::openrlhf.ppo_loss(far, advantage)) == Approx(std::exp(20)));
  CHECK(value(conventions::trl.ppo_loss(far, advantage)) == Approx(std::exp(39)));
  const auto of_sequence = [&](const convention& peer) {
    return evaluate_log_prob_sequences(peer.sequence_loss(far, advantage), log_prob, padded(1, 1), {}).value;
  };
  CHECK(of_sequence(conventions::verl) == Approx(std::exp(10)));
  CHECK(of_sequence(conventions::trl) == Approx(std::exp(39)));
}

TEST_CASE("critics") {
  const numbers old{0}, returns{2}, one{1}, edge{0.2};
  const auto under = [&](const convention& peer, const numbers& v) {
    return evaluate_values(peer.value_loss(old, returns), v);
  };
  CHECK(under(conventions::verl, one).value == Approx(1.62));
  CHECK(under(conventions::trlx, one).value == Approx(1.62));
  CHECK(under(conventions::slime, one).value == Approx(3.24));
  CHECK(under(conventions::verl, edge).gradient[0] == Approx(-1.35));
  CHECK(under(conventions::trl_ppo, edge).gradient[0] == Approx(-1.8));
}

TEST_CASE("divergence from the reference, in the loss and in the reward") {
  const numbers log_prob{-100}, reference{0};
  const auto k3 = [&](const convention& peer) {
    return evaluate_log_probs(peer.kl_loss(reference, log_prob), log_prob).value;
  };
  for (const convention* peer : {&conventions::verl, &conventions::openrlhf, &conventions::nemo_rl, &conventions::slime,
                                 &conventions::roll, &conventions::areal})
    CHECK(k3(*peer) == 10);
  CHECK(k3(conventions::open_instruct) == Approx(std::expm1(40) - 40));
  CHECK(k3(conventions::trl) == Approx(std::expm1(100) - 100));
  const auto reward = [&](const convention& peer) {
    return token_rewards({}, log_prob, reference, padded(1, 1), peer.reward)[0];
  };
  CHECK(reward(conventions::verl) == Approx(2));
  CHECK(reward(conventions::openrlhf) == Approx(0.2));
  for (const convention* peer : {&conventions::trl, &conventions::liger, &conventions::open_instruct})
    CHECK(reward(*peer) == 0);
  for (const convention* peer : {&conventions::trl_ppo, &conventions::align_anything, &conventions::trlx,
                                 &conventions::nemo_aligner, &conventions::lm_human_preferences}) {
    CHECK(peer->kl.coefficient == 0);
    CHECK(reward(*peer) == Approx(2));
  }
}

TEST_CASE("importance weights, metrics, overlong responses") {
  const numbers learner{std::log(0.8)}, behaviour{std::log(0.2)}, none;
  const auto weight = [&](const convention& peer) {
    return importance_weights(learner, behaviour, padded(1, 1), peer.importance).weight[0];
  };
  CHECK(weight(conventions::verl) == 2);
  CHECK(weight(conventions::trl) == 3);
  CHECK(weight(conventions::openrlhf) == Approx(4));
  CHECK(off_policy_metrics(none, none, padded(1, 0), conventions::verl.off_policy).learner_perplexity == 1);
  const numbers length{6144};
  CHECK(overlong_penalty(length, conventions::openrlhf.overlong) == numbers{-1});
  CHECK(overlong_penalty(length, conventions::nemo_rl.overlong) == numbers{-1.5});
  CHECK(overlong_penalty(length, conventions::areal.overlong) == numbers{-1.5});
}

TEST_CASE("a copy with one change") {
  constexpr convention mine = [] {
    convention copy = conventions::verl;
    copy.ppo.clip_high = 0.28;
    return copy;
  }();
  const numbers log_prob{0}, old{-1}, advantage{1};
  CHECK(evaluate_log_probs(mine.ppo_loss(old, advantage), log_prob).value == Approx(-1.28));
  CHECK(mine.ppo.dual_clip == 3);
  constexpr convention mixed{.gae = conventions::openrlhf.gae, .critic = conventions::verl.critic};
  CHECK(mixed.gae.holes == hole_rule::decay);
  CHECK(mixed.critic.edge == clip_edge::half);
  CHECK(mixed.aggregate == aggregation::token_mean);
}

}  // namespace
