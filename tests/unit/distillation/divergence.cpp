// Divergences: gradients by finite differences, options, layouts, mixed storage, threads, errors.
#include <emend/core/matrix.hpp>
#include <emend/core/thread_pool.hpp>
#include <emend/distillation/divergence.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

constexpr divergence_kind every_kind[] = {divergence_kind::forward_kl, divergence_kind::reverse_kl,
                                          divergence_kind::jensen_shannon};
using numbers = std::vector<double>;

template <class T>
matrix<T> scores(index rows, index vocab, std::uint32_t seed) {
  matrix<T> x(rows, vocab);
  for (index i = 0; i < rows * vocab; ++i) {
    seed = seed * 1664525u + 1013904223u;
    x.data()[i] = T(static_cast<float>(seed >> 8) / 2097152.0f - 4);
  }
  return x;
}

template <class T>
bool is_same(const matrix<T>& a, const matrix<T>& b) {
  return a.rows() == b.rows() && a.columns() == b.columns() &&
         std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.rows() * a.columns()) * sizeof(T)) == 0;
}

TEST_CASE("gradients are central finite differences, with every option") {
  const numbers mask{1, 1, 0, 1}, weight{0.5, 2, 1, 0}, temperatures{0.5, 1, 2, 3};
  const score_transform plain{}, scaled{.temperature = 1.5, .logit_scale = 0.7}, rows{.temperatures = temperatures},
      capped{.temperature = 0.8, .logit_scale = 1.2, .soft_cap = 3};
  for (const divergence_kind kind : every_kind)
    for (const auto& [from, to] : {std::pair{plain, plain}, {scaled, rows}, {rows, capped}, {capped, scaled}}) {
      matrix<double> student = scores<double>(4, 6, 1);
      const matrix<double> teacher = scores<double>(4, 6, 2);
      const divergence_options options{.mask = mask,
                                       .weight = weight,
                                       .normaliser = 3,
                                       .mixture = 0.35,
                                       .student_transform = from,
                                       .teacher_transform = to};
      const auto got = divergence(kind, student, teacher, options);
      CHECK(got.evaluated == 2);
      CHECK(got.value == doctest::Approx((0.5 * got.per_token[0] + 2 * got.per_token[1]) / 3).epsilon(1e-14));
      CHECK(got.value == doctest::Approx(divergence_value(kind, student, teacher, options).value).epsilon(1e-14));
      for (index i = 0; i < 4; ++i)
        for (index j = 0; j < 6; ++j) {
          const double at = student(i, j), step = 1e-5;
          student(i, j) = at + step;
          const double above = divergence_value(kind, student, teacher, options);
          student(i, j) = at - step;
          const double below = divergence_value(kind, student, teacher, options);
          student(i, j) = at;
          CHECK(got.gradient(i, j) == doctest::Approx((above - below) / (2 * step)).epsilon(1e-7).scale(0.01));
        }
    }
}

TEST_CASE("masked rows are not read, and become zeros") {
  matrix<float> student = scores<float>(3, 40, 3), teacher = scores<float>(3, 40, 4);
  for (index j = 0; j < 40; ++j) student(1, j) = teacher(2, j) = std::nanf("");
  const numbers mask{1, 0, 1}, weight{1, 1, 0};
  numbers per_token, entropy;
  matrix<float> gradient(3, 40);
  for (index i = 0; i < 120; ++i) gradient.data()[i] = 9;
  const auto sum =
      divergence_into(divergence_kind::reverse_kl, student, teacher,
                      {.mask = mask, .weight = weight, .per_token = &per_token, .entropy = &entropy}, gradient);
  CHECK(sum.evaluated == 1);
  CHECK(sum.value == per_token[0]);
  CHECK(entropy[0] > 0);
  CHECK((per_token[1] == 0 && per_token[2] == 0 && entropy[1] == 0 && entropy[2] == 0));
  for (index j = 0; j < 40; ++j) CHECK((gradient(1, j) == 0 && gradient(2, j) == 0));
  const matrix<float> nothing(0, 40);
  CHECK(divergence(divergence_kind::forward_kl, nothing, nothing).value == 0);
}

