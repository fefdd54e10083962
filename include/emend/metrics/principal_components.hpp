#pragma once

#include <emend/carriers/real.hpp>
#include <emend/core/matrix.hpp>
#include <emend/metrics/finite_points.hpp>

#include <vector>

namespace emend {

/// Directions of greatest variance of some points, and the points in them.
struct principal_components {
  index components = 0;                          ///< as few as reach the wanted share of the variance
  std::vector<double> explained_variance_ratio;  ///< [d] share of each direction, descending
  matrix<double> directions;                     ///< [d, d] one direction a row, of length 1, descending
  std::vector<double> mean;                      ///< [d]
  matrix<double> projected;                      ///< [n, components]
};

namespace detail {

/// Eigenvalues on the diagonal of `a`, eigenvectors in the rows of `v`: rotations until nothing is left beside the
/// diagonal.
inline void diagonalise(matrix<double>& a, matrix<double>& v) {
  const index d = a.rows();
  for (index i = 0; i < d; ++i) v(i, i) = 1;
  for (int sweep = 0; sweep < 60; ++sweep) {
    double beside = 0, diagonal = 0;
    for (index i = 0; i < d; ++i) {
      diagonal += a(i, i) * a(i, i);
      for (index j = i + 1; j < d; ++j) beside += a(i, j) * a(i, j);
    }
    if (!(beside > 1e-32 * diagonal)) return;
    for (index p = 0; p < d; ++p)
      for (index q = p + 1; q < d; ++q) {
        if (a(p, q) == 0) continue;
        const double theta = (a(q, q) - a(p, p)) / (2 * a(p, q));
        const double t = (theta >= 0 ? 1 : -1) / (emend::abs(theta) + emend::sqrt(theta * theta + 1));
        const double c = 1 / emend::sqrt(t * t + 1), s = t * c;
        const auto turn = [&](double& x, double& y) {
          const double before = x;
          x = c * before - s * y;
          y = s * before + c * y;
        };
        for (index k = 0; k < d; ++k) turn(a(k, p), a(k, q));
        for (index k = 0; k < d; ++k) turn(a(p, k), a(q, k));
        for (index k = 0; k < d; ++k) turn(v(p, k), v(q, k));
      }
  }
}

}  // namespace detail

/// Principal components of n points.
///   C = (1/n) sum_i (x_i - mean)(x_i - mean)^T = sum_k variance_k u_k u_k^T;   ratio_k = variance_k / sum variance
///   components = least m with sum_{k<m} ratio_k >= explained_variance, at least 1
/// points: [n, d], finite; explained_variance in (0, 1]. The sign of a direction is free. Points that are all equal
/// have one component, and ratios of 0. Throws std::invalid_argument without points or dimensions, on another share, or
/// on a number that is not finite or whose square overflows. Cost: n d^2 + some ten d^3: for d up to a few hundred.
inline principal_components find_principal_components(const matrix<double>& points, double explained_variance = 0.9) {
  const index n = points.rows(), d = points.columns();
  if (n < 1 || d < 1)
    detail::fail("points", "at least one of at least one dimension", std::to_string(n) + " x " + std::to_string(d));
  if (!(explained_variance > 0 && explained_variance <= 1))
    detail::fail("explained_variance", "a number in (0, 1]", std::to_string(explained_variance));
  detail::require_finite_points("points", points);
  principal_components result;
  result.mean.assign(static_cast<std::size_t>(d), 0);
  for (index i = 0; i < n; ++i)
    for (index j = 0; j < d; ++j) result.mean[static_cast<std::size_t>(j)] += points(i, j) / static_cast<double>(n);
  matrix<double> covariance(d, d), v(d, d);
  std::vector<double> centred(static_cast<std::size_t>(d));
  for (index i = 0; i < n; ++i) {
    for (index j = 0; j < d; ++j)
      centred[static_cast<std::size_t>(j)] = points(i, j) - result.mean[static_cast<std::size_t>(j)];
    for (index j = 0; j < d; ++j)
      for (index k = 0; k <= j; ++k)
        covariance(j, k) +=
            centred[static_cast<std::size_t>(j)] * centred[static_cast<std::size_t>(k)] / static_cast<double>(n);
  }
  for (index j = 0; j < d; ++j)
    for (index k = 0; k < j; ++k) covariance(k, j) = covariance(j, k);
  detail::diagonalise(covariance, v);
  std::vector<index> order;
  double total = 0;
  for (index j = 0; j < d; ++j) {
    auto place = order.end();
    while (place != order.begin() && covariance(*(place - 1), *(place - 1)) < covariance(j, j)) --place;
    order.insert(place, j);
    total += max(covariance(j, j), 0.0);
  }
  result.directions = matrix<double>(d, d);
  double reached = 0;
  for (index k = 0; k < d; ++k) {
    const index from = order[static_cast<std::size_t>(k)];
    for (index j = 0; j < d; ++j) result.directions(k, j) = v(from, j);
    const double ratio = total > 0 ? max(covariance(from, from), 0.0) / total : 0;
    result.explained_variance_ratio.push_back(ratio);
    // Rounding of the sum must not ask for a direction more where all of the variance is wanted.
    if (result.components == 0 || (total > 0 && reached < explained_variance * (1 - 1e-14))) ++result.components;
    reached += ratio;
  }
  result.projected = matrix<double>(n, result.components);
  for (index i = 0; i < n; ++i)
    for (index k = 0; k < result.components; ++k)
      for (index j = 0; j < d; ++j)
        result.projected(i, k) += (points(i, j) - result.mean[static_cast<std::size_t>(j)]) * result.directions(k, j);
  return result;
}

}  // namespace emend
