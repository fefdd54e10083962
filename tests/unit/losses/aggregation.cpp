#include <emend/emend.hpp>

#include <doctest/doctest.h>

#include "throws.hpp"

#include <cmath>

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using numbers = std::vector<double>;

const aggregation all[] = {aggregation::token_mean, aggregation::token_sum, aggregation::sequence_sum,
                           aggregation::per_example_mean, aggregation::sequence_sum_per_length};

double sum(const numbers& x) {
  double total = 0;
  for (double v : x) total += v;
  return total;
}

TEST_CASE("weights by hand") {
  const std::vector<int> mask{1, 1, 0, 1, 0, 0};
  const padded layout(2, 3, mask);
  CHECK(token_weights(layout) == numbers{1 / 3.0, 1 / 3.0, 0, 1 / 3.0, 0, 0});
  CHECK(token_weights(layout, aggregation::token_sum) == numbers{1, 1, 0, 1, 0, 0});
  CHECK(token_weights(layout, aggregation::sequence_sum) == numbers{0.5, 0.5, 0, 0.5, 0, 0});
  CHECK(token_weights(layout, aggregation::per_example_mean) == numbers{0.25, 0.25, 0, 0.5, 0, 0});
  CHECK(token_weights(layout, aggregation::sequence_sum_per_length, {.length = 4}) ==
        numbers{0.125, 0.125, 0, 0.125, 0, 0});
}

TEST_CASE("explicit counts, empty sequences, epsilons") {
  const std::vector<int> mask{1, 1, 0, 0, 0, 0};
  const padded layout(2, 3, mask);
  CHECK(sum(token_weights(layout, aggregation::token_mean, {.counts = {.tokens = 6}})) == doctest::Approx(1 / 3.0));
  CHECK(sum(token_weights(layout, aggregation::sequence_sum, {.counts = {.sequences = 6}})) ==
        doctest::Approx(1 / 3.0));
  // A sequence without a counted token is none of this batch, unless it is asked for.
  CHECK(sum(token_weights(layout, aggregation::per_example_mean)) == 1);
  CHECK(sum(token_weights(layout, aggregation::per_example_mean, {.counts_empty_sequences = true})) == 0.5);
  CHECK(sum(token_weights(layout, aggregation::per_example_mean, {.length_epsilon = 2})) == 0.5);
  CHECK(sum(token_weights(layout, aggregation::sequence_sum, {.sequence_epsilon = 1})) == 1);
  const std::vector<int> none{0, 0, 0, 0, 0, 0};
  for (const aggregation how : all) CHECK(token_weights(padded(2, 3, none), how, {.length = 3}) == numbers(6, 0));
  CHECK(token_weights(padded(0, 3)).empty());
}

/// Loss and gradient of a batch, or of a part of it with the counts of the whole.
template <class L>
number_evaluation evaluated(const L& layout, aggregation how, const numbers& log_prob, const numbers& advantage,
                            const aggregation_options& options) {
  const numbers weight = token_weights(layout, how, options);
  return evaluate_log_probs(reinforce{advantage}, log_prob, {.weight = weight});
}
template <class L>
double weighted(const L& layout, aggregation how, const numbers& log_prob, const numbers& advantage,
                const aggregation_options& options) {
  return evaluated(layout, how, log_prob, advantage, options).value;
}

TEST_CASE("a batch and any split of it agree, in every layout") {
  // Sequences of 3, 1, 4 and 2 tokens.
  const std::vector<index> lengths{3, 1, 4, 2};
  numbers log_prob, advantage;
  for (int i = 0; i < 10; ++i) {
    log_prob.push_back(-0.3 * i - 0.1);
    advantage.push_back(std::sin(i));
  }
  for (const aggregation how : all) {
    const aggregation_options options{.counts = {.tokens = 10, .sequences = 4}, .length = 5};
    const std::vector<index> offsets{0, 3, 4, 8, 10};
    const double whole = weighted(ragged(offsets), how, log_prob, advantage, options);
    const numbers gradient = evaluated(ragged(offsets), how, log_prob, advantage, options).gradient;
    CHECK(whole == doctest::Approx(weighted(ragged(offsets), how, log_prob, advantage, {.length = 5})).epsilon(1e-15));
    for (std::size_t cut = 0; cut <= 4; ++cut) {
      const auto part = [&](std::size_t from, std::size_t to) {
        std::vector<index> own;
        for (std::size_t k = from; k <= to; ++k) own.push_back(offsets[k] - offsets[from]);
        const auto of = [&](const numbers& x) { return numbers(x.begin() + offsets[from], x.begin() + offsets[to]); };
        const auto result = evaluated(ragged(own), how, of(log_prob), of(advantage), options);
        CHECK(result.gradient == of(gradient));
        return result.value;
      };
      CHECK(part(0, cut) + part(cut, 4) == doctest::Approx(whole).epsilon(1e-14));
    }
    // The same sequences padded on either side, and interleaved in one pack.
    for (const bool is_left : {false, true}) {
      numbers mask(16, 0), wide_log_prob(16, std::nan("")), wide_advantage(16, std::nan(""));
      for (std::size_t b = 0, t = 0; b < 4; ++b)
        for (index k = 0; k < lengths[b]; ++k, ++t) {
          const std::size_t at = b * 4 + static_cast<std::size_t>(is_left ? 4 - lengths[b] + k : k);
          mask[at] = 1, wide_log_prob[at] = log_prob[t], wide_advantage[at] = advantage[t];
        }
      CHECK(weighted(padded(4, 4, mask), how, wide_log_prob, wide_advantage, options) ==
            doctest::Approx(whole).epsilon(1e-14));
    }
    const std::vector<int> sequence_of_token{0, 2, 1, 0, 2, 2, 3, 0, 3, 2};
    const std::vector<std::size_t> source{0, 4, 3, 1, 5, 6, 8, 2, 9, 7};
    numbers packed_log_prob, packed_advantage;
    for (std::size_t s : source) packed_log_prob.push_back(log_prob[s]), packed_advantage.push_back(advantage[s]);
    CHECK(weighted(packed(sequence_of_token), how, packed_log_prob, packed_advantage, options) ==
          doctest::Approx(whole).epsilon(1e-14));
  }
}

TEST_CASE("errors name the argument") {
  CHECK_THROWS_NAMING(token_weights(padded(1, 3), aggregation::sequence_sum_per_length), "length");
  CHECK_THROWS_NAMING(token_weights(padded(1, 3), aggregation::token_mean, {.counts = {.tokens = -1}}),
                      "counts.tokens");
  CHECK_THROWS_NAMING(token_weights(padded(1, 3), aggregation::token_mean, {.token_epsilon = -1}), "token_epsilon");
}

}  // namespace
