#include <emend/core/matrix.hpp>
#include <emend/core/thread_pool.hpp>
#include <emend/sampling/sampler.hpp>

#include <doctest/doctest.h>

#include "../random_numbers.hpp"
#include "throws.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <vector>

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

constexpr double infinity = std::numeric_limits<double>::infinity();

/// What the slow way leaves: every id with its score, sorted where the definition sorts.
struct entry {
  index id;
  double score;
};
using entries = std::vector<entry>;

std::vector<double> probabilities(const entries& of) {
  double largest = -infinity, total = 0;
  for (const entry& e : of) largest = std::max(largest, e.score);
  std::vector<double> p;
  for (const entry& e : of) total += std::exp(e.score - largest);
  for (const entry& e : of) p.push_back(std::exp(e.score - largest) / total);
  return p;
}

entries kept_where(const entries& of, const std::function<bool(std::size_t)>& is_kept) {
  entries result;
  for (std::size_t i = 0; i < of.size(); ++i)
    if (is_kept(i)) result.push_back(of[i]);
  return result;
}

/// Keys of descending order; the first prefix whose weight reaches the target, with all that equal its last.
double slow_cut(const std::vector<double>& key, const std::vector<double>& weight, double target) {
  std::vector<std::size_t> order(key.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return key[a] > key[b]; });
  double sum = 0;
  for (const std::size_t i : order) {
    sum += weight[i];
    if (sum >= target) return key[i];
  }
  return key[order.back()];
}

entries slow_top_k(const entries& of, double k) {
  std::vector<double> key, ones(of.size(), 1);
  for (const entry& e : of) key.push_back(e.score);
  const double cut = slow_cut(key, ones, k);
  return kept_where(of, [&](std::size_t i) { return key[i] >= cut; });
}
entries slow_top_p(const entries& of, double p) {
  std::vector<double> key;
  for (const entry& e : of) key.push_back(e.score);
  const double cut = slow_cut(key, probabilities(of), p);
  return kept_where(of, [&](std::size_t i) { return key[i] >= cut; });
}
entries slow_typical(const entries& of, double share) {
  const auto p = probabilities(of);
  double entropy = 0;
  for (const double x : p)
    if (x > 0) entropy -= x * std::log(x);
  std::vector<double> key;
  for (const double x : p) key.push_back(-std::abs(-std::log(x) - entropy));
  const double cut = slow_cut(key, p, share);
  return kept_where(of, [&](std::size_t i) { return key[i] >= cut; });
}

entries finite(const std::vector<double>& row) {
  entries result;
  for (std::size_t j = 0; j < row.size(); ++j)
    if (row[j] > -infinity) result.push_back({static_cast<index>(j), row[j]});
  return result;
}

template <class T = double, class P>
std::vector<index> kept_by(const std::vector<T>& row, const P& how, const std::vector<index>& previous = {}) {
  candidates<arithmetic<T>> c;
  c.assign(row.data(), static_cast<index>(row.size()), 1, previous);
  how(c);
  std::vector<index> ids;
  for (index i = 0; i < c.size(); ++i)
    if (c.score(i) > -infinity) ids.push_back(c.id(i));
  return ids;
}
std::vector<index> ids_of(const entries& of) {
  std::vector<index> ids;
  for (const entry& e : of) ids.push_back(e.id);
  return ids;
}

/// Rows of every shape: one id, fewer than a block, many blocks; flat, peaked, with steps of equal scores, with -inf.
std::vector<std::vector<double>> some_rows() {
  random_numbers random;
  std::vector<std::vector<double>> rows;
  for (const std::size_t size : {1u, 2u, 63u, 64u, 65u, 700u, 9000u})
    for (const int shape : {0, 1, 2, 3}) {
      std::vector<double> row = random.normal(size);
      for (double& x : row) x *= shape == 0 ? 0.3 : shape == 1 ? 4 : 2;
      if (shape == 2)
        for (std::size_t j = 0; j < size; j += 3) row[j] = -infinity;
      row[size / 2] = shape == 1 ? 12 : 1;
      if (shape == 3)
        for (double& x : row) x = std::round(x);
      rows.push_back(row);
    }
  return rows;
}

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

