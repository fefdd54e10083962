#include <emend/core/matrix.hpp>
#include <emend/core/thread_pool.hpp>
#include <emend/distillation/divergence.hpp>
#include <emend/distillation/top_k_divergence.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

constexpr divergence_kind every_kind[] = {divergence_kind::forward_kl, divergence_kind::reverse_kl,
                                          divergence_kind::jensen_shannon};
constexpr top_k_tail every_tail[] = {top_k_tail::bucket, top_k_tail::renormalised, top_k_tail::dropped};
using numbers = std::vector<double>;

matrix<double> scores(index rows, index vocab, std::uint32_t seed) {
  matrix<double> x(rows, vocab);
  for (index i = 0; i < rows * vocab; ++i) {
    seed = seed * 1664525u + 1013904223u;
    x.data()[i] = static_cast<double>(seed >> 8) / 4194304.0 - 2;
  }
  return x;
}

double log_z(const matrix<double>& x, index row) {
  double sum = 0;
  for (index j = 0; j < x.columns(); ++j) sum += std::exp(x(row, j));
  return std::log(sum);
}

/// Teacher's log-probabilities at the ids.
numbers at(const matrix<double>& teacher, const std::vector<int>& offsets, const std::vector<int>& ids) {
  numbers result;
  for (index i = 0; i < teacher.rows(); ++i)
    for (int k = offsets[static_cast<std::size_t>(i)]; k < offsets[static_cast<std::size_t>(i) + 1]; ++k)
      result.push_back(teacher(i, ids[static_cast<std::size_t>(k)]) - log_z(teacher, i));
  return result;
}

const std::vector<int> offsets{0, 3, 3, 5, 9}, ids{1, 4, 0, 5, 2, 6, 0, 3, 1};

TEST_CASE("top-k gradients are central finite differences, for every divergence and tail") {
  const matrix<double> teacher = scores(4, 7, 2);
  const numbers log_q = at(teacher, offsets, ids), weight{0.5, 3, 2, 1}, mask{1, 1, 1, 0};
  for (const score_transform& transform :
       {score_transform{}, {.temperature = 1.4}, {.logit_scale = 1.3, .soft_cap = 2}})
    for (const divergence_kind kind : every_kind)
      for (const top_k_tail tail : every_tail) {
        matrix<double> x = scores(4, 7, 1);
        const top_k best{offsets, ids, log_q};
        const top_k_options options{.kind = kind,
                                    .tail = tail,
                                    .mixture = 0.3,
                                    .mask = mask,
                                    .weight = weight,
                                    .normaliser = 2,
                                    .transform = transform};
        const auto got = top_k_divergence(x, best, options);
        CHECK(got.evaluated == 2);  // row 1 has no ids, row 3 is masked
        CHECK(got.value == doctest::Approx((0.5 * got.per_token[0] + 2 * got.per_token[2]) / 2).epsilon(1e-14));
        for (index i = 0; i < 4; ++i)
          for (index j = 0; j < 7; ++j) {
            const double from = x(i, j), step = 1e-5;
            x(i, j) = from + step;
            const double above = top_k_divergence_value(x, best, options);
            x(i, j) = from - step;
            const double below = top_k_divergence_value(x, best, options);
            x(i, j) = from;
            CHECK(got.gradient(i, j) == doctest::Approx((above - below) / (2 * step)).epsilon(1e-7).scale(0.01));
          }
      }
}

TEST_CASE("top-k of everything is the divergence over the whole vocabulary") {
  const matrix<double> student = scores(3, 5, 3), teacher = scores(3, 5, 4);
  std::vector<int> all_offsets{0}, all_ids;
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 5; ++j) all_ids.push_back((j + i) % 5);
    all_offsets.push_back(5 * (i + 1));
  }
  const numbers log_q = at(teacher, all_offsets, all_ids);
  for (const divergence_kind kind : every_kind)
    for (const top_k_tail tail : every_tail) {
      const auto want = divergence(kind, student, teacher);
      const auto got = top_k_divergence(student, {all_offsets, all_ids, log_q},
                                        {.kind = kind, .tail = tail, .smallest_tail = 1e-12});
      CHECK(got.value == doctest::Approx(want.value).epsilon(1e-10));
      for (index i = 0; i < 15; ++i)
        CHECK(got.gradient.data()[i] == doctest::Approx(want.gradient.data()[i]).epsilon(1e-9).scale(1e-2));
    }
}

