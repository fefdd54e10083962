#include <emend/losses/dppo.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "policy_batch.hpp"

namespace {

using namespace emend;
using numbers = std::vector<double>;

TEST_CASE("dppo: tokens that moved too far along their advantage have no gradient") {
  const policy_batch b;
  check_slopes(dppo{.old_log_prob = b.old, .advantage = b.advantage, .low = 0.1, .high = 0.1, .ratio_cap = 1.5},
               [&](std::size_t i) {
                 const bool kept = b.advantage[i] > 0 ? b.moved(i) <= 0.1 : b.moved(i) >= -0.1;
                 return kept ? -std::min(b.ratio(i), 1.5) * b.advantage[i] : 0;
               });
}

TEST_CASE("dppo: by binary KL a token that moved against its advantage is kept however far") {
  const numbers log_prob{-0.1, -3}, old{-1.5, -0.5}, up{1, 1}, down{-1, -1};
  const auto clipped = [&](const numbers& a) {
    const dppo loss{.old_log_prob = old,
                    .advantage = a,
                    .divergence = probability_divergence::binary_kl,
                    .low = 0.05,
                    .high = 0.05};
    return std::vector<double>{
        evaluate_log_probs(loss, numbers{log_prob[0], unread}, {.mask = numbers{1, 0}}).metrics[0],
        evaluate_log_probs(loss, numbers{unread, log_prob[1]}, {.mask = numbers{0, 1}}).metrics[0]};
  };
  CHECK(clipped(up) == numbers{1, 0});
  CHECK(clipped(down) == numbers{0, 1});
}

TEST_CASE("dppo: an advantage of 0; a ratio that overflows is capped") {
  const numbers zero{0}, negative{-1}, old{-1000}, now{0};
  check_zero_advantage(dppo{old, zero});
  CHECK(std::isfinite(evaluate_log_probs(dppo{old, negative}, now).value));
}

}  // namespace
