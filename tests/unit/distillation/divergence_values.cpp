// Divergences against the slow definitions, across kinds, storage types, instruction sets and lengths.
#include <emend/core/matrix.hpp>
#include <emend/distillation/divergence.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "instruction_sets.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

constexpr divergence_kind every_kind[] = {divergence_kind::forward_kl, divergence_kind::reverse_kl,
                                          divergence_kind::jensen_shannon};
const std::vector<instruction_set> every_set = supported_instruction_sets();

template <class T>
double number(T x) {
  return static_cast<double>(static_cast<arithmetic<T>>(x));
}

/// Scores whose values move around: spread in (-spread, spread), shifted.
template <class T>
matrix<T> scores(index rows, index vocab, std::uint32_t seed, double spread, double shift) {
  matrix<T> x(rows, vocab);
  for (index i = 0; i < rows * vocab; ++i) {
    seed = seed * 1664525u + 1013904223u;
    x.data()[i] = T(static_cast<float>(shift + spread * (static_cast<double>(seed >> 8) / 8388608.0 - 1)));
  }
  return x;
}

struct allowed {
  double value, gradient;
};

/// Everything that `divergence` gives, against the definitions; the gradient's bound is relative to its row's largest.
template <class T, class U>
void check_against_reference(const matrix<T>& student, const matrix<U>& teacher, divergence_kind kind,
                             divergence_options options, allowed bound) {
  const auto got = divergence(kind, student, teacher, options);
  const double from = 1 / options.student_transform.temperature, to = 1 / options.teacher_transform.temperature;
  double total = 0;
  for (index i = 0; i < student.rows(); ++i) {
    const detail::reference_divergence want([&](index j) { return from * number(student(i, j)); },
                                            [&](index j) { return to * number(teacher(i, j)); }, student.columns(),
                                            kind, options.mixture);
    total += want.row().value;
    const auto row = static_cast<std::size_t>(i);
    if (std::isfinite(want.row().value)) {
      CHECK(std::abs(got.per_token[row] - want.row().value) <= bound.value * (1 + want.row().value));
      CHECK(std::abs(got.entropy[row] - want.row().entropy) <= bound.value * 8);
    } else {
      CHECK(std::isnan(got.per_token[row]) == std::isnan(want.row().value));
      CHECK(std::isinf(got.per_token[row]) == std::isinf(want.row().value));
    }
    double worst = 0, largest = 0;
    bool is_nan_right = true;
    for (index j = 0; j < student.columns(); ++j) {
      const double g = from * want.gradient(from * number(student(i, j)), to * number(teacher(i, j)));
      const double came = number(got.gradient(i, j));
      largest = std::max(largest, std::abs(g));
      is_nan_right &= std::isnan(g) == std::isnan(came);
      if (!std::isnan(g)) worst = std::max(worst, std::abs(came - g));
    }
    CHECK(is_nan_right);
    // Differences of probabilities, which are themselves of the size 1 / vocab.
    CHECK(worst <= bound.gradient * std::max(largest, 4.0 / static_cast<double>(student.columns())));
  }
  CHECK(number(got.value) == doctest::Approx(total).epsilon(1e-5));
  CHECK(got.value == divergence_value(kind, student, teacher, options).value);
}

template <class T>
void check_storage(allowed bound) {
  for (const divergence_kind kind : every_kind)
    for (const instruction_set set : every_set)
      for (const index vocab : {1, 2, 5, 16, 31, 64, 100, 2048, 2049, 5003}) {
        const auto student = scores<T>(2, vocab, 1, 6, 0), teacher = scores<T>(2, vocab, 2, 6, 40);
        check_against_reference(student, teacher, kind,
                                {.mixture = 0.3, .student_transform = {.temperature = 1.25}, .instructions = set},
                                bound);
      }
}

TEST_CASE("divergences are their definitions, in every storage type and instruction set") {
  check_storage<double>({1e-14, 1e-13});
  check_storage<float>({1e-6, 3e-6});
}
TEST_CASE("divergences of 16-bit scores: sums to 1e-5, gradients to the storage's rounding") {
  check_storage<bfloat16>({1e-5, 6e-3});
  check_storage<float16>({1e-5, 2e-3});
}

TEST_CASE("references that rise from block to block, and rows whose beginning is all -inf") {
  for (const divergence_kind kind : every_kind)
    for (const instruction_set set : every_set) {
      auto student = scores<float>(6, 9000, 3, 3, 0), teacher = scores<float>(6, 9000, 4, 3, 0);
      const float none = -HUGE_VALF;
      for (index i = 0; i < 6; ++i)
        for (index j = 0; j < 9000; ++j) {
          if (i == 1) student(i, j) += static_cast<float>(j / 1000) * 30;
          if (i == 2) teacher(i, j) += static_cast<float>(j / 1000) * 30;
          if (i == 3)
            student(i, j) += static_cast<float>(j / 1000) * 20, teacher(i, j) += static_cast<float>(j / 1000) * 21;
          if (i == 4 && j < 5000) student(i, j) = teacher(i, j) = none;
          if (i == 5 && j % 3 == 0) student(i, j) = teacher(i, j) = none;
        }
      check_against_reference(student, teacher, kind, {.mixture = 0.7, .instructions = set}, {2e-6, 1e-5});
    }
}