TEST_CASE("top-k by hand: a bucket, renormalised, dropped") {
  // Student 1/2, 1/4, 1/8, 1/8; teacher 1/2, 3/8 and 1/8 for the rest.
  const matrix<double> x(1, 4, {std::log(4), std::log(2), 0, 0});
  const std::vector<int> one_row{0, 2}, best{0, 1};
  const numbers log_q{std::log(0.5), std::log(0.375)};
  const auto value = [&](divergence_kind kind, top_k_tail tail) {
    return top_k_divergence_value(x, {one_row, best, log_q}, {.kind = kind, .tail = tail}).value;
  };
  CHECK(value(divergence_kind::forward_kl, top_k_tail::bucket) ==
        doctest::Approx(0.375 * std::log(1.5) + 0.125 * std::log(0.5)));
  CHECK(value(divergence_kind::reverse_kl, top_k_tail::bucket) ==
        doctest::Approx(0.25 * std::log(1 / 1.5) + 0.25 * std::log(2)));
  CHECK(value(divergence_kind::forward_kl, top_k_tail::dropped) == doctest::Approx(0.375 * std::log(1.5)));
  CHECK(value(divergence_kind::forward_kl, top_k_tail::renormalised) ==
        doctest::Approx(4.0 / 7 * std::log(6.0 / 7) + 3.0 / 7 * std::log(9.0 / 7)));
  // Outside the ids the bucket's gradient is p_j (1 - Q / P), the renormalised one's exactly 0.
  const auto bucket = top_k_divergence(x, {one_row, best, log_q});
  CHECK(bucket.gradient(0, 2) == doctest::Approx(0.125 * (1 - 0.125 / 0.25)));
  CHECK(bucket.gradient(0, 0) == doctest::Approx(0).scale(1));
  CHECK(bucket.gradient(0, 1) == doctest::Approx(0.25 - 0.375));
  CHECK(top_k_divergence(x, {one_row, best, log_q}, {.tail = top_k_tail::renormalised}).gradient(0, 3) == 0);
}

TEST_CASE("top-k clamped: rows below 0 are 0 and have no gradient, others are as they were") {
  // Of the two best ids the student has more of both in the first row.
  const matrix<double> x(2, 3, {3, 3, 0, 0, 0, 3});
  const std::vector<int> two_rows{0, 2, 4}, best{0, 1, 0, 1};
  const numbers log_q{std::log(0.3), std::log(0.3), std::log(0.3), std::log(0.3)};
  numbers plain, clamped;
  const auto before = top_k_divergence(x, {two_rows, best, log_q}, {.tail = top_k_tail::dropped, .per_token = &plain});
  const auto after = top_k_divergence(x, {two_rows, best, log_q},
                                      {.tail = top_k_tail::dropped, .is_clamped = true, .per_token = &clamped});
  CHECK(plain[0] < 0);
  CHECK(clamped[0] == 0);
  CHECK(clamped[1] == plain[1]);
  CHECK(plain[1] > 0);
  CHECK(after.value == plain[1]);
  for (index j = 0; j < 3; ++j) {
    CHECK(before.gradient(0, j) != 0);
    CHECK(after.gradient(0, j) == 0);
    CHECK(after.gradient(1, j) == before.gradient(1, j));
  }
}

TEST_CASE("top-k: probabilities of 0, certain students, rows without ids") {
  const double inf = HUGE_VAL;
  const matrix<double> x(1, 3, {1, -inf, 0}), certain(1, 3, {800, 0, 0});
  const std::vector<int> one_row{0, 2}, some{0, 1};
  const numbers with_zero{std::log(0.6), -inf}, with_mass{std::log(0.6), std::log(0.3)};
  for (const top_k_tail tail : every_tail) {
    const auto forward = top_k_divergence(x, {one_row, some, with_zero}, {.tail = tail});
    CHECK(std::isfinite(forward.value));
    CHECK(forward.gradient(0, 1) == 0);
    CHECK(top_k_divergence_value(x, {one_row, some, with_mass}, {.tail = tail}).value == inf);
    // The student has mass where the teacher has none.
    const matrix<double> flat(1, 3, {0, 0, 0});
    const auto reverse =
        top_k_divergence(flat, {one_row, some, with_zero}, {.kind = divergence_kind::reverse_kl, .tail = tail});
    CHECK(reverse.value == inf);
    for (index j = 0; j < 3; ++j) CHECK(reverse.gradient(0, j) == 0);
    const auto sure =
        top_k_divergence(certain, {one_row, some, with_mass}, {.kind = divergence_kind::jensen_shannon, .tail = tail});
    CHECK(std::isfinite(sure.value));
    for (index j = 0; j < 3; ++j) CHECK(std::isfinite(sure.gradient(0, j)));
  }
  const std::vector<int> no_offsets{0, 0}, no_ids;
  const auto none = top_k_divergence(x, {no_offsets, no_ids, numbers{}});
  CHECK(none.value == 0);
  CHECK(none.evaluated == 0);
  CHECK(none.gradient(0, 0) == 0);
  const matrix<double> nothing(0, 3);
  const std::vector<int> first{0};
  CHECK(top_k_divergence(nothing, {first, no_ids, numbers{}}).value == 0);
}