TEST_CASE_TEMPLATE("temperatures at the ends of double in a sampler", T, float, double) {
  const T none = static_cast<T>(-infinity);
  std::vector<T> row(150, none);
  row[3] = 3, row[70] = -2, row[149] = 0;
  for (const double hot : {1e37, 1e40, 1e300, infinity}) {
    CAPTURE(hot);
    const auto draw = [&](const auto&... then) {
      std::vector<index> ids;
      for (const double u : {0.1, 0.5, 0.9}) {
        const drawn_id got = sampler{temperature_scaling{hot}, then...}.draw(row.data(), 150, u);
        CHECK(got.log_prob == doctest::Approx(-std::log(3.0)));
        ids.push_back(got.id);
      }
      return ids;
    };
    const std::vector<index> all{3, 70, 149};
    CHECK(draw() == all);
    CHECK(draw(top_p_filter{0.9}) == all);
    CHECK(draw(typical_filter{0.9}) == all);
    CHECK(draw(min_p_filter{0.99}) == all);
    CHECK(draw(epsilon_filter{0.3}) == all);
    CHECK(draw(temperature_scaling{hot}) == all);
    CHECK(draw(temperature_scaling{hot}, temperature_scaling{hot}) == all);
    const std::vector<index> id{0};
    const std::vector<double> amount{-1};
    CHECK(draw(score_bias{id, amount}) == all);
    candidates<T> c;
    c.assign(row.data(), 150);
    temperature_scaling{hot}(c);
    CHECK(c.entropy() == doctest::Approx(std::log(3.0)));
    CHECK(c.probability(0) == 0);
    CHECK(c.score(0) == -infinity);
  }
  for (const double cold : {1e-320, 1e-40, 1e-7})
    CHECK(kept_by(row, temperature_scaling{cold}) == std::vector<index>{3});
  const std::vector<T> near{0, static_cast<T>(1e-5)};
  const double p = sampler{temperature_scaling{1e-5}}.draw(near.data(), 2, 0.9).log_prob;
  CHECK(p == doctest::Approx(-std::log(1 + std::exp(-1.0))).epsilon(1e-4));
  // Factors that multiply beyond float and double.
  const sampler colder{temperature_scaling{1e-6}, temperature_scaling{1e-6}, temperature_scaling{1e-6},
                       temperature_scaling{1e-6}, temperature_scaling{1e-6}, temperature_scaling{1e-6},
                       temperature_scaling{1e-6}};
  CHECK(colder.draw(row.data(), 150, 0.9).id == 3);
  candidates<T> c;
  c.assign(row.data(), 150);
  c.scale(1e200);
  CHECK_THROWS_NAMING(c.scale(1e200), "factor");
  CHECK_THROWS_NAMING(c.scale(-1), "factor");
  CHECK_THROWS_NAMING(c.scale(std::nan("")), "factor");
  // Distances above the largest number of T, which a temperature brings back: exp(-2).
  const T far = sizeof(T) == 4 ? T(3e38) : static_cast<T>(1e308);
  const std::vector<T> apart{far, -far};
  const drawn_id second = sampler{temperature_scaling{static_cast<double>(far)}}.draw(apart.data(), 2, 0.999);
  CHECK(second.id == 1);
  CHECK(second.log_prob == doctest::Approx(-2 - std::log(1 + std::exp(-2.0))).epsilon(1e-5));
}

TEST_CASE("scores as far apart as numbers go") {
  std::vector<float> row(5000, 0.0f);
  for (const float far : {1e38f, 3e38f}) {
    row[0] = -far, row[1] = far;
    candidates<float> c;
    c.assign(row.data(), static_cast<index>(row.size()));
    c.keep_share(0.9);
    CHECK(c.draw(0.5).id == 1);
    CHECK(c.draw(0.999).id == 1);
  }
}

