#pragma once

#include <emend/carriers/real.hpp>
#include <emend/core/column.hpp>

#include <vector>

namespace emend {

/// Options of `divergence_frontier`; the defaults are MAUVE's.
struct frontier_options {
  double scaling_factor = 5;
  index curve_points = 25;  ///< mixtures of P and Q, evenly from 1e-6 to 1 - 1e-6
};

/// How far apart two distributions over bins are.
struct divergence_frontier_result {
  double mauve = 0;              ///< area under the curve, in [0, 1]; 1 where they are equal
  double frontier_integral = 0;  ///< in [0, 1]; 0 where they are equal
  std::vector<double> x, y;      ///< [curve_points + 2] the curve, from (1, 0) to (0, 1)
};

namespace detail {

/// Area of y over x: sorted by x, and at ties from the top, so that the edge x = 1 of equal distributions has the
/// height 1.
inline double area_under(const std::vector<double>& x, const std::vector<double>& y) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < x.size(); ++i) {
    auto place = order.end();
    while (place != order.begin() && (x[*(place - 1)] > x[i] || (x[*(place - 1)] == x[i] && y[*(place - 1)] < y[i])))
      --place;
    order.insert(place, i);
  }
  double area = 0;
  for (std::size_t k = 1; k < order.size(); ++k)
    area += (x[order[k]] - x[order[k - 1]]) * (y[order[k]] + y[order[k - 1]]) / 2;
  return area;
}

}  // namespace detail

/// Divergence frontier of two histograms, its area (MAUVE) and its integral.
///   R = lambda P + (1 - lambda) Q,   curve (exp(-c KL(Q || R)), exp(-c KL(P || R))) between (1, 0) and (0, 1)
///   mauve = mean of the area of y over x and of x over y
///   frontier_integral = 2 sum_b [ (p + q)/4 - pq (log p - log q) / (2 (p - q)) ]        (0 of a bin where |p - q| <=
///   1e-8)
/// p, q: [bins] counts or probabilities, not below 0, each with a sum above 0; they are divided by it.
/// Throws std::invalid_argument on a length, number or sum that is none of these, a scaling_factor not above 0, or no
/// curve point. Cost: bins times curve_points. Pillutla et al. 2021 (arXiv 2102.01454); Liu et al. 2021 (arXiv
/// 2106.07898).
inline divergence_frontier_result divergence_frontier(column p, column q, const frontier_options& options = {}) {
  detail::require_length("q", q.size(), p.size());
  detail::require_positive("scaling_factor", options.scaling_factor);
  if (options.curve_points < 1) detail::fail("curve_points", "at least 1", std::to_string(options.curve_points));
  const auto share_of = [](const char* name, const column& of) {
    double total = 0;
    for (index b = 0; b < of.size(); ++b) {
      detail::require_not_negative(name, of[b]);
      total += of[b];
    }
    detail::require_positive(name, total);
    std::vector<double> shares;
    for (index b = 0; b < of.size(); ++b) shares.push_back(of[b] / total);
    return shares;
  };
  const std::vector<double> of_p = share_of("p", p), of_q = share_of("q", q);
  divergence_frontier_result result;
  result.x.push_back(1);
  result.y.push_back(0);
  for (index k = 0; k < options.curve_points; ++k) {
    const double part =
        options.curve_points > 1 ? static_cast<double>(k) / static_cast<double>(options.curve_points - 1) : 0;
    const double lambda = 1e-6 + part * (1 - 2e-6);
    double from_p = 0, from_q = 0;
    for (std::size_t b = 0; b < of_p.size(); ++b) {
      const double mixed = lambda * of_p[b] + (1 - lambda) * of_q[b];
      if (of_p[b] > 0) from_p += of_p[b] * emend::log(of_p[b] / mixed);
      if (of_q[b] > 0) from_q += of_q[b] * emend::log(of_q[b] / mixed);
    }
    // Not below 0, whatever the rounding.
    result.x.push_back(emend::exp(-options.scaling_factor * max(from_q, 0.0)));
    result.y.push_back(emend::exp(-options.scaling_factor * max(from_p, 0.0)));
  }
  result.x.push_back(0);
  result.y.push_back(1);
  result.mauve = (detail::area_under(result.x, result.y) + detail::area_under(result.y, result.x)) / 2;
  for (std::size_t b = 0; b < of_p.size(); ++b) {
    const double a = of_p[b], c = of_q[b];
    if (a == 0 || c == 0)
      result.frontier_integral += (a + c) / 2;
    else if (emend::abs(a - c) > 1e-8)
      result.frontier_integral += (a + c) / 2 - a * c * (emend::log(a) - emend::log(c)) / (a - c);
  }
  return result;
}

}  // namespace emend
