#include <emend/off_policy/off_policy_metrics.hpp>

#include <doctest/doctest.h>

#include <cmath>

#include "throws.hpp"

using namespace emend;
using emend::index;  // not the one of <strings.h>

namespace {

const double unknown = std::nan(""), inf = HUGE_VAL;
using numbers = std::vector<double>;

}  // namespace

TEST_CASE("off-policy metrics: every measure by hand") {
  const numbers learner{-1, -2, -3}, behaviour{-1.5, -2, -2.5};
  const std::vector<int> offsets{0, 2, 3};
  const auto m = off_policy_metrics(learner, behaviour, ragged(offsets));
  const double up = std::exp(0.5), down = std::exp(-0.5);
  CHECK(m.kl == doctest::Approx(0));
  CHECK(m.k3 == doctest::Approx((up - 1.5 + down - 0.5) / 3));
  CHECK(m.learner_log_perplexity == doctest::Approx((1.5 + 3) / 2));
  CHECK(m.behaviour_log_perplexity == doctest::Approx((1.75 + 2.5) / 2));
  CHECK(m.learner_perplexity == doctest::Approx((std::exp(1.5) + std::exp(3)) / 2));
  CHECK(m.behaviour_perplexity == doctest::Approx((std::exp(1.75) + std::exp(2.5)) / 2));
  CHECK(m.log_perplexity_difference == doctest::Approx((-0.25 + 0.5) / 2));
  CHECK(m.log_perplexity_distance == doctest::Approx(0.375));
  CHECK(m.largest_log_perplexity_difference == doctest::Approx(0.5));
  CHECK(m.smallest_log_perplexity_difference == doctest::Approx(-0.25));
  CHECK(m.perplexity_ratio == doctest::Approx((std::exp(-0.25) + std::exp(0.5)) / 2));
  CHECK(m.token_chi_square == doctest::Approx((up * up + 1 + down * down) / 3 - 1));
  CHECK(m.sequence_chi_square == doctest::Approx((up * up + down * down) / 2 - 1));
  CHECK(m.token_sample_share == doctest::Approx(std::pow(up + 1 + down, 2) / (3 * (up * up + 1 + down * down))));
  CHECK(m.sequence_sample_share == doctest::Approx(std::pow(up + down, 2) / (2 * (up * up + down * down))));
  CHECK(off_policy_metrics(learner, learner, ragged(offsets)).token_sample_share == doctest::Approx(1));
}

TEST_CASE("off-policy metrics: missing tokens and masked rows are left out, whatever they hold") {
  const numbers learner{-1, -2, -9, -3, inf, unknown}, behaviour{-1.5, -2, unknown, -2.5, 0, 0}, mask{1, 1, 1, 1, 0, 0};
  const std::vector<int> offsets{0, 3, 4, 6}, plain_offsets{0, 2, 3};
  const numbers plain_learner{-1, -2, -3}, plain_behaviour{-1.5, -2, -2.5};
  const auto m = off_policy_metrics(learner, behaviour, ragged(offsets, mask));
  const auto plain = off_policy_metrics(plain_learner, plain_behaviour, ragged(plain_offsets));
  CHECK(m.missing == 1);
  CHECK(m.counted == 3);
  CHECK(m.sequences == 2);
  CHECK(m.k3 == plain.k3);
  CHECK(m.learner_perplexity == plain.learner_perplexity);
  CHECK(m.sequence_chi_square == plain.sequence_chi_square);
  const auto counted = off_policy_metrics(learner, behaviour, ragged(offsets, mask), {.counts_empty_sequences = true});
  CHECK(counted.sequences == 3);
  CHECK(counted.learner_perplexity == doctest::Approx((2 * plain.learner_perplexity + 1) / 3));
}

TEST_CASE("off-policy metrics: nothing to measure, overflow, errors") {
  const numbers none, one{-1}, far{-1000};
  CHECK(std::isnan(off_policy_metrics(none, none, padded(0, 2)).kl));
  CHECK(std::isnan(off_policy_metrics(none, none, padded(0, 2)).largest_log_perplexity_difference));
  CHECK(std::isnan(off_policy_metrics(one, numbers{unknown}, padded(1, 1)).token_chi_square));
  CHECK(off_policy_metrics(one, far, padded(1, 1)).token_chi_square == doctest::Approx(std::exp(40) - 1));
  CHECK_THROWS_NAMING(off_policy_metrics(one, none, padded(1, 1)), "behaviour_log_prob");
  CHECK_THROWS_NAMING(off_policy_metrics(none, one, padded(1, 1)), "log_prob");
  CHECK_THROWS_NAMING(off_policy_metrics(one, one, padded(1, 1), {.mean_epsilon = -1}), "mean_epsilon");
  CHECK_THROWS_NAMING(off_policy_metrics(one, one, padded(1, 1), {.log_ratio_clamp = unknown}), "log_ratio_clamp");
}
