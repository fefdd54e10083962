#include <emend/core/backend.hpp>
#include <emend/core/matrix.hpp>
#include <emend/core/strided_numbers.hpp>

#include <doctest/doctest.h>

#include <vector>

#include "throws.hpp"

using namespace emend;

namespace {

/// The matrix of the documentation, with what can be wrong about it.
struct own_matrix {
  emend::index n = 0, v = 0;
  std::vector<float> d;
  int calls = 1;
  emend::index token_stride = -1;
};

}  // namespace

template <>
struct emend::backend<own_matrix> {
  static own_matrix like(const own_matrix& m) {
    own_matrix result = m;
    result.d.assign(m.d.size(), 0);
    return result;
  }
  template <class T, class F>
  static void visit_all(T* data, const own_matrix& m, F&& f) {
    for (int i = 0; i < m.calls; ++i) f(score_view<T>{data, m.n, m.v, m.token_stride < 0 ? m.v : m.token_stride, 1});
  }
  static void visit(const own_matrix& m, auto&& f) { visit_all(m.d.data(), m, f); }
  static void visit(own_matrix& m, auto&& f) { visit_all(m.d.data(), m, f); }
};

static_assert(host_scores<own_matrix> && host_scores<const own_matrix&>);
static_assert(host_scores<matrix<float>> && host_scores<score_view<const bfloat16>> && !host_scores<int>);
static_assert(std::is_same_v<gradient_type<own_matrix>, own_matrix>);
static_assert(std::is_same_v<gradient_type<score_view<const double>>, matrix<double>>);

TEST_CASE("a backend's views are visited once, and what cannot be right is refused") {
  const own_matrix good{2, 3, std::vector<float>(6, 1)};
  float seen = 0;
  detail::visit_scores("scores", good, [&](const auto& view) { seen = view(1, 2); });
  CHECK(seen == 1);
  own_matrix gradient = backend<own_matrix>::like(good);
  detail::visit_gradient("gradient", gradient, [&](const auto& view) { view(0, 1) = 5; });
  CHECK(gradient.d[1] == 5);
  const auto refused = [](own_matrix m) { detail::visit_scores("scores", m, [](const auto&) {}); };
  CHECK_THROWS_NAMING(refused({2, 3, std::vector<float>(6), 0}), "scores");
  CHECK_THROWS_NAMING(refused({2, 3, std::vector<float>(6), 2}), "scores");
  CHECK_THROWS_NAMING(refused({-2, 3, {}, 1}), "scores");
  CHECK_THROWS_NAMING(refused({emend::index{1} << 40, emend::index{1} << 40, {}, 1}), "scores");
  CHECK_THROWS_NAMING(refused({2, 3, {}, 1}), "scores");
  // A row that all tokens share is fine to read and not to write to.
  own_matrix shared{2, 3, std::vector<float>(3), 1, 0};
  CHECK_NOTHROW(refused(shared));
  CHECK_THROWS_NAMING(detail::visit_gradient("gradient", shared, [](const auto&) {}), "gradient");
}

TEST_CASE("the gradient of a view is a matrix of its shape") {
  std::vector<double> memory(12);
  const score_view<const double> x{memory.data(), 2, 3, 3, 1, 2, 6};
  const matrix<double> like = backend<score_view<const double>>::like(x);
  CHECK(like.rows() == 4);
  CHECK(like.columns() == 3);
}
