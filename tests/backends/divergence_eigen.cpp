// Divergences over Eigen's types and a type of the user's own: the same numbers as over emend::matrix.
#include <emend/core/matrix.hpp>
#include <emend/distillation/divergence.hpp>
#include <emend/distillation/top_k_divergence.hpp>
#include <emend/eigen.hpp>

#include <doctest/doctest.h>

#include "throws.hpp"

namespace divergence_suite {

struct table {
  emend::index n = 0, v = 0;
  std::vector<float> d;
};

}  // namespace divergence_suite

template <>
struct emend::backend<divergence_suite::table> {
  static divergence_suite::table like(const divergence_suite::table& m) {
    return {m.n, m.v, std::vector<float>(m.d.size())};
  }
  static void visit(const divergence_suite::table& m, auto&& f) {
    f(score_view<const float>{m.d.data(), m.n, m.v, m.v, 1});
  }
  static void visit(divergence_suite::table& m, auto&& f) { f(score_view<float>{m.d.data(), m.n, m.v, m.v, 1}); }
};

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using row_major = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

TEST_CASE("divergences of Eigen matrices, Maps and a user's own type") {
  const index rows = 4, vocab = 50;
  const row_major student = row_major::Random(rows, vocab) * 4, teacher = row_major::Random(rows, vocab) * 4;
  const Eigen::MatrixXf column_major = student;
  const Eigen::MatrixXd wide = student.cast<double>();
  const Eigen::Map<const row_major> map(teacher.data(), rows, vocab);
  const divergence_suite::table own{rows, vocab, {student.data(), student.data() + rows * vocab}};
  matrix<float> plain(rows, vocab), plain_teacher(rows, vocab);
  for (index i = 0; i < rows * vocab; ++i)
    plain.data()[i] = student.data()[i], plain_teacher.data()[i] = teacher.data()[i];
  for (const auto kind : {divergence_kind::forward_kl, divergence_kind::reverse_kl, divergence_kind::jensen_shannon}) {
    const auto want = divergence(kind, plain, plain_teacher);
    const auto of_rows = divergence(kind, student, map);
    const auto of_columns = divergence(kind, column_major, teacher);
    const auto of_wide = divergence(kind, wide, map);
    const auto of_own = divergence(kind, own, teacher);
    CHECK(of_rows.value == want.value);
    CHECK(of_own.value == want.value);
    CHECK(of_columns.value == doctest::Approx(want.value).epsilon(1e-6));
    CHECK(of_wide.value == doctest::Approx(want.value).epsilon(1e-6));
    for (index i = 0; i < rows; ++i)
      for (index j = 0; j < vocab; ++j) {
        REQUIRE(of_rows.gradient(i, j) == want.gradient(i, j));
        REQUIRE(of_own.gradient.d[static_cast<std::size_t>(i * vocab + j)] == want.gradient(i, j));
        REQUIRE(of_columns.gradient(i, j) == doctest::Approx(want.gradient(i, j)).epsilon(1e-5).scale(1e-3));
        REQUIRE(of_wide.gradient(i, j) == doctest::Approx(want.gradient(i, j)).epsilon(1e-5).scale(1e-3));
      }
    row_major into(rows, vocab);
    Eigen::Map<row_major> target(into.data(), rows, vocab);
    divergence_into(kind, student, teacher, {}, target);
    CHECK(into == of_rows.gradient);
  }
  row_major wrong(rows, vocab + 1);
  CHECK_THROWS_NAMING(divergence_into(divergence_kind::forward_kl, student, teacher, {}, wrong), "gradient");
}

TEST_CASE("top-k divergences of Eigen matrices") {
  const Eigen::MatrixXf student = Eigen::MatrixXf::Random(2, 9);
  matrix<float> plain(2, 9);
  for (index i = 0; i < 2; ++i)
    for (index j = 0; j < 9; ++j) plain(i, j) = student(i, j);
  const std::vector<int> offsets{0, 2, 4}, ids{3, 1, 0, 8};
  const Eigen::VectorXd log_prob = Eigen::VectorXd::Constant(4, -1.5);
  const top_k best{offsets, ids, log_prob};
  const auto want = top_k_divergence(plain, best);
  const auto got = top_k_divergence(student, best);
  CHECK(got.value == doctest::Approx(want.value).epsilon(1e-6));
  for (index i = 0; i < 2; ++i)
    for (index j = 0; j < 9; ++j)
      CHECK(got.gradient(i, j) == doctest::Approx(want.gradient(i, j)).epsilon(1e-5).scale(1e-3));
}

}  // namespace
