#include <emend/metrics/ngrams.hpp>
#include <emend/core/layout.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

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

TEST_CASE("n-grams of any n") {
  const std::vector<index> tokens{1, 2, 1, 2};
  CHECK_NOTHROW(measure_ngrams(tokens, padded(1, 4), std::numeric_limits<index>::max()));
}

}  // namespace