TEST_CASE("what comes behind a wide nucleus sees the scores that it left") {
  random_numbers random;
  const std::vector<double> row = random.normal(9000);
  const std::vector<float> scores(row.begin(), row.end());
  candidates<float> c;
  const auto start = [&] {
    c.assign(scores.data(), static_cast<index>(scores.size()));
    c.keep_share(0.95);
  };
  start();
  std::vector<char> is_left;
  double lowest = infinity;
  index left = 0;
  for (index i = 0; i < c.size(); ++i) {
    is_left.push_back(c.score(i) > -infinity);
    if (is_left.back()) lowest = std::min(lowest, c.score(i)), ++left;
  }
  CHECK(c.size() == 9000);
  CHECK(left > 5000);
  CHECK(left < 8500);
  const auto count_finite = [&] {
    index count = 0;
    for (index i = 0; i < c.size(); ++i) count += c.score(i) > -infinity;
    return count;
  };
  start(), c.scale(0.5);
  CHECK(count_finite() == left);
  CHECK(c.probability(static_cast<index>(std::find(is_left.begin(), is_left.end(), 0) - is_left.begin())) == 0);
  start(), c.keep_largest(left + 100);
  CHECK(count_finite() == left);
  start(), c.keep_at_least(lowest - 1);
  CHECK(count_finite() == left);
  start(), c.keep_share(0.9999999);
  CHECK(count_finite() >= left - 20);
  CHECK(count_finite() <= left);
  start(), c.keep_if([&](index, double score) { return score < 1; });
  for (index i = 0; i < c.size(); ++i) CHECK(is_left[static_cast<std::size_t>(c.id(i))]);
  start(), c.keep_typical(0.9);
  for (index i = 0; i < c.size(); ++i) CHECK(is_left[static_cast<std::size_t>(c.id(i))]);
  const index gone = static_cast<index>(std::find(is_left.begin(), is_left.end(), 0) - is_left.begin());
  start(), c.change(id_column(&gone, 1), [](index, double score) {
    CHECK(score == -infinity);
    return score;
  });
  CHECK(count_finite() == left);
}

