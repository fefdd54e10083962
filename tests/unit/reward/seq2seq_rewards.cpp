#include <emend/reward/seq2seq_rewards.hpp>
#include <emend/core/matrix.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using numbers = std::vector<double>;

/// Choices 0 1 2 of responses 0 1 2 and 0 0 2, the second of which departs at its second token and comes back.
struct responses {
  matrix<double> scores{6, 3, {2, 0, 0, 0, 2, 0, 0, 0, 2, 2, 0, 0, 0, 2, 0, 0, 0, 2}};
  std::vector<int> response{0, 1, 2, 0, 0, 2};
  double high = std::exp(2.0) / (std::exp(2.0) + 2), low = 1 / (std::exp(2.0) + 2);
};

TEST_CASE("extract_rewards: positive until the response departs from the model's choice, then negative") {
  const responses r;
  const auto got = extract_rewards(r.scores, r.response, padded(2, 3));
  CHECK(got.score == numbers{1, 1, 1, 1, -1, 0});
  CHECK(got.arg_max == std::vector<index>{0, 1, 2, 0, 1, 2});
  CHECK(got.divergence == std::vector<index>{3, 1});
  CHECK(got.sequence_score[0] == 1);
  CHECK(got.sequence_score[1] == 0);
  CHECK(got.copy_log_likelihood[0] == doctest::Approx(std::log(r.high)));
  CHECK(got.copy_log_likelihood[1] == doctest::Approx((2 * std::log(r.high) + std::log(r.low)) / 3));
  CHECK(got.log_prob[4] == doctest::Approx(std::log(r.low)));
  const auto prob = extract_rewards(r.scores, r.response, padded(2, 3), {.mode = reward_mode::prob});
  CHECK(prob.score[0] == doctest::Approx(r.high));
  CHECK(prob.score[4] == doctest::Approx(r.low - 1));
  const auto margin = extract_rewards(r.scores, r.response, padded(2, 3), {.mode = reward_mode::margin});
  CHECK(margin.score[4] == doctest::Approx(r.low - r.high));
  const auto ratio = extract_rewards(r.scores, r.response, padded(2, 3), {.mode = reward_mode::logratio, .clip = 1.5});
  CHECK(ratio.score[4] == -1.5);
}

TEST_CASE("extract_rewards: normalisation, the penalty of an end that is missing, uncounted tokens") {
  const responses r;
  const auto with = [&](const seq2seq_reward_options& options) {
    return extract_rewards(r.scores, r.response, padded(2, 3), options).score;
  };
  CHECK(with({.normalise = reward_normalisation::per_length})[4] == doctest::Approx(-1.0 / 3));
  // Scores 1 1 1 1 -1 0: mean 1/2, squares 3.5.
  CHECK(with({.normalise = reward_normalisation::whiten, .whiten_epsilon = 0})[0] ==
        doctest::Approx(1 / std::sqrt(3.5 / 5)));
  CHECK(with({.normalise = reward_normalisation::whiten, .is_unbiased = false, .whiten_epsilon = 0.5})[4] ==
        doctest::Approx(-1 / std::sqrt(3.5 / 6 + 0.5)));
  CHECK(with({.neutral = 0.25})[5] == 0.25);
  CHECK(with({.is_neutral_positive = true})[5] == 1);
  const std::vector<int> two{2}, one{1};
  CHECK(with({.negative = 3, .has_truncation_penalty = true, .end_ids = two})[2] == 1);
  CHECK(with({.negative = 3, .has_truncation_penalty = true, .end_ids = one})[2] == -2);
  const std::vector<int> mask{1, 1, 0, 0, 1, 1};
  const auto masked = extract_rewards(r.scores, r.response, padded(2, 3, mask));
  CHECK(masked.score == numbers{1, 1, 0, 0, -1, 0});
  CHECK(masked.arg_max[2] == -1);
  CHECK(masked.divergence == std::vector<index>{2, 0});
  const std::vector<int> none(6, 0);
  CHECK(extract_rewards(r.scores, r.response, padded(2, 3, none)).sequence_score == numbers{0, 0});
}

TEST_CASE("extract_rewards: dense log-ratios, and errors that name the argument") {
  const responses r;
  const numbers reference(6, -1);
  const auto dense = extract_rewards(r.scores, r.response, padded(2, 3),
                                     {.mode = reward_mode::dense, .reference_log_prob = reference});
  CHECK(dense.score[4] == doctest::Approx(std::log(r.low) + 1));
  const auto with = [&](const seq2seq_reward_options& options) {
    return extract_rewards(r.scores, r.response, padded(2, 3), options);
  };
  CHECK_THROWS_NAMING(with({.mode = reward_mode::dense}), "reference_log_prob");
  CHECK_THROWS_NAMING(with({.clip = -1}), "clip");
  CHECK_THROWS_NAMING(with({.whiten_epsilon = -1}), "whiten_epsilon");
  CHECK_THROWS_NAMING(with({.has_truncation_penalty = true}), "end_ids");
  CHECK_THROWS_NAMING(extract_rewards(r.scores, std::vector<int>{0, 1}, padded(2, 3)), "response");
}

}  // namespace