TEST_CASE("top-k: float rows near the double ones, in place, threads, hidden states") {
  const index rows = 9, vocab = 3000;
  const matrix<double> exact = scores(rows, vocab, 5), teacher = scores(rows, vocab, 6);
  matrix<float> x(rows, vocab);
  for (index i = 0; i < rows * vocab; ++i) x.data()[i] = static_cast<float>(exact.data()[i]);
  std::vector<int> some_offsets{0}, some_ids;
  for (index i = 0; i < rows; ++i) {
    for (int k = 0; k < 20; ++k) some_ids.push_back(static_cast<int>((k * 131 + i) % vocab));
    some_offsets.push_back(20 * static_cast<int>(i + 1));
  }
  const numbers log_q = at(teacher, some_offsets, some_ids);
  thread_pool pool(3);
  for (const divergence_kind kind : every_kind)
    for (const top_k_tail tail : every_tail) {
      const top_k best{some_offsets, some_ids, log_q};
      const top_k_options options{.kind = kind, .tail = tail};
      const auto want = top_k_divergence(exact, best, options);
      const auto got = top_k_divergence(x, best, options);
      CHECK(got.value == doctest::Approx(want.value).epsilon(1e-5));
      for (index i = 0; i < rows * vocab; ++i)
        REQUIRE(static_cast<double>(got.gradient.data()[i]) ==
                doctest::Approx(want.gradient.data()[i]).epsilon(1e-4).scale(1e-2));
      const auto threaded = top_k_divergence(x, best, options, pool);
      CHECK(threaded.value == got.value);
      CHECK(std::memcmp(threaded.gradient.data(), got.gradient.data(),
                        static_cast<std::size_t>(rows * vocab) * sizeof(float)) == 0);
      matrix<float> in_place = x;
      CHECK(top_k_divergence_into(in_place, best, options, in_place).value == got.value);
      CHECK(std::memcmp(in_place.data(), got.gradient.data(), static_cast<std::size_t>(rows * vocab) * sizeof(float)) ==
            0);
    }
  // hidden weight^T, never stored
  const matrix<double> hidden = scores(4, 3, 7), weight = scores(7, 3, 8);
  matrix<double> product(4, 7);
  for (index i = 0; i < 4; ++i)
    for (index j = 0; j < 7; ++j)
      for (index k = 0; k < 3; ++k) product(i, j) += hidden(i, k) * weight(j, k);
  const numbers q = at(scores(4, 7, 9), offsets, ids);
  const auto linear = top_k_divergence(linear_scores{hidden, weight}, {offsets, ids, q});
  const auto stored = top_k_divergence(product, {offsets, ids, q});
  CHECK(linear.value == doctest::Approx(stored.value).epsilon(1e-12));
  double d_hidden = 0;
  for (index j = 0; j < 7; ++j) d_hidden += stored.gradient(2, j) * weight(j, 1);
  CHECK(linear.gradient.d_hidden(2, 1) == doctest::Approx(d_hidden).epsilon(1e-11));
}

TEST_CASE("top-k: errors name the argument") {
  const matrix<double> x(2, 3);
  const std::vector<int> good{0, 1, 2}, late{1, 1, 2}, falling{0, 2, 1}, shorter{0, 2}, two{0, 1}, beyond{0, 3};
  const numbers q{-1, -1}, one{-1};
  const auto run = [&](const top_k& best, const top_k_options& options = {}) {
    return top_k_divergence_value(x, best, options);
  };
  CHECK_THROWS_NAMING(run({shorter, two, q}), "offsets");
  CHECK_THROWS_NAMING(run({late, two, q}), "offsets");
  CHECK_THROWS_NAMING(run({falling, two, q}), "offsets");
  CHECK_THROWS_NAMING(run({good, falling, q}), "ids");
  CHECK_THROWS_NAMING(run({good, two, one}), "teacher_log_prob");
  CHECK_THROWS_NAMING(run({good, beyond, q}), "ids");
  CHECK_THROWS_NAMING(run({good, two, q}, {.mixture = -1}), "mixture");
  CHECK_THROWS_NAMING(run({good, two, q}, {.mask = one}), "mask");
  CHECK_THROWS_NAMING(run({good, two, q}, {.weight = one}), "weight");
  CHECK_THROWS_NAMING(run({good, two, q}, {.normaliser = 0}), "normaliser");
  CHECK_THROWS_NAMING(run({good, two, q}, {.smallest_tail = 0}), "smallest_tail");
}

}  // namespace
