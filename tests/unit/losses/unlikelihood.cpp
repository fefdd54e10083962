#include <emend/core/matrix.hpp>
#include <emend/losses/unlikelihood.hpp>

#include <doctest/doctest.h>

#include "../random_numbers.hpp"
#include "throws.hpp"

#include <cmath>
#include <set>
#include <vector>

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

double slow_loss(const matrix<double>& x, const unlikelihood_terms& terms, const unlikelihood_options& options) {
  double sum = 0;
  for (std::size_t i = 0; i < terms.id.size(); ++i) {
    double z = 0;
    for (index j = 0; j < x.columns(); ++j) z += std::exp(x(terms.row[i], j));
    const double p = std::exp(x(terms.row[i], terms.id[i])) / z;
    sum += terms.is_unwanted[i] ? -options.alpha * std::log(std::max(1 - p, options.clamp_min)) : -std::log(p);
  }
  return sum / options.normaliser;
}

TEST_CASE("the terms of tokens: what stood before, once, without the target") {
  const std::vector<int> target{3, 3, 1, 2, 9, 9, 5, 3}, offsets{0, 4, 8}, prefix{7, 3, 7, 5}, prefix_offsets{0, 3, 4};
  const std::vector<int> mask{1, 1, 1, 1, 0, 1, 1, 1};
  const auto terms = token_unlikelihood_terms(target, ragged(offsets, mask), {prefix, prefix_offsets});
  std::vector<std::set<index>> expected{{7}, {7}, {7, 3}, {7, 3, 1}, {}, {5}, {9}, {5, 9}}, got(8);
  std::vector<int> wanted(8, 0);
  for (std::size_t i = 0; i < terms.id.size(); ++i) {
    const auto row = static_cast<std::size_t>(terms.row[i]);
    if (terms.is_unwanted[i]) {
      CHECK(got[row].insert(terms.id[i]).second);
    } else {
      CHECK(terms.id[i] == target[row]);
      ++wanted[row];
    }
  }
  CHECK(got == expected);
  CHECK(wanted == mask);
  CHECK_THROWS_NAMING(token_unlikelihood_terms(target, padded(1, 3)), "target");
  CHECK_THROWS_NAMING(token_unlikelihood_terms(target, ragged(offsets), {prefix, offsets}), "prefixes.ids");
}

TEST_CASE("the terms of sequences: the tokens of n-grams that came back") {
  const std::vector<int> text{1, 2, 3, 1, 2, 4, 2, 3, 1, 5, 1, 2}, offsets{0, 10, 12};
  const auto rows = [&](index n) { return sequence_unlikelihood_terms(text, ragged(offsets), n).row; };
  CHECK(rows(2) == std::vector<index>{3, 4, 6, 7, 8});
  CHECK(rows(3) == std::vector<index>{6, 7, 8});
  CHECK(rows(4).empty());
  CHECK(rows(1) == std::vector<index>{3, 4, 6, 7, 8});
  CHECK(rows(20).empty());
  const std::vector<int> same(5, 8);  // overlapping n-grams
  CHECK(sequence_unlikelihood_terms(same, padded(1, 5), 3).row == std::vector<index>{1, 2, 3, 4});
  const auto terms = sequence_unlikelihood_terms(text, ragged(offsets), 2);
  for (std::size_t i = 0; i < terms.id.size(); ++i)
    CHECK((terms.is_unwanted[i] && terms.id[i] == text[static_cast<std::size_t>(terms.row[i])]));
  CHECK_THROWS_NAMING(sequence_unlikelihood_terms(text, ragged(offsets), 0), "n");
}

TEST_CASE("value against the definition, gradient against finite differences") {
  random_numbers random;
  const index rows = 6, vocab = 5;
  matrix<double> x(rows, vocab, random.normal(30));
  const std::vector<int> target{0, 1, 1, 4, 0, 1}, offsets{0, 3, 6};
  const auto terms = token_unlikelihood_terms(target, ragged(offsets));
  const auto of_sequence = sequence_unlikelihood_terms(target, padded(1, 6), 2);
  for (const unlikelihood_terms* of : {&terms, &of_sequence})
    for (const double clamp : {0.0, 0.7}) {
      const unlikelihood_options options{.alpha = 0.8, .clamp_min = clamp, .normaliser = 6};
      const auto result = unlikelihood_loss(x, *of, options);
      CHECK(result.value == doctest::Approx(slow_loss(x, *of, options)).epsilon(1e-12));
      CHECK(result.likelihood + 0.8 * result.unlikelihood == doctest::Approx(result.value).epsilon(1e-12));
      for (index i = 0; i < rows; ++i)
        for (index j = 0; j < vocab; ++j) {
          const double before = x(i, j), h = 1e-6;
          x(i, j) = before + h;
          const double above = slow_loss(x, *of, options);
          x(i, j) = before - h;
          const double below = slow_loss(x, *of, options);
          x(i, j) = before;
          CHECK(result.gradient(i, j) == doctest::Approx((above - below) / (2 * h)).epsilon(1e-6));
        }
    }
}

TEST_CASE("certain and impossible ids") {
  const matrix<double> x(1, 2, {900, 0});
  const unlikelihood_terms terms{.id = {0}, .row = {0}, .is_unwanted = {1}};
  CHECK(unlikelihood_loss(x, terms).value == HUGE_VAL);
  const auto clamped = unlikelihood_loss(x, terms, {.clamp_min = 1e-5});
  CHECK(clamped.value == doctest::Approx(-std::log(1e-5)));
  CHECK(clamped.gradient(0, 0) == 0);
  const unlikelihood_terms other{.id = {1}, .row = {0}, .is_unwanted = {1}};
  CHECK(unlikelihood_loss(x, other).value == 0);
  // Near certainty 1 - p is as exact as log_z is.
  const matrix<double> near(1, 2, {15, 0});
  CHECK(unlikelihood_loss(near, terms).value == doctest::Approx(15 + std::log1p(std::exp(-15.0))).epsilon(1e-9));
  CHECK_THROWS_NAMING(unlikelihood_loss(x, terms, {.alpha = -1}), "alpha");
  CHECK_THROWS_NAMING(unlikelihood_loss(x, terms, {.clamp_min = 1}), "clamp_min");
}

}  // namespace
