#include <emend/sampling/candidates.hpp>
#include <emend/sampling/sampler.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "slow_sampling.hpp"
#include "throws.hpp"

namespace {

using namespace slow_sampling;
using emend::index;  // not the one of <strings.h>

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

}  // namespace
