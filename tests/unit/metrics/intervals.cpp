#include <emend/core/thread_pool.hpp>
#include <emend/metrics/bootstrap.hpp>
#include <emend/metrics/pair_accuracy.hpp>
#include <emend/metrics/text_intervals.hpp>

#include <doctest/doctest.h>

#include "../random_numbers.hpp"
#include "throws.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

TEST_CASE("the interval is that of the definition") {
  random_numbers random;
  const std::vector<double> x = random.normal(30);
  const auto mean = [&](const std::vector<index>& c) {
    double sum = 0;
    for (const index i : c) sum += x[static_cast<std::size_t>(i)];
    return sum / static_cast<double>(c.size());
  };
  const auto found = bootstrap(30, mean, {.resamples = 101, .confidence = 0.9, .seed = 5});
  std::vector<double> values;
  for (std::uint64_t r = 0; r < 101; ++r) {
    std::vector<index> c;
    for (std::uint64_t i = 0; i < 30; ++i) c.push_back(counter_random{5}.below(30, r, i));
    values.push_back(mean(c));
  }
  std::sort(values.begin(), values.end());
  CHECK(found.low == doctest::Approx(values[5]));
  CHECK(found.high == doctest::Approx(values[95]));
  std::vector<index> all;
  for (index i = 0; i < 30; ++i) all.push_back(i);
  CHECK(found.value == mean(all));
  thread_pool pool(3);
  const auto again = bootstrap(30, mean, {.resamples = 101, .confidence = 0.9, .seed = 5}, pool);
  CHECK(again.low == found.low);
  CHECK(again.high == found.high);
}

TEST_CASE("of the mean of many numbers it is that of the normal distribution") {
  random_numbers random;
  const std::vector<double> x = random.normal(400);
  double sum = 0, squares = 0;
  for (const double v : x) sum += v, squares += v * v;
  const double deviation = std::sqrt(squares / 400 - sum / 400 * (sum / 400)) / 20;
  const auto found = bootstrap(400,
                               [&](const std::vector<index>& c) {
                                 double total = 0;
                                 for (const index i : c) total += x[static_cast<std::size_t>(i)];
                                 return total / 400;
                               },
                               {.resamples = 4000});
  CHECK(found.high - found.value == doctest::Approx(1.96 * deviation).epsilon(0.08));
  CHECK(found.value - found.low == doctest::Approx(1.96 * deviation).epsilon(0.08));
}

TEST_CASE("few prompts and wrong use") {
  const auto size = [](const std::vector<index>& c) { return static_cast<double>(c.size()); };
  CHECK(bootstrap(0, size).high == 0);
  CHECK(bootstrap(1, [](const std::vector<index>& c) { return static_cast<double>(c[0]) + 4; }).low == 4);
  CHECK(bootstrap(3, size, {.resamples = 1}).high == 3);
  CHECK_THROWS_NAMING(bootstrap(-1, size), "n");
  CHECK_THROWS_NAMING(bootstrap(3, size, {.resamples = 0}), "resamples");
  CHECK_THROWS_NAMING(bootstrap(3, size, {.confidence = 1}), "confidence");
}

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

}  // namespace

TEST_CASE("NaN has no place in an order of resamples, and is no lost pair") {
  const double unknown = std::numeric_limits<double>::quiet_NaN();
  const interval both = bootstrap(3, [&](const std::vector<index>& rows) { return rows[0] == 0 ? unknown : 1.0; });
  CHECK(std::isnan(both.low));
  CHECK(std::isnan(both.high));
  CHECK_THROWS_NAMING(pair_accuracy({unknown, 1}, {0, 0}), "chosen_score");
  CHECK_THROWS_NAMING(pair_accuracy({1, 1}, {0, unknown}), "rejected_score");
}

TEST_CASE("n-grams of any n, and bounds between infinite resamples") {
  const std::vector<index> tokens{1, 2, 1, 2};
  const index largest = std::numeric_limits<index>::max();
  CHECK_NOTHROW(measure_ngrams(tokens, padded(1, 4), largest));
  CHECK_NOTHROW(measure_ngram_intervals(tokens, padded(1, 4), largest, {.resamples = 3}));
  const double infinite = std::numeric_limits<double>::infinity();
  const interval all = bootstrap(2, [&](const std::vector<index>&) { return infinite; });
  CHECK(all.low == infinite);
  CHECK(all.high == infinite);
}
