#include <emend/metrics/ngrams.hpp>
#include <emend/metrics/perplexity.hpp>

#include <doctest/doctest.h>

#include "throws.hpp"

#include <cmath>

namespace {

using namespace emend;

TEST_CASE("n-grams by hand: they do not cross sequences, nor what is not counted") {
  const std::vector<int> tokens{1, 2, 1, 2, 9, 1, 2}, mask{1, 1, 1, 1, 0, 1, 1}, offsets{0, 5, 7};
  const auto pairs = measure_ngrams(tokens, ragged(offsets, mask), 2);
  CHECK(pairs.distinct == std::vector<double>{2 / 3.0, 1});
  CHECK(pairs.distinct_pooled == 0.5);
  CHECK(pairs.repetition_mean == doctest::Approx(1 / 6.0));
  CHECK(pairs.entropy == doctest::Approx(-(0.75 * std::log(0.75) + 0.25 * std::log(0.25))));
  const auto fours = measure_ngrams(tokens, ragged(offsets, mask), 5);
  CHECK(fours.distinct == std::vector<double>{1, 1});
  CHECK(fours.entropy == 0);
  const auto none = measure_ngrams(std::vector<int>{}, padded(0, 3), 2);
  CHECK(none.distinct_pooled == 1);
  CHECK(measure_diversity(std::vector<int>{}, padded(0, 3)).pooled == 1);
  CHECK_THROWS_NAMING(measure_ngrams(tokens, ragged(offsets), 0), "n");
  CHECK_THROWS_NAMING(measure_ngrams(tokens, padded(1, 3), 1), "tokens");
}

TEST_CASE("perplexity over tokens and within sequences; none is 1") {
  const std::vector<double> log_prob{std::log(0.5), std::log(0.25), std::nan("")};
  const std::vector<int> mask{1, 1, 0};
  const auto result = perplexity(log_prob, padded(3, 1, mask));
  CHECK(result.value == doctest::Approx(std::sqrt(8)));
  CHECK(result.per_sequence[0] == doctest::Approx(2));
  CHECK(result.per_sequence[2] == 1);
  CHECK(perplexity(std::vector<double>{}, padded(0, 1)).value == 1);
  CHECK_THROWS_NAMING(perplexity(log_prob, padded(1, 2)), "log_prob");
}

}  // namespace
