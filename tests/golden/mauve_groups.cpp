// MAUVE of histograms and of features.

#include "vector_case.hpp"

#include <emend/metrics/mauve.hpp>

#include <algorithm>

namespace golden {
namespace {

emend::frontier_options frontier_of(const vector_case& c) {
  return {.scaling_factor = c.parameter("scaling_factor"),
          .curve_points = static_cast<emend::index>(c.parameter("curve_points"))};
}

/// 1e-10 absolute, in double; in float too, since counts are all that is read.
void expect_near(vector_case& c, const std::string& name, double got) { c.expect_within(name, {got}, 1e-10); }

std::string histogram(vector_case& c) {
  std::vector<double> p = c.input("p_count").data, q = c.input("q_count").data;
  const auto plain = emend::divergence_frontier(p, q, frontier_of(c));
  expect_near(c, "mauve", plain.mauve);
  expect_near(c, "frontier_integral", plain.frontier_integral);
  if (c.has_output("curve")) {
    std::vector<double> curve;
    for (std::size_t i = 0; i < plain.x.size(); ++i) curve.insert(curve.end(), {plain.x[i], plain.y[i]});
    c.expect_within("curve", curve, 1e-10);
  }
  for (double& x : p) x += 0.5;
  for (double& x : q) x += 0.5;
  const auto smoothed = emend::divergence_frontier(p, q, frontier_of(c));
  expect_near(c, "mauve_star", smoothed.mauve);
  expect_near(c, "frontier_integral_star", smoothed.frontier_integral);
  return {};
}

std::string features(vector_case& c) {
  const auto buckets = static_cast<emend::index>(c.parameter("num_buckets"));
  const auto p = c.input("p_features").matrix<double>(), q = c.input("q_features").matrix<double>();
  emend::mauve_result result = emend::mauve(
      p, q,
      {.num_buckets = buckets, .explained_variance = c.parameter("explained_variance"), .frontier = frontier_of(c)});
  c.expect_exactly("pca_components", {result.components});
  c.expect_within("explained_variance_ratio", result.explained_variance_ratio, 1e-10);
  if (c.has_tag("assignment_from_input"))
    result =
        emend::mauve_of_buckets(c.input("p_assignment").ids(), c.input("q_assignment").ids(), buckets, frontier_of(c));
  expect_near(c, "mauve", result.mauve);
  expect_near(c, "frontier_integral", result.frontier_integral);
  expect_near(c, "mauve_star", result.mauve_star);
  expect_near(c, "frontier_integral_star", result.frontier_integral_star);
  // Bins may stand in any order, but in the same for both.
  const auto pairs = [](const std::vector<double>& a, const std::vector<double>& b) {
    std::vector<std::pair<double, double>> all;
    for (std::size_t i = 0; i < a.size(); ++i) all.emplace_back(a[i], b[i]);
    std::sort(all.begin(), all.end());
    return all;
  };
  const auto got = pairs(result.p_histogram, result.q_histogram),
             expected = pairs(c.output("p_histogram").data, c.output("q_histogram").data);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    c.expect_number("p_histogram", {{}, {expected[i].first}}, got.at(i).first);
    c.expect_number("q_histogram", {{}, {expected[i].second}}, got.at(i).second);
  }
  return {};
}

const known_group known[] = {
    {"metrics/mauve_histogram", histogram},
    {"metrics/mauve_features", features},
};

}  // namespace
}  // namespace golden