TEST_CASE("single precision agrees with double where no score is near the cut") {
  for (const auto& row : some_rows()) {
    std::vector<float> narrow(row.begin(), row.end());
    const std::vector<double> wide(narrow.begin(), narrow.end());
    for (const index k : {1, 7, 100}) CHECK(kept_by(narrow, top_k_filter{k}) == kept_by(wide, top_k_filter{k}));
    for (const double p : {0.3, 0.9}) {
      const auto few = kept_by(wide, top_p_filter{p - 1e-5}), many = kept_by(wide, top_p_filter{p + 1e-5}),
                 got = kept_by(narrow, top_p_filter{p});
      CHECK(got.size() >= few.size());
      CHECK(got.size() <= many.size());
    }
  }
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

TEST_CASE("keys so unevenly spread that buckets do not part them") {
  detail::cut_finder<double> cut;
  std::vector<double> key, weight;
  for (int i = 0; i < 400; ++i) key.push_back(std::ldexp(1.0, -2 * i)), weight.push_back(1);
  for (const double target : {1.0, 3.0, 100.0, 399.0, 400.0, 500.0})
    CHECK(cut(key.data(), weight.data(), 400, target) == slow_cut(key, weight, target));
  for (int i = 0; i < 200; ++i) key[static_cast<std::size_t>(i)] = (i % 2 ? -1.0 : 1.0) * (1.5e308 - i * 1e305);
  for (const double target : {1.0, 3.0, 100.0, 250.0, 399.0})
    CHECK(cut(key.data(), nullptr, 400, target) == slow_cut(key, weight, target));
}

TEST_CASE("keys of -inf among many") {
  detail::cut_finder<double> cut;
  std::vector<double> key(100, -infinity), weight(100, 1);
  for (int i = 0; i < 60; ++i) key[static_cast<std::size_t>(i)] = i;
  CHECK(cut(key.data(), weight.data(), 100, 2) == 58);
  CHECK(cut(key.data(), nullptr, 100, 60) == 0);
  CHECK(cut(key.data(), nullptr, 100, 61) == 0);
  CHECK(cut(key.data() + 55, nullptr, 40, 2) == 58);
  CHECK(cut(key.data() + 55, nullptr, 40, 6) == 55);
  CHECK(cut(key.data() + 60, nullptr, 40, 1) == -infinity);
  CHECK(cut(key.data() + 50, nullptr, 50, 100) == 50);
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

TEST_CASE("a lambda is a processor, and the order is the user's") {
  const std::vector<double> row{3, 2, 1, 0};
  const auto odd = [](auto& c) { c.keep_if([](index id, double) { return id % 2 == 1; }); };
  CHECK(kept_by(row, sampler{odd, top_k_filter{1}}) == std::vector<index>{1});
  CHECK(kept_by(row, sampler{top_k_filter{2}, odd}) == std::vector<index>{1});
  CHECK_THROWS_NAMING(kept_by(row, sampler{top_k_filter{1}, odd}), "processors");
  // Hot rows widen the nucleus, if the temperature comes first.
  CHECK(kept_by(row, sampler{temperature_scaling{10}, top_p_filter{0.6}}).size() == 3);
  CHECK(kept_by(row, sampler{top_p_filter{0.6}, temperature_scaling{10}}).size() == 1);
}

TEST_CASE("a draw is the inverse of the running sum, over many blocks and after filters") {
  for (const auto& row : some_rows()) {
    const entries all = finite(row);
    const auto check = [&](const auto& how, const entries& left, double temperature) {
      entries scaled = left;
      for (entry& e : scaled) e.score /= temperature;
      const auto p = probabilities(scaled);
      for (const double u : {0.0, 0.1, 0.5, 0.77, 0.999, 0x1.fffffffffffffp-1}) {
        const drawn_id got = how.draw(row.data(), static_cast<index>(row.size()), u);
        double before = 0;
        std::size_t i = 0;
        while (i < left.size() && left[i].id != got.id) before += p[i++];
        REQUIRE(i < left.size());
        CHECK(before <= u + 1e-12);
        CHECK(before + p[i] >= u - 1e-12);
        CHECK(got.log_prob == doctest::Approx(std::log(p[i])).epsilon(1e-12));
      }
    };
    check(sampler<>{}, all, 1);
    check(sampler{temperature_scaling{0.7}}, all, 0.7);
    check(sampler{top_k_filter{20}, temperature_scaling{3}}, slow_top_k(all, 20), 3);
    check(sampler{top_p_filter{0.9}}, slow_top_p(all, 0.9), 1);
  }
}

TEST_CASE("strides and 16-bit scores") {
  const std::vector<double> row{1, 9, 5, 9, 3, 9};
  CHECK(sampler{temperature_scaling{0}}.draw(row.data() + 4, 3, 0.5, {}, -2).id == 1);
  std::vector<bfloat16> half;
  for (const double x : row) half.push_back(bfloat16(static_cast<float>(x)));
  CHECK(kept_by(half, top_k_filter{1}) == std::vector<index>{1, 3, 5});
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

TEST_CASE("the same ids for any number of threads and any batch") {
  random_numbers random;
  const std::vector<double> numbers = random.normal(40 * 300);
  const matrix<float> scores(40, 300, std::vector<float>(numbers.begin(), numbers.end()));
  const counter_random draws{77};
  const sampler how{temperature_scaling{0.9}, top_k_filter{100}, top_p_filter{0.9}};
  const auto one = sample_rows(scores, how, draws, 3);
  thread_pool pool(3);
  const auto three = sample_rows(scores, how, draws, 3, {}, pool);
  for (std::size_t i = 0; i < 40; ++i) {
    CHECK(one[i].id == three[i].id);
    CHECK(one[i].log_prob == three[i].log_prob);
    CHECK(how.draw(scores.row(static_cast<index>(i)), 300, draws.uniform(i, 3)).id == one[i].id);
  }
  matrix<float> last(1, 300);
  std::copy(scores.row(39), scores.row(39) + 300, last.row(0));
  const std::vector<int> stream{39};
  CHECK(sample_rows(last, how, draws, 3, {.streams = stream})[0].id == one[39].id);
  const std::vector<int> text{0, 1, 2}, offsets{0, 3};
  CHECK(sample_rows(last, sampler{no_repeat_ngram_filter{1}, top_k_filter{297}}, draws, 3,
                    {.previous = text, .offsets = offsets})[0]
            .id > 2);
  CHECK_THROWS_NAMING(sample_rows(last, how, draws, 3, {.streams = text}), "streams");
  CHECK_THROWS_NAMING(sample_rows(scores, how, draws, 3, {.previous = text, .offsets = offsets}), "offsets");
}

TEST_CASE("frequencies are the probabilities") {
  const std::vector<double> row{0, 1, 2, -5};
  const counter_random random{4};
  std::vector<double> count(4, 0);
  const sampler how{temperature_scaling{2}, top_k_filter{3}};
  for (std::uint64_t i = 0; i < 30000; ++i)
    count[static_cast<std::size_t>(how.draw(row.data(), 4, random.uniform(0, i)).id)] += 1 / 30000.0;
  const double z = 1 + std::exp(0.5) + std::exp(1);
  for (std::size_t j = 0; j < 3; ++j)
    CHECK(count[j] == doctest::Approx(std::exp(0.5 * static_cast<double>(j)) / z).epsilon(0.03));
  CHECK(count[3] == 0);
}

}  // namespace
