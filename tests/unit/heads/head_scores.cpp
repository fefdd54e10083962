#include <emend/heads/head_scores.hpp>
#include <emend/evaluation/evaluate.hpp>
#include <emend/core/matrix.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

}  // namespace

/// A head that gives the scores of a matrix without showing them: the concept, met by the definitions of reference.hpp.
struct hidden_scores {
  emend::matrix<double> x;
};

template <>
struct emend::backend<hidden_scores> {
  static hidden_scores like(const hidden_scores& h) { return {matrix<double>(h.x.rows(), h.x.columns())}; }
  static head_shape shape(const hidden_scores& h) { return {h.x.rows(), h.x.columns()}; }
  static void forward(const hidden_scores& h, const head_request& request, row_statistics* rows, double* scores) {
    for (emend::index i = 0; i < h.x.rows(); ++i) {
      if (!request.is_active[i]) continue;
      double sum = 0, weighted = 0;
      for (emend::index j = 0; j < h.x.columns(); ++j) sum += std::exp(h.x(i, j));
      const double log_z = std::log(sum);
      for (emend::index j = 0; j < h.x.columns(); ++j) weighted += std::exp(h.x(i, j) - log_z) * h.x(i, j);
      rows[i].log_z = log_z;
      rows[i].entropy = log_z - weighted;
    }
    for (emend::index t = 0; t < request.targets.size(); ++t)
      if (request.is_active[request.rows[t]]) scores[t] = h.x(request.rows[t], request.targets[t]);
  }
  static void backward(const hidden_scores& h, const head_request& request, const row_statistics* rows,
                       const row_adjoint* adjoints, const double* score_adjoints, hidden_scores& g) {
    for (emend::index i = 0; i < h.x.rows(); ++i)
      for (emend::index j = 0; j < h.x.columns(); ++j) {
        double& out = g.x(i, j);
        out = 0;
        if (!request.is_active[i]) continue;
        const double log_p = h.x(i, j) - rows[i].log_z, p = std::exp(log_p);
        out = adjoints[i].log_z * p - adjoints[i].entropy * p * (log_p + rows[i].entropy);
      }
    for (emend::index t = 0; t < request.targets.size(); ++t)
      if (request.is_active[request.rows[t]]) g.x(request.rows[t], request.targets[t]) += score_adjoints[t];
  }
};

static_assert(emend::head_scores<hidden_scores> && !emend::host_scores<hidden_scores>);
static_assert(!emend::head_scores<emend::matrix<float>> && !emend::head_scores<int>);

namespace {

TEST_CASE("a head of one's own: the numbers of the scores that it keeps to itself") {
  const matrix<double> x(3, 4, {0, 1, 2, 3, -1, 0, 2, 1, 0.5, 0.25, 0, 1});
  const std::vector<int> targets{3, 0, 1}, mask{1, 0, 1};
  const auto loss = [](const auto& t) { return -t.log_prob + 0.3 * t.entropy * t.entropy; };
  const auto expected = evaluate(loss, x, targets, {.mask = mask});
  const auto got = evaluate(loss, hidden_scores{x}, targets, {.mask = mask});
  CHECK(got.value == doctest::Approx(expected.value).epsilon(1e-13));
  for (index i = 0; i < 12; ++i)
    CHECK(got.gradient.x.data()[i] == doctest::Approx(expected.gradient.data()[i]).epsilon(1e-12).scale(1e-3));
}

}  // namespace
