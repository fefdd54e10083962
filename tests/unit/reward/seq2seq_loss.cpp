#include <emend/reward/seq2seq_loss.hpp>
#include <emend/core/matrix.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

/// Two pairs of a correction and an identity: 3, 2, 1 and 2 scored tokens.
struct batch {
  std::vector<int> label{-1, 0, 2, 1, -1, 3, 0, -1, 2, 1, 1}, offsets{0, 4, 7, 9, 11}, is_identity{0, 1, 0, 1};
  matrix<double> scores{11, 4};
  batch() {
    for (index i = 0; i < 44; ++i) scores.data()[i] = std::sin(static_cast<double>(i * i));
  }
  double likelihood(index e) const {
    double sum = 0;
    for (index t = offsets[static_cast<std::size_t>(e)]; t < offsets[static_cast<std::size_t>(e) + 1]; ++t) {
      const int id = label[static_cast<std::size_t>(t)];
      if (id < 0) continue;
      double z = 0;
      for (index j = 0; j < 4; ++j) z += std::exp(scores(t, j));
      sum += std::log(z) - scores(t, id);
    }
    return sum;
  }
};

TEST_CASE("seq2seq_loss: both mappings by their definition, under every normaliser") {
  const batch b;
  const double correction = b.likelihood(0) + b.likelihood(2), identity = b.likelihood(1) + b.likelihood(3);
  for (const double lambda : {0.0, 1.0, 0.3}) {
    const auto with = [&](aggregation how, const batch_counts& counts = {}) {
      return seq2seq_loss(b.scores, b.label, b.offsets, b.is_identity,
                          {.lambda_identity = lambda, .normalise = how, .counts = counts});
    };
    const auto token_mean = with(aggregation::token_mean);
    CHECK(token_mean.value == doctest::Approx((correction + lambda * identity) / 8));
    CHECK(token_mean.correction == doctest::Approx(correction / 8));
    if (lambda > 0) CHECK(token_mean.identity == doctest::Approx(identity / 8));
    CHECK(token_mean.scored_tokens == (lambda > 0 ? 8 : 4));
    CHECK(with(aggregation::sequence_sum).value == doctest::Approx((correction + lambda * identity) / 2));
    CHECK(
        with(aggregation::per_example_mean).value ==
        doctest::Approx(
            (b.likelihood(0) / 3 + lambda * b.likelihood(1) / 2 + b.likelihood(2) + lambda * b.likelihood(3) / 2) / 4));
    CHECK(with(aggregation::token_mean, {.tokens = 80}).value == doctest::Approx(token_mean.value / 10));
  }
}

TEST_CASE("seq2seq_loss: the gradient by differences, and rows without a label are not read") {
  batch b;
  for (index j = 0; j < 4; ++j) b.scores(0, j) = b.scores(4, j) = std::nan("");
  const auto got = seq2seq_loss(b.scores, b.label, b.offsets, b.is_identity, {.lambda_identity = 0.5});
  for (index i = 0; i < 11; ++i)
    for (index j = 0; j < 4; ++j) {
      if (b.label[static_cast<std::size_t>(i)] < 0) {
        CHECK(got.gradient(i, j) == 0);
        continue;
      }
      const double at = b.scores(i, j), step = 1e-5;
      const auto value = [&](double x) {
        b.scores(i, j) = x;
        return seq2seq_loss(b.scores, b.label, b.offsets, b.is_identity, {.lambda_identity = 0.5}).value;
      };
      const double slope = (value(at + step) - value(at - step)) / (2 * step);
      b.scores(i, j) = at;
      CHECK(got.gradient(i, j) == doctest::Approx(slope).epsilon(1e-6).scale(0.01));
    }
}

TEST_CASE("seq2seq_loss: errors name the argument") {
  const batch b;
  const auto with = [&](const seq2seq_loss_options& options) {
    return seq2seq_weights(b.label, b.offsets, b.is_identity, options);
  };
  CHECK_THROWS_NAMING(with({.normalise = aggregation::token_sum}), "normalise");
  CHECK_THROWS_NAMING(with({.counts = {.tokens = -1}}), "counts.tokens");
  CHECK_THROWS_NAMING(with({.counts = {.sequences = -1}}), "counts.sequences");
  CHECK_THROWS_NAMING(seq2seq_weights(b.label, std::vector<int>{0, 4}, b.is_identity), "label");
  CHECK_THROWS_NAMING(seq2seq_weights(b.label, b.offsets, std::vector<int>{0}), "is_identity");
  // A micro-batch of identity examples alone has no pair to divide by.
  const std::vector<int> label{0, 1}, offsets{0, 2}, is_identity{1};
  CHECK_THROWS_NAMING(seq2seq_weights(label, offsets, is_identity, {.normalise = aggregation::sequence_sum}),
                      "counts.sequences");
  CHECK(seq2seq_weights(label, offsets, is_identity,
                        {.normalise = aggregation::sequence_sum, .counts = {.sequences = 4}}) ==
        std::vector<double>{0.25, 0.25});
}

}  // namespace
