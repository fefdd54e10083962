// Divergences where probabilities come near the smallest numbers of their type and fall below them, against their
// definitions in long double.
#include <emend/core/matrix.hpp>
#include <emend/distillation/divergence.hpp>
#include <emend/distillation/top_k_divergence.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "instruction_sets.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

constexpr divergence_kind every_kind[] = {divergence_kind::forward_kl, divergence_kind::reverse_kl,
                                          divergence_kind::jensen_shannon};
const std::vector<instruction_set> every_set = supported_instruction_sets();
constexpr double none = -HUGE_VAL;

/// log softmax, and the divergence with its gradient, in long double.
struct definition {
  std::vector<long double> log_p, log_q;
  divergence_kind kind;
  long double mixture, value = 0, student_part = 0;

  static std::vector<long double> log_softmax(const std::vector<double>& x) {
    long double largest = -HUGE_VALL, sum = 0;
    for (const double v : x) largest = std::max(largest, static_cast<long double>(v));
    for (const double v : x) sum += std::exp(static_cast<long double>(v) - largest);
    std::vector<long double> result;
    for (const double v : x) result.push_back(static_cast<long double>(v) - largest - std::log(sum));
    return result;
  }
  static long double term(long double log_a, long double log_c) {
    return log_a == -HUGE_VALL ? 0 : std::exp(log_a) * (log_a - log_c);
  }
  long double log_m(std::size_t j) const {
    return std::log((1 - mixture) * std::exp(log_p[j]) + mixture * std::exp(log_q[j]));
  }
  definition(const std::vector<double>& x, const std::vector<double>& y, divergence_kind which, double b)
      : log_p(log_softmax(x)), log_q(log_softmax(y)), kind(which), mixture(static_cast<long double>(b)) {
    for (std::size_t j = 0; j < x.size(); ++j) {
      if (kind == divergence_kind::forward_kl) value += term(log_q[j], log_p[j]);
      if (kind == divergence_kind::reverse_kl) value += term(log_p[j], log_q[j]);
      if (kind != divergence_kind::jensen_shannon) continue;
      student_part += term(log_p[j], log_m(j));
      value += (1 - mixture) * term(log_p[j], log_m(j)) + mixture * term(log_q[j], log_m(j));
    }
  }
  double gradient(std::size_t j) const {
    const long double p = std::exp(log_p[j]);
    if (log_p[j] == -HUGE_VALL) return 0;
    if (kind == divergence_kind::forward_kl) return static_cast<double>(p - std::exp(log_q[j]));
    if (kind == divergence_kind::reverse_kl) return static_cast<double>(p * (log_p[j] - log_q[j] - value));
    return static_cast<double>((1 - mixture) * p * (log_p[j] - log_m(j) - student_part));
  }
};

/// Both rows through the kernels and through the slow definitions.
template <class T>
void check_pair(const std::vector<double>& x, const std::vector<double>& y, double bound) {
  const index vocab = static_cast<index>(x.size());
  const matrix<T> student(1, vocab, std::vector<T>(x.begin(), x.end())),
      teacher(1, vocab, std::vector<T>(y.begin(), y.end()));
  for (const divergence_kind kind : every_kind)
    for (const double mixture : {0.5, 0.1, 0.9}) {
      if (kind != divergence_kind::jensen_shannon && mixture != 0.5) continue;
      const definition want(x, y, kind, mixture);
      const double value = static_cast<double>(want.value);
      const detail::reference_divergence slow([&](index j) { return x[static_cast<std::size_t>(j)]; },
                                              [&](index j) { return y[static_cast<std::size_t>(j)]; }, vocab, kind,
                                              mixture);
      CAPTURE(kind);
      CAPTURE(mixture);
      REQUIRE(std::abs(slow.row().value - value) <= 2e-12 * (1 + value));
      double largest = 0, worst = 0;
      for (std::size_t j = 0; j < x.size(); ++j) {
        largest = std::max(largest, std::abs(want.gradient(j)));
        worst = std::max(worst, std::abs(slow.gradient(x[j], y[j]) - want.gradient(j)));
      }
      REQUIRE(worst <= 1e-12 * (1 + largest + value));
      for (const instruction_set set : every_set) {
        const auto got = divergence(kind, student, teacher, {.mixture = mixture, .instructions = set});
        REQUIRE(std::abs(got.value - value) <= bound * (1 + value));
        worst = 0;
        for (std::size_t j = 0; j < x.size(); ++j)
          worst =
              std::max(worst, std::abs(static_cast<double>(got.gradient(0, static_cast<index>(j))) - want.gradient(j)));
        REQUIRE(worst <= 5 * bound * (1 + largest + value));
      }
    }
}

