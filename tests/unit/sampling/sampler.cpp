#include <emend/sampling/sampler.hpp>
#include <emend/core/matrix.hpp>
#include <emend/core/thread_pool.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "slow_sampling.hpp"
#include "throws.hpp"

namespace {

using namespace slow_sampling;
using emend::index;  // not the one of <strings.h>

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