TEST_CASE("scores of -inf on one side") {
  const double inf = HUGE_VAL;
  for (const instruction_set set : every_set)
    for (const index vocab : {7, 4000}) {
      auto whole = scores<float>(1, vocab, 5, 4, 0), cut = scores<float>(1, vocab, 6, 4, 0);
      for (index j = 0; j < vocab; j += 2) cut(0, j) = -HUGE_VALF;
      const divergence_options options{.mixture = 0.4, .instructions = set};
      // Finite: the mass of the first argument lies where the second has some.
      check_against_reference(whole, cut, divergence_kind::forward_kl, options, {1e-6, 3e-6});
      check_against_reference(cut, whole, divergence_kind::reverse_kl, options, {1e-6, 3e-6});
      check_against_reference(cut, whole, divergence_kind::jensen_shannon, options, {1e-6, 3e-6});
      check_against_reference(whole, cut, divergence_kind::jensen_shannon, options, {1e-6, 3e-6});
      // Infinite the other way round: forward still has a gradient, reverse has none.
      const auto forward = divergence(divergence_kind::forward_kl, cut, whole, options);
      CHECK(forward.value == inf);
      CHECK(forward.gradient(0, 0) == 0);
      CHECK(forward.gradient(0, 1) > 0);
      const auto reverse = divergence(divergence_kind::reverse_kl, whole, cut, options);
      CHECK(reverse.value == inf);
      for (index j = 0; j < vocab; ++j) REQUIRE(reverse.gradient(0, j) == 0);
    }
}

TEST_CASE("NaN, +inf, and rows that are no distribution") {
  for (const divergence_kind kind : every_kind)
    for (const instruction_set set : every_set)
      for (const index vocab : {5, 3000})
        for (const bool is_student : {true, false})
          for (const float what : {std::nanf(""), HUGE_VALF}) {
            auto student = scores<float>(3, vocab, 7, 2, 0), teacher = scores<float>(3, vocab, 8, 2, 0);
            (is_student ? student : teacher)(1, vocab - 1) = what;
            for (index j = 0; j < vocab; ++j) (is_student ? student : teacher)(2, j) = -HUGE_VALF;
            const auto got = divergence(kind, student, teacher, {.instructions = set});
            CHECK(std::isfinite(got.per_token[0]));
            CHECK(std::isnan(got.per_token[1]));
            CHECK(std::isnan(got.per_token[2]));
            CHECK(std::isnan(got.value));
            CHECK(std::isnan(got.gradient(1, 0)));
            for (index j = 0; j < vocab; ++j) REQUIRE(got.gradient(2, j) == 0);
          }
}

TEST_CASE("magnitudes beyond the kernels, and differences beyond any exponent") {
  for (const divergence_kind kind : every_kind)
    for (const instruction_set set : every_set) {
      const matrix<float> student(3, 4, {1e6f, 1e6f + 1, 1e6f - 2, 0, 0, -3e4f, 1, 2, 3, 1, -1e5f, -1});
      const matrix<float> teacher(3, 4, {-1e7f, -1e7f, -1e7f - 1, -2e7f, 0, -1, 1, 2, 3, 1, -2, -1e6f});
      check_against_reference(student, teacher, kind, {.mixture = 0.2, .instructions = set}, {2e-6, 1e-5});
    }
}

TEST_CASE("a distribution diverges by nothing from itself, whatever its temperature and shift") {
  for (const divergence_kind kind : every_kind) {
    const auto x = scores<float>(4, 3000, 9, 5, 0);
    auto shifted = x;
    for (index i = 0; i < 4 * 3000; ++i) shifted.data()[i] = 2 * x.data()[i] + 8;
    const auto got = divergence(kind, x, shifted, {.student_transform = {.temperature = 0.5}});
    for (const double d : got.per_token) CHECK(std::abs(d) < 3e-6);
    for (index i = 0; i < 4 * 3000; ++i) REQUIRE(std::abs(got.gradient.data()[i]) < 1e-7f);
  }
}

TEST_CASE("the mixture's endpoints are the two divergences, and its inside is bounded and symmetric") {
  const auto x = scores<double>(3, 50, 10, 4, 0), y = scores<double>(3, 50, 11, 4, 0);
  const auto at = [&](divergence_kind kind, double mixture) { return divergence(kind, x, y, {.mixture = mixture}); };
  const auto zero = at(divergence_kind::jensen_shannon, 0), forward = at(divergence_kind::forward_kl, 0.5);
  const auto one = at(divergence_kind::jensen_shannon, 1), reverse = at(divergence_kind::reverse_kl, 0.5);
  CHECK(zero.value == forward.value);
  CHECK(one.value == reverse.value);
  CHECK(std::memcmp(zero.gradient.data(), forward.gradient.data(), 150 * sizeof(double)) == 0);
  CHECK(std::memcmp(one.gradient.data(), reverse.gradient.data(), 150 * sizeof(double)) == 0);
  CHECK(at(divergence_kind::jensen_shannon, 1e-6).value / 1e-6 == doctest::Approx(forward.value).epsilon(1e-2));
  CHECK(at(divergence_kind::jensen_shannon, 1 - 1e-6).value / 1e-6 == doctest::Approx(reverse.value).epsilon(1e-2));
  CHECK(at(divergence_kind::jensen_shannon, 0.5).value < 3 * std::log(2));
  CHECK(divergence_value(divergence_kind::jensen_shannon, y, x, {.mixture = 0.3}) ==
        doctest::Approx(at(divergence_kind::jensen_shannon, 0.7).value));
}

}  // namespace
