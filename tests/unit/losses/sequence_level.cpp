#include <emend/losses/sequence_level.hpp>
#include <emend/losses/dro.hpp>
#include <emend/losses/ppo_clip.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "policy_batch.hpp"

namespace {

using namespace emend;
using numbers = std::vector<double>;

TEST_CASE("sequence_level: gradients are the derivatives of the value") {
  const policy_batch b;
  check_gradient(sequence_level<ppo_clip>{{b.old, b.advantage}});
  check_gradient(sequence_level<ppo_clip>{.loss = {b.old, b.advantage, 3e-4, 4e-4}});
  check_gradient(sequence_level<ppo_clip>{.loss = {b.old, b.advantage}, .ratio = sequence_ratio::sum});
}

TEST_CASE("sequence_level: by token the value is of the sequence's ratio, the gradient of the token alone") {
  const policy_batch b;
  check_slopes(sequence_level<dro>{.loss = {b.old, b.advantage, 1}, .gradient = ratio_gradient::token},
               [&](std::size_t i) { return -b.advantage[i] + b.sequence_log_ratio(i) / b.sequence_tokens(i); });
}

TEST_CASE("sequence_level: of one token it is the token's loss") {
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

TEST_CASE("sequence_level: an advantage of 0 gives 0") {
  const numbers zero{0}, old{-800}, now{0};
  CHECK(evaluate_log_prob_sequences(sequence_level<ppo_clip>{{old, zero}}, now, padded(1, 1)).value == 0);
}

}  // namespace