TEST_CASE("any strides, either side: the same numbers") {
  const index rows = 5, vocab = 37;
  const matrix<float> student = scores<float>(rows, vocab, 5), teacher = scores<float>(rows, vocab, 6);
  for (const divergence_kind kind : every_kind) {
    const auto want = divergence(kind, student, teacher, {.mixture = 0.4});
    // Tokens contiguous; every second score of a wider row; rows from the last to the first; [batch, tokens, vocab].
    matrix<float> column_major(vocab, rows), wide(rows, 2 * vocab), reversed(rows, vocab);
    for (index i = 0; i < rows; ++i)
      for (index j = 0; j < vocab; ++j) column_major(j, i) = wide(i, 2 * j) = reversed(rows - 1 - i, j) = student(i, j);
    const score_view<const float> views[] = {{column_major.data(), rows, vocab, 1, rows},
                                             {wide.data(), rows, vocab, 2 * vocab, 2},
                                             {reversed.row(rows - 1), rows, vocab, -vocab, 1},
                                             {student.data(), 1, vocab, vocab, 1, rows, vocab}};
    for (const auto& view : views) {
      const auto got = divergence(kind, view, teacher, {.mixture = 0.4});
      CHECK(got.value == doctest::Approx(want.value).epsilon(1e-6));
      for (index i = 0; i < rows * vocab; ++i)
        REQUIRE(got.gradient.data()[i] == doctest::Approx(want.gradient.data()[i]).epsilon(1e-5).scale(1e-3));
      // The gradient, too, may lie anywhere.
      matrix<float> out(vocab, rows);
      score_view<float> out_view{out.data(), rows, vocab, 1, rows};
      divergence_into(kind, view, teacher, {.mixture = 0.4}, out_view);
      for (index i = 0; i < rows; ++i)
        for (index j = 0; j < vocab; ++j)
          REQUIRE(out(j, i) == doctest::Approx(want.gradient(i, j)).epsilon(1e-5).scale(1e-3));
    }
    // One teacher row for all.
    const score_view<const float> one_row{teacher.data(), rows, vocab, 0, 1};
    const auto broadcast = divergence(kind, student, one_row);
    CHECK(broadcast.per_token[0] == divergence(kind, student, teacher).per_token[0]);
  }
}

TEST_CASE("any mix of storage types") {
  const index rows = 3, vocab = 70;
  const matrix<double> teacher = scores<double>(rows, vocab, 7);
  matrix<bfloat16> rounded(rows, vocab);
  matrix<double> exact(rows, vocab);
  matrix<float> single(rows, vocab);
  for (index i = 0; i < rows * vocab; ++i) {
    rounded.data()[i] = bfloat16(static_cast<float>(i * 37 % 91) * 0.07f - 3);
    single.data()[i] = static_cast<float>(rounded.data()[i]);
    exact.data()[i] = static_cast<double>(single.data()[i]);
  }
  for (const divergence_kind kind : every_kind) {
    const auto want = divergence(kind, exact, teacher);
    const auto of_half = divergence(kind, rounded, teacher);
    const auto of_single = divergence(kind, single, teacher);
    CHECK(of_half.value == doctest::Approx(want.value).epsilon(1e-13));  // computed in the wider type
    CHECK(of_single.value == doctest::Approx(want.value).epsilon(1e-13));
    const auto narrow = divergence(kind, rounded, single);  // the same distribution
    CHECK(std::abs(narrow.value) < 1e-5);
    for (index i = 0; i < rows * vocab; ++i) {
      REQUIRE(static_cast<double>(of_single.gradient.data()[i]) ==
              doctest::Approx(want.gradient.data()[i]).epsilon(1e-6).scale(1e-4));
      REQUIRE(static_cast<double>(static_cast<float>(of_half.gradient.data()[i])) ==
              doctest::Approx(want.gradient.data()[i]).epsilon(5e-3).scale(1e-4));
    }
  }
}