template <class T>
void sweep(double bound) {
  const double edge = sizeof(T) == 4 ? 87.336544 : 708.396418;  // -log of the smallest normal number
  for (const double of_student : {1.0,        40.0,     edge - 20,   edge - 5,   edge - 4,    edge - 3, edge - 2.5,
                                  edge - 1.5, edge - 1, edge - 0.75, edge - 0.5, edge - 0.25, edge,     edge + 0.5,
                                  edge + 1,   edge + 5, edge + 17,   edge + 40,  2 * edge,    3000.0})
    for (const double of_teacher : {0.0, 1.0, edge - 1, edge, edge + 30, 2000.0}) {
      CAPTURE(of_student);
      CAPTURE(of_teacher);
      // As T has them, so that all compute with the same numbers.
      const auto student = static_cast<double>(static_cast<T>(of_student)),
                 teacher = static_cast<double>(static_cast<T>(of_teacher));
      check_pair<T>({0, -student}, {-teacher, 0}, bound);
      check_pair<T>({-student, 0, -3}, {-1, -teacher, -2}, bound);
      check_pair<T>({100, 100 - student}, {-300 - teacher, -300}, bound);
      // Among others, in the first block and in a later one.
      if (of_teacher != 0) continue;
      for (const std::size_t place : {std::size_t{3}, std::size_t{2500}}) {
        std::vector<double> x(2600), y(2600);
        for (std::size_t j = 0; j < x.size(); ++j)
          x[j] = -static_cast<double>(j % 7) - 1, y[j] = -static_cast<double>(j % 5) - 16;
        x[place] = -student, y[place] = 0;
        check_pair<T>(x, y, 4 * bound);
        check_pair<T>(y, x, 4 * bound);
      }
    }
}

TEST_CASE("student scores around the smallest probability, where the teacher has its mass") {
  const matrix<float> student(1, 2, {124, 37}), teacher(1, 2, {-198, 18});
  for (const instruction_set set : every_set)
    CHECK(divergence_value(divergence_kind::jensen_shannon, student, teacher, {.instructions = set}).value ==
          doctest::Approx(0.6931471805599453).epsilon(1e-6));
  sweep<float>(3e-6);
}
TEST_CASE("the same in double") { sweep<double>(1e-12); }

TEST_CASE("a probability that double rounds to 0 is above 0") {
  // The student has no probability where the teacher has exp(-900).
  const matrix<double> cut(1, 2, {0, none}), whole(1, 2, {0, -900}), both(1, 2, {0, -1e6});
  CHECK(divergence_value(divergence_kind::forward_kl, cut, whole).value == HUGE_VAL);
  CHECK(divergence_value(divergence_kind::reverse_kl, whole, cut).value == HUGE_VAL);
  CHECK(divergence_value(divergence_kind::forward_kl, whole, cut).value == doctest::Approx(0));
  CHECK(divergence_value(divergence_kind::forward_kl, both, whole).value == doctest::Approx(0));
  CHECK(divergence_value(divergence_kind::jensen_shannon, cut, whole).value == doctest::Approx(0));
  // The mixture of the smallest number and 0.
  const matrix<double> tiny(1, 2, {0, -744.4}), other(1, 2, {0, -2000});
  CHECK(divergence_value(divergence_kind::jensen_shannon, tiny, other).value == doctest::Approx(0));
  const detail::reference_divergence slow([](index j) { return j == 0 ? 0 : -744.4; },
                                          [](index j) { return j == 0 ? 0 : -2000.0; }, 2,
                                          divergence_kind::jensen_shannon, 0.5);
  CHECK(slow.row().value == doctest::Approx(0));
  CHECK(slow.gradient(-744.4, -2000) == doctest::Approx(0));
  // Distances above the largest double.
  CHECK(divergence_value(divergence_kind::forward_kl, matrix<double>(1, 3, {1e308, 0, -1e308}),
                         matrix<double>(1, 3, {0, none, -1e5}))
            .value == doctest::Approx(0));
}

TEST_CASE("top-k where probabilities fall below the smallest number") {
  const std::vector<int> offsets{0, 2}, ids{0, 1};
  for (const double of_student : {5.0, 83.0, 86.5, 90.0, 400.0, 705.0, 707.5, 744.4, 800.0, 3000.0})
    for (const double of_teacher : {0.0, 2.0, 300.0, 745.0, 2000.0}) {
      const std::vector<double> x{0, -of_student}, y{-of_teacher, 0};
      const matrix<double> student(1, 2, x);
      std::vector<double> log_q;
      for (const long double q : definition::log_softmax(y)) log_q.push_back(static_cast<double>(q));
      for (const divergence_kind kind : every_kind)
        for (const top_k_tail tail : {top_k_tail::renormalised, top_k_tail::dropped}) {
          const definition want(x, y, kind, 0.5);
          const auto got = top_k_divergence(student, {offsets, ids, log_q}, {.kind = kind, .tail = tail});
          const double value = static_cast<double>(want.value);
          CHECK(std::abs(got.value - value) <= 1e-13 * (1 + value));
          for (index j = 0; j < 2; ++j)
            CHECK(std::abs(got.gradient(0, j) - want.gradient(static_cast<std::size_t>(j))) <= 1e-13 * (1 + value));
        }
    }
  const matrix<double> cut(1, 2, {0, none}), nothing(1, 2, {none, none});
  const std::vector<double> far{0, -900}, no_mass{none, none};
  CHECK(top_k_divergence_value(cut, {offsets, ids, far}, {.tail = top_k_tail::dropped}).value == HUGE_VAL);
  // Of no mass there is no distribution.
  for (const divergence_kind kind : every_kind) {
    const auto of_teacher =
        top_k_divergence(cut, {offsets, ids, no_mass}, {.kind = kind, .tail = top_k_tail::renormalised});
    const auto of_student =
        top_k_divergence(nothing, {offsets, ids, far}, {.kind = kind, .tail = top_k_tail::renormalised});
    CHECK(std::isnan(of_teacher.value));
    CHECK(std::isnan(of_student.value));
    CHECK(of_teacher.gradient(0, 0) == 0);
    CHECK(of_student.gradient(0, 0) == 0);
  }
}

}  // namespace
