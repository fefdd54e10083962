#include <emend/core/matrix.hpp>
#include <emend/core/thread_pool.hpp>
#include <emend/sampling/sampler.hpp>

#include <doctest/doctest.h>

#include "slow_sampling.hpp"
#include "throws.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <vector>

namespace {

using namespace slow_sampling;
using emend::index;  // not the one of <strings.h>

TEST_CASE("what is kept is what a sort would keep") {
  for (const auto& row : some_rows()) {
    const entries all = finite(row);
    CAPTURE(row.size());
    for (const index k : {1, 2, 10, 50, 200, 20000})
      CHECK(kept_by(row, top_k_filter{k}) == ids_of(slow_top_k(all, static_cast<double>(k))));
    for (const double p : {0.0, 0.05, 0.5, 0.9, 0.95, 0.999}) {
      CAPTURE(p);
      CHECK(kept_by(row, top_p_filter{p}) == ids_of(slow_top_p(all, p)));
      CHECK(kept_by(row, typical_filter{p}) == ids_of(slow_typical(all, p)));
    }
    CHECK(kept_by(row, top_p_filter{1}) == ids_of(all));
    CHECK(kept_by(row, typical_filter{1}) == ids_of(all));
    const auto p = probabilities(all);
    const double largest = *std::max_element(p.begin(), p.end());
    for (const double m : {0.0, 0.03, 0.5, 1.0})
      CHECK(kept_by(row, min_p_filter{m}) ==
            ids_of(kept_where(all, [&](std::size_t i) { return p[i] >= m * largest * (1 - 1e-14); })));
    for (const double e : {0.0, 1e-4, 3e-3}) {
      CAPTURE(e);
      const bool is_above = largest >= e;
      CHECK(kept_by(row, epsilon_filter{e}) ==
            ids_of(kept_where(all, [&](std::size_t i) { return is_above ? p[i] >= e : p[i] == largest; })));
    }
  }
}

/// Logarithms of weights, shuffled over a row of `size` whose other scores are `rest`.
template <class T>
std::vector<T> row_of(const std::vector<double>& weights, std::size_t size, double rest, std::uint64_t seed) {
  std::vector<T> row(size, static_cast<T>(rest));
  const counter_random random{seed};
  std::uint64_t step = 0;
  for (const double w : weights) {
    std::size_t place;
    do place = static_cast<std::size_t>(random.uniform(0, step++) * static_cast<double>(size));
    while (row[place] != static_cast<T>(rest));
    row[place] = static_cast<T>(std::log(w));
  }
  return row;
}

/// Ids of the weights above a bound, as `row_of` places them.
template <class T>
std::vector<index> heavier_than(const std::vector<T>& row, double bound) {
  std::vector<index> ids;
  for (std::size_t j = 0; j < row.size(); ++j)
    if (static_cast<double>(row[j]) > std::log(bound)) ids.push_back(static_cast<index>(j));
  return ids;
}

TEST_CASE_TEMPLATE("a sum that equals the share has reached it", T, float, double) {
  const std::vector<T> small = {std::log(T(.3)), std::log(T(.1)), std::log(T(.1)), std::log(T(.5))};
  CHECK(kept_by(small, top_p_filter{.8}) == std::vector<index>{0, 3});
  CHECK(kept_by(small, top_p_filter{.5}) == std::vector<index>{3});
  CHECK(kept_by(small, top_p_filter{.80001}) == std::vector<index>{0, 1, 2, 3});
  CHECK(kept_by(small, top_p_filter{.79999}) == std::vector<index>{0, 3});
  CHECK(kept_by(small, top_p_filter{.50001}) == std::vector<index>{0, 3});
  // H = 1.168: by distance .3, .5, then the two .1.
  CHECK(kept_by(small, typical_filter{.3}) == std::vector<index>{0});
  CHECK(kept_by(small, typical_filter{.8}) == std::vector<index>{0, 3});
  CHECK(kept_by(small, typical_filter{.80001}) == std::vector<index>{0, 1, 2, 3});
  // Equal to the bound is not below it.
  CHECK(kept_by(small, min_p_filter{.6}) == std::vector<index>{0, 3});
  CHECK(kept_by(small, min_p_filter{.2}) == std::vector<index>{0, 1, 2, 3});
  CHECK(kept_by(small, min_p_filter{.60001}) == std::vector<index>{3});
  CHECK(kept_by(small, epsilon_filter{.3}) == std::vector<index>{0, 3});
  CHECK(kept_by(small, epsilon_filter{.1}) == std::vector<index>{0, 1, 2, 3});
  CHECK(kept_by(small, epsilon_filter{.30001}) == std::vector<index>{3});
  CHECK(kept_by(std::vector<T>{std::log(T(.6)), std::log(T(.3)), std::log(T(.1))}, min_p_filter{.5}) ==
        std::vector<index>{0, 1});
  const std::vector<T> quarters(4, T(7.25));
  CHECK(kept_by(quarters, eta_filter{.25}).size() == 4);  // sqrt(.25) exp(-log 4) = .125
  // Every prefix of weights m, m-1, .. 1 of a sum of N, in rows of one block and of many, before -inf and before what
  // weighs nothing.
  for (const std::size_t size : {40u, 300u, 5000u, 40000u})
    for (const double rest : {-infinity, -500.0})
      for (const int m : {5, 12, 30}) {
        std::vector<double> weights;
        for (int w = m; w > 0; --w) weights.push_back(w);
        const auto row = row_of<T>(weights, size, rest, size + static_cast<std::size_t>(m));
        const double total = m * (m + 1) / 2.0;
        double sum = 0;
        for (int w = m; w > 1; --w) {
          sum += w;
          CAPTURE(size);
          CAPTURE(m);
          CAPTURE(w);
          CHECK(kept_by(row, top_p_filter{sum / total}) == heavier_than(row, w - 0.5));
          CHECK(kept_by(row, top_p_filter{sum / total + 2e-6}) == heavier_than(row, w - 1.5));
          CHECK(kept_by(row, sampler{top_k_filter{2000}, top_p_filter{sum / total}}) == heavier_than(row, w - 0.5));
        }
      }
  // A wide nucleus: two levels of equal scores, where a sample finds the cut.
  std::vector<T> wide(9000);
  for (std::size_t j = 0; j < wide.size(); ++j) wide[j] = j % 3 == 0 ? std::log(T(1)) : std::log(T(2));
  wide[1] = wide[4] = std::log(T(4));
  // 5998 of weight 2, 2 of weight 4, 3000 of weight 1: 12004 of 15004.
  CHECK(kept_by(wide, top_p_filter{12004.0 / 15004}).size() == 6000);
  CHECK(kept_by(wide, top_p_filter{12004.0 / 15004 + 2e-6}).size() == 9000);
  CHECK(kept_by(wide, top_p_filter{8.0 / 15004}).size() == 2);
}

TEST_CASE_TEMPLATE("blocks of -inf are no part of a minimum", T, float, double) {
  random_numbers random;
  for (const std::size_t size : {200u, 4000u, 32000u})
    for (const std::size_t gap : {64u, 128u}) {
      const std::vector<double> numbers = random.normal(size);
      std::vector<T> row(numbers.begin(), numbers.end());
      for (std::size_t j = 64; j < 64 + gap; ++j) row[j] = static_cast<T>(-infinity);
      std::vector<T> sorted(row);
      std::sort(sorted.begin(), sorted.end(), std::greater<T>());
      const auto least = [&](std::size_t count) {
        std::vector<index> ids;
        for (std::size_t j = 0; j < size; ++j)
          if (row[j] >= sorted[count - 1]) ids.push_back(static_cast<index>(j));
        return ids;
      };
      for (const index minimum : {2, 5, 60}) {
        CAPTURE(size);
        CAPTURE(minimum);
        const auto wanted = least(static_cast<std::size_t>(minimum));
        CHECK(kept_by(row, min_p_filter{0.99999, minimum}) == wanted);
        CHECK(kept_by(row, epsilon_filter{1, minimum}) == wanted);
        CHECK(kept_by(row, eta_filter{1, minimum}).size() >= wanted.size());
        CHECK(kept_by(row, top_p_filter{0, minimum}) == wanted);
        CHECK(kept_by(row, top_k_filter{1, minimum}) == wanted);
        CHECK(kept_by(row, typical_filter{0, minimum}).size() == wanted.size());
        candidates<T> c;
        c.assign(row.data(), static_cast<index>(size));
        c.keep_at_least(100, minimum);
        CHECK(c.size() == minimum);
      }
      // A minimum of more than there are keeps all that are above -inf.
      CHECK(kept_by(row, min_p_filter{1, static_cast<index>(size) - 1}).size() == size - gap);
    }
}

TEST_CASE_TEMPLATE("where most blocks are -inf, the best are found in the few that are not", T, float, double) {
  random_numbers random;
  for (const std::size_t size : {65u, 1000u, 32000u})
    for (const std::size_t possible : {2u, 10u, 64u, 100u}) {
      if (possible > size) continue;
      // All in the first blocks, or spread over blocks of which each has a few.
      for (const std::size_t step : {std::size_t{1}, size / possible}) {
        std::vector<T> row(size, static_cast<T>(-infinity));
        const std::vector<double> numbers = random.normal(possible);
        for (std::size_t j = 0; j < possible; ++j) row[j * step] = static_cast<T>(numbers[j]);
        for (const index minimum : {1, 2, 5, 50, 99, 200}) {
          CAPTURE(size);
          CAPTURE(possible);
          CAPTURE(step);
          CAPTURE(minimum);
          std::vector<T> sorted(row);
          std::sort(sorted.begin(), sorted.end(), std::greater<T>());
          const std::size_t count = std::min(static_cast<std::size_t>(minimum), possible);
          std::vector<index> wanted;
          for (std::size_t j = 0; j < size; ++j)
            if (row[j] >= sorted[count - 1]) wanted.push_back(static_cast<index>(j));
          CHECK(kept_by(row, top_k_filter{minimum}) == wanted);
          CHECK(kept_by(row, min_p_filter{0.99999, minimum}) == wanted);
          CHECK(kept_by(row, top_p_filter{0, minimum}) == wanted);
          CHECK(kept_by(row, epsilon_filter{1, minimum}) == wanted);
        }
      }
    }
}

TEST_CASE_TEMPLATE("a k of 0 is no limit, and exactly k takes the lowest ids of equals", T, float, double) {
  const std::vector<T> row{1, 9, 5, 9, 9, 5, static_cast<T>(-infinity)};
  CHECK(kept_by(row, top_k_filter{0}).size() == 6);
  CHECK(kept_by(row, top_k_filter{.k = 0, .keeps_exactly_k = true}).size() == 6);
  CHECK(kept_by(row, top_k_filter{2}) == std::vector<index>{1, 3, 4});
  CHECK(kept_by(row, top_k_filter{.k = 2, .keeps_exactly_k = true}) == std::vector<index>{1, 3});
  CHECK(kept_by(row, top_k_filter{.k = 3, .keeps_exactly_k = true}) == std::vector<index>{1, 3, 4});
  CHECK(kept_by(row, top_k_filter{.k = 4, .keeps_exactly_k = true}) == std::vector<index>{1, 2, 3, 4});
  CHECK(kept_by(row, top_k_filter{.k = 1, .min_tokens_to_keep = 2, .keeps_exactly_k = true}) ==
        std::vector<index>{1, 3});
  CHECK(kept_by(row, top_k_filter{.k = 7, .keeps_exactly_k = true}).size() == 6);
  const std::vector<T> equal(10000, T(2));
  std::vector<index> first(70);
  std::iota(first.begin(), first.end(), 0);
  CHECK(kept_by(equal, top_k_filter{.k = 70, .keeps_exactly_k = true}) == first);
  // After a filter that has removed ids.
  CHECK(kept_by(row, sampler{top_k_filter{5}, top_k_filter{.k = 4, .keeps_exactly_k = true}}) ==
        std::vector<index>{1, 2, 3, 4});
}

TEST_CASE("the best are kept whatever the bound") {
  const std::vector<double> row{5, 0, 4, 1, 3, 2};
  CHECK(kept_by(row, top_p_filter{0, 3}) == std::vector<index>{0, 2, 4});
  CHECK(kept_by(row, min_p_filter{1, 2}) == std::vector<index>{0, 2});
  CHECK(kept_by(row, epsilon_filter{1, 4}) == std::vector<index>{0, 2, 4, 5});
  CHECK(kept_by(row, eta_filter{1, 6}) == std::vector<index>{0, 1, 2, 3, 4, 5});
  CHECK(kept_by(row, top_k_filter{1, 2}) == std::vector<index>{0, 2});
  CHECK(kept_by(row, top_p_filter{0.1, 100}).size() == 6);
  CHECK(kept_by(row, typical_filter{0, 3}).size() == 3);
}

TEST_CASE("ties stay together, and at temperature 0 the lowest id alone") {
  const std::vector<double> equal(300, 2.5);
  CHECK(kept_by(equal, top_k_filter{5}).size() == 300);
  CHECK(kept_by(equal, top_p_filter{0.5}).size() == 300);
  CHECK(kept_by(equal, typical_filter{0.5}).size() == 300);
  CHECK(kept_by(equal, temperature_scaling{0}) == std::vector<index>{0});
  const std::vector<double> row{1, 9, 5, 9, 9, 5};
  CHECK(kept_by(row, top_k_filter{2}) == std::vector<index>{1, 3, 4});
  CHECK(kept_by(row, temperature_scaling{0}) == std::vector<index>{1});
  CHECK(kept_by(row, sampler{top_k_filter{4}, temperature_scaling{0}}) == std::vector<index>{1});
  std::vector<double> late(1000, 0);
  late[700] = late[900] = 1;
  CHECK(kept_by(late, temperature_scaling{0}) == std::vector<index>{700});
}

TEST_CASE("penalties") {
  const std::vector<double> row{1, -1, 2, 0.5};
  const std::vector<index> previous{2, 1, 2, 0, 2};
  candidates<double> c;
  const auto scores_after = [&](const auto& how, double temperature = 1) {
    c.assign(row.data(), 4, 1, previous);
    temperature_scaling{temperature}(c);
    how(c);
    return std::vector<double>{c.score(0), c.score(1), c.score(2), c.score(3)};
  };
  CHECK(scores_after(repetition_penalty{2}) == std::vector<double>{0.5, -2, 1, 0.5});
  CHECK(scores_after(repetition_penalty{2}, 0.5) == std::vector<double>{1, -4, 2, 1});
  CHECK(scores_after(count_penalty{0.5, 0.25}) == std::vector<double>{0.25, -1.75, 0.75, 0.5});
  const std::vector<int> biased{3, 0};
  const std::vector<double> amount{1, -infinity};
  CHECK(scores_after(score_bias{biased, amount}) == std::vector<double>{-infinity, -1, 2, 1.5});
  CHECK(kept_by(row, no_repeat_ngram_filter{1}, previous) == std::vector<index>{3});
  CHECK(kept_by(row, no_repeat_ngram_filter{2}, previous) == std::vector<index>{2, 3});
  CHECK(kept_by(row, no_repeat_ngram_filter{3}, previous) == std::vector<index>{0, 1, 2, 3});
  CHECK(kept_by(row, no_repeat_ngram_filter{9}, previous) == std::vector<index>{0, 1, 2, 3});
  // After a filter only what is left is changed.
  CHECK(kept_by(row, sampler{top_k_filter{2}, score_bias{biased, amount}}) == std::vector<index>{2});
}

TEST_CASE("rows that have no distribution, and options out of range, are refused") {
  const std::vector<double> nan{0, std::nan("")}, high{0, infinity}, low(70, -infinity), fine{0, 1};
  const sampler<> plain;
  CHECK_THROWS_NAMING(plain.draw(nan.data(), 2, 0.5), "row");
  CHECK_THROWS_NAMING(plain.draw(high.data(), 2, 0.5), "row");
  CHECK_THROWS_NAMING(plain.draw(low.data(), 70, 0.5), "row");
  CHECK_THROWS_NAMING(plain.draw(fine.data(), 0, 0.5), "row");
  std::vector<float> late(200, 0);
  late[130] = std::nanf("");
  CHECK_THROWS_NAMING(plain.draw(late.data(), 200, 0.5), "row");
  CHECK_THROWS_NAMING(kept_by(fine, temperature_scaling{-1}), "temperature");
  CHECK_THROWS_NAMING(kept_by(fine, top_k_filter{-1}), "k");
  CHECK_THROWS_NAMING(kept_by(fine, top_k_filter{1, -1}), "min_tokens_to_keep");
  CHECK_THROWS_NAMING(kept_by(fine, top_p_filter{0.5, -1}), "min_tokens_to_keep");
  CHECK_THROWS_NAMING(kept_by(fine, min_p_filter{0.5, -1}), "min_tokens_to_keep");
  CHECK_THROWS_NAMING(kept_by(fine, typical_filter{0.5, -1}), "min_tokens_to_keep");
  CHECK_THROWS_NAMING(kept_by(fine, epsilon_filter{0.5, -1}), "min_tokens_to_keep");
  CHECK_THROWS_NAMING(kept_by(fine, eta_filter{0.5, -1}), "min_tokens_to_keep");
  CHECK_THROWS_NAMING(kept_by(fine, temperature_scaling{std::nan("")}), "temperature");
  CHECK_THROWS_NAMING(kept_by(fine, count_penalty{infinity, 0}), "presence");
  CHECK_THROWS_NAMING(kept_by(fine, count_penalty{0, std::nan("")}), "frequency");
  for (const double u : {-0.1, 1.0, std::nan("")}) CHECK_THROWS_NAMING(plain.draw(fine.data(), 2, u), "u");
  CHECK_THROWS_NAMING(kept_by(fine, top_p_filter{1.5}), "p");
  CHECK_THROWS_NAMING(kept_by(fine, min_p_filter{std::nan("")}), "min_p");
  CHECK_THROWS_NAMING(kept_by(fine, typical_filter{-0.1}), "p");
  CHECK_THROWS_NAMING(kept_by(fine, epsilon_filter{2}), "epsilon");
  CHECK_THROWS_NAMING(kept_by(fine, eta_filter{-1}), "eta");
  CHECK_THROWS_NAMING(kept_by(fine, repetition_penalty{0}, {0}), "penalty");
  CHECK_THROWS_NAMING(kept_by(fine, repetition_penalty{2}, {2}), "previous");
  CHECK_THROWS_NAMING(kept_by(fine, no_repeat_ngram_filter{0}), "n");
  CHECK_THROWS_NAMING(kept_by(fine, no_repeat_ngram_filter{1}, {0, 1}), "row");
  const std::vector<int> id{5};
  const std::vector<double> amount{1};
  CHECK_THROWS_NAMING(kept_by(fine, score_bias{id, amount}), "ids");
}

}  // namespace