TEST_CASE("in place, past the cache, unaligned, and any number of threads: the same bits") {
  const index rows = 70, vocab = 32016;  // above the size from which stores pass the cache
  const matrix<float> student = scores<float>(rows, vocab, 8), teacher = scores<float>(rows, vocab, 9);
  thread_pool pool(3);
  for (const divergence_kind kind : every_kind) {
    const auto want = divergence(kind, student, teacher);
    const auto threaded = divergence(kind, student, teacher, {}, pool);
    CHECK(want.value == threaded.value);
    CHECK(is_same(want.gradient, threaded.gradient));
    CHECK(want.entropy == threaded.entropy);
    matrix<float> in_place = student;
    CHECK(divergence_into(kind, in_place, teacher, {}, in_place).value == want.value);
    CHECK(is_same(want.gradient, in_place));
    std::vector<float> memory(static_cast<std::size_t>(rows * vocab) + 1);
    score_view<float> unaligned{memory.data() + 1, rows, vocab, vocab, 1};
    divergence_into(kind, student, teacher, {}, unaligned);
    CHECK(std::memcmp(unaligned.data, want.gradient.data(), static_cast<std::size_t>(rows * vocab) * sizeof(float)) ==
          0);
  }
}

TEST_CASE("parts of a batch add up to the whole") {
  const matrix<double> student = scores<double>(4, 9, 10), teacher = scores<double>(4, 9, 11);
  const score_view<const double> first{student.data(), 1, 9, 9}, rest{student.row(1), 3, 9, 9},
      first_teacher{teacher.data(), 1, 9, 9}, rest_teacher{teacher.row(1), 3, 9, 9};
  const divergence_options options{.normaliser = 4};
  const double whole = divergence_value(divergence_kind::reverse_kl, student, teacher, options);
  const double parts = divergence_value(divergence_kind::reverse_kl, first, first_teacher, options) +
                       divergence_value(divergence_kind::reverse_kl, rest, rest_teacher, options);
  CHECK(whole == doctest::Approx(parts).epsilon(1e-15));
}

TEST_CASE("errors name the argument, before anything is written") {
  const matrix<float> x(2, 3), other(2, 4), fewer(1, 3);
  const auto run = [&](const divergence_options& options) {
    return divergence_value(divergence_kind::forward_kl, x, x, options);
  };
  const numbers three{1, 1, 1}, bad{1, -1};
  CHECK_THROWS_NAMING(divergence(divergence_kind::forward_kl, x, other), "teacher");
  CHECK_THROWS_NAMING(divergence(divergence_kind::forward_kl, x, fewer), "teacher");
  CHECK_THROWS_NAMING(run({.mask = three}), "mask");
  CHECK_THROWS_NAMING(run({.weight = three}), "weight");
  CHECK_THROWS_NAMING(run({.normaliser = 0}), "normaliser");
  CHECK_THROWS_NAMING(run({.mixture = 1.5}), "mixture");
  CHECK_THROWS_NAMING(run({.mixture = std::nan("")}), "mixture");
  CHECK_THROWS_NAMING(run({.student_transform = {.temperature = 0}}), "student_transform.temperature");
  CHECK_THROWS_NAMING(run({.student_transform = {.temperatures = three}}), "student_transform.temperatures");
  CHECK_THROWS_NAMING(run({.teacher_transform = {.temperatures = bad}}), "teacher_transform.temperatures");
  CHECK_THROWS_NAMING(run({.teacher_transform = {.logit_scale = -1}}), "teacher_transform.logit_scale");
  CHECK_THROWS_NAMING(run({.teacher_transform = {.soft_cap = -1}}), "teacher_transform.soft_cap");
  matrix<float> gradient(2, 4), teacher(2, 3);
  matrix<double> wider(2, 3);
  CHECK_THROWS_NAMING(divergence_into(divergence_kind::forward_kl, x, x, {}, gradient), "gradient");
  CHECK_THROWS_NAMING(divergence_into(divergence_kind::forward_kl, x, x, {}, wider), "gradient");
  CHECK_THROWS_NAMING(divergence_into(divergence_kind::forward_kl, x, teacher, {}, teacher), "gradient");
  matrix<float> memory(3, 3);
  const score_view<const float> two_rows{memory.data(), 2, 3, 3};
  score_view<float> shifted{memory.data() + 1, 2, 3, 3};
  CHECK_THROWS_NAMING(divergence_into(divergence_kind::forward_kl, two_rows, x, {}, shifted), "gradient");
}

}  // namespace
