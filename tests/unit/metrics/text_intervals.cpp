#include <emend/metrics/text_intervals.hpp>
#include <emend/core/layout.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "../random_numbers.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

TEST_CASE("measures of text: the values are the measures' own, the bounds those of resampled batches") {
  random_numbers random;
  std::vector<int> tokens = random.ids(240, 9), offsets{0};
  for (int b = 1; b <= 20; ++b) offsets.push_back(12 * b);
  const ragged layout(offsets);
  std::vector<double> log_prob = random.normal(240);
  for (double& x : log_prob) x = -std::abs(x);
  const bootstrap_options options{.resamples = 60, .seed = 8};
  const ngram_intervals found = measure_ngram_intervals(tokens, layout, 2, options);
  const interval diversity = diversity_interval(tokens, layout, options),
                 perplex = perplexity_interval(log_prob, layout, options);
  const auto measures = measure_ngrams(tokens, layout, 2);
  CHECK(found.entropy.value == doctest::Approx(measures.entropy));
  CHECK(found.distinct_pooled.value == doctest::Approx(measures.distinct_pooled));
  CHECK(found.repetition.value == doctest::Approx(measures.repetition_mean));
  CHECK(found.distinct.value == doctest::Approx(1 - measures.repetition_mean));
  CHECK(diversity.value == doctest::Approx(measure_diversity(tokens, layout).mean));
  CHECK(perplex.value == doctest::Approx(perplexity(log_prob, layout).value));
  // Each resample written out as a batch of its own.
  std::vector<double> entropy, pooled, repetition, diverse, perplexities_of;
  for (std::uint64_t r = 0; r < 60; ++r) {
    std::vector<int> text;
    std::vector<double> log_probs;
    for (std::uint64_t i = 0; i < 20; ++i) {
      const auto b = counter_random{8}.below(20, r, i);
      text.insert(text.end(), tokens.begin() + 12 * b, tokens.begin() + 12 * (b + 1));
      log_probs.insert(log_probs.end(), log_prob.begin() + 12 * b, log_prob.begin() + 12 * (b + 1));
    }
    const auto of = measure_ngrams(text, layout, 2);
    entropy.push_back(of.entropy);
    pooled.push_back(of.distinct_pooled);
    repetition.push_back(of.repetition_mean);
    diverse.push_back(measure_diversity(text, layout).mean);
    perplexities_of.push_back(perplexity(log_probs, layout).value);
  }
  const auto check = [](std::vector<double> values, const interval& got) {
    std::sort(values.begin(), values.end());
    const auto at = [&](double q) {
      const double place = q * 59;
      const auto below = static_cast<std::size_t>(place);
      return values[below] + (place - static_cast<double>(below)) * (values[below + 1] - values[below]);
    };
    CHECK(got.low == doctest::Approx(at(0.025)));
    CHECK(got.high == doctest::Approx(at(0.975)));
  };
  check(entropy, found.entropy);
  check(pooled, found.distinct_pooled);
  check(repetition, found.repetition);
  check(diverse, diversity);
  check(perplexities_of, perplex);
}

TEST_CASE("intervals of n-grams of any n") {
  const std::vector<index> tokens{1, 2, 1, 2};
  CHECK_NOTHROW(measure_ngram_intervals(tokens, padded(1, 4), std::numeric_limits<index>::max(), {.resamples = 3}));
}

}  // namespace
