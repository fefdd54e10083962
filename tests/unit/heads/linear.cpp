#include <emend/heads/linear.hpp>
#include <emend/core/matrix.hpp>

#include <doctest/doctest.h>

#include <utility>
#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

TEST_CASE("linear scores view what has a name and keep what is temporary; gradients have both shapes") {
  const matrix<float> hidden(4, 3), weight(7, 3);
  const linear_scores x{hidden, weight};
  CHECK(&x.hidden == &hidden);
  CHECK(&x.weight == &weight);
  const auto gradient = backend<linear_scores<matrix<float>, matrix<float>>>::like(x);
  CHECK(gradient.d_hidden.rows() == 4);
  CHECK(gradient.d_weight.rows() == 7);
  CHECK(gradient.d_weight.columns() == 3);
  const linear_scores kept(matrix<float>(2, 3, {1, 2, 3, 4, 5, 6}), weight);
  CHECK(kept.hidden(1, 2) == 6);
  CHECK(&kept.weight == &weight);
}

TEST_CASE("linear scores: columns that differ are refused, views are of one storage type") {
  const matrix<float> hidden(4, 3), wrong(7, 2);
  const linear_scores x{hidden, wrong};
  using scores_type = linear_scores<matrix<float>, matrix<float>>;
  linear_gradient<matrix<float>, matrix<float>>* none = nullptr;
  const auto ignore = [](const auto&...) {};
  CHECK_THROWS_NAMING(emend::detail::linear_views(static_cast<const scores_type&>(x), none, ignore), "linear_scores");
  const matrix<double> wide(7, 3);
  const linear_scores<matrix<float>, matrix<double>> mixed{hidden, wide};
  linear_gradient<matrix<float>, matrix<double>>* no_gradient = nullptr;
  CHECK_THROWS_NAMING(emend::detail::linear_views(mixed, no_gradient, ignore), "linear_scores");
}

}  // namespace
