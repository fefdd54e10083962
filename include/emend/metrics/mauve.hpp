#pragma once

#include <emend/core/id_column.hpp>
#include <emend/metrics/divergence_frontier.hpp>
#include <emend/metrics/k_means.hpp>
#include <emend/metrics/principal_components.hpp>

namespace emend {

/// Options of `mauve`; the defaults are those of the reference implementation.
struct mauve_options {
  index num_buckets = 0;  ///< clusters; 0: a tenth of the smaller sample, rounded, at least 2
  double explained_variance = 0.9;
  frontier_options frontier = {};
  k_means_options clustering = {};
};

/// How near a sample of model text is to a sample of human text.
struct mauve_result {
  double mauve = 0, frontier_integral = 0;            ///< of the histograms
  double mauve_star = 0, frontier_integral_star = 0;  ///< with 1/2 added to every count: less biased on small samples
  std::vector<double> p_histogram, q_histogram;       ///< [buckets]
  index components = 0;                               ///< dimensions that were clustered
  std::vector<double> explained_variance_ratio;       ///< [d]
  divergence_frontier_result frontier;
};

/// MAUVE of two samples whose points are already in buckets.
/// p, q: [n], [m] bucket of each point, in [0, buckets). Throws std::invalid_argument on an empty sample or a bucket
/// out of range. Cost: n + m, and two frontiers. Pillutla et al. 2021; smoothed counts: Pillutla et al. 2023 (arXiv
/// 2212.14578).
inline mauve_result mauve_of_buckets(id_column p, id_column q, index buckets, const frontier_options& options = {}) {
  if (buckets < 1) detail::fail("buckets", "at least 1", std::to_string(buckets));
  const auto count = [&](const char* name, const id_column& of, double smoothing) {
    if (of.empty()) detail::fail(name, "at least one point", "none");
    std::vector<double> counts(static_cast<std::size_t>(buckets), smoothing);
    for (index i = 0; i < of.size(); ++i) {
      detail::require_position(name, i, of[i], buckets);
      ++counts[static_cast<std::size_t>(of[i])];
    }
    return counts;
  };
  mauve_result result;
  result.p_histogram = count("p", p, 0);
  result.q_histogram = count("q", q, 0);
  result.frontier = divergence_frontier(result.p_histogram, result.q_histogram, options);
  result.mauve = result.frontier.mauve;
  result.frontier_integral = result.frontier.frontier_integral;
  const divergence_frontier_result smoothed = divergence_frontier(count("p", p, 0.5), count("q", q, 0.5), options);
  result.mauve_star = smoothed.mauve;
  result.frontier_integral_star = smoothed.frontier_integral;
  for (double& x : result.p_histogram) x /= static_cast<double>(p.size());
  for (double& x : result.q_histogram) x /= static_cast<double>(q.size());
  return result;
}

/// MAUVE of two samples of features, whatever they are features of.
///   rows divided by their length; principal components of both samples together; k-means of both together; histograms;
///   frontier
/// p: [n, d], of text by humans; q: [m, d], of the model's; finite. A row of zeros stays zero. Every choice is drawn by
/// the seed: the same score for any number of threads. Equal rows are in one bucket, so that a
/// sample has the score 1 with itself. Throws std::invalid_argument on an empty sample, another d, a NaN or an
/// infinity, or more buckets than points. Cost: that of `find_principal_components` and `k_means` of n + m points.
/// Pillutla et al. 2021 (arXiv 2102.01454).
template <score_type T, executor E = const sequential>
mauve_result mauve(const matrix<T>& p, const matrix<T>& q, const mauve_options& options = {},
                   E&& executor = sequential{}) {
  const index n = p.rows(), m = q.rows(), d = p.columns();
  if (n < 1) detail::fail("p", "at least one point", "none");
  if (m < 1) detail::fail("q", "at least one point", "none");
  detail::require_length("a row of q", q.columns(), d);
  if (options.num_buckets < 0) detail::fail("num_buckets", "a number not below 0", std::to_string(options.num_buckets));
  index buckets = options.num_buckets;
  if (buckets == 0) buckets = ((n < m ? n : m) + 5) / 10;
  if (options.num_buckets == 0 && buckets < 2) buckets = n + m > 1 ? 2 : 1;
  matrix<double> points(n + m, d);
  for (index i = 0; i < n + m; ++i) {
    const T* row = i < m ? q.row(i) : p.row(i - m);
    double squares = 0;
    double largest = 0;
    for (index j = 0; j < d; ++j) {
      const auto x = static_cast<double>(static_cast<arithmetic<T>>(row[j]));
      if (!(x < detail::infinity && x > -detail::infinity))
        detail::fail(i < m ? "q" : "p",
                     "entry (" + std::to_string(i < m ? i : i - m) + ", " + std::to_string(j) + ") finite",
                     std::to_string(x));
      points(i, j) = x;
      squares += x * x;
      largest = max(largest, abs(x));
    }
    // Squares that overflow, or are too small for all their bits, are taken of the row divided by its largest entry.
    if (largest > 0 && !(squares > 1e-280 && squares < 1e300)) {
      squares = 0;
      for (index j = 0; j < d; ++j) points(i, j) /= largest, squares += points(i, j) * points(i, j);
    }
    for (index j = 0; squares > 0 && j < d; ++j) points(i, j) /= emend::sqrt(squares);
  }
  const principal_components found = find_principal_components(points, options.explained_variance);
  const clusters all = k_means(found.projected, buckets, options.clustering, executor);
  mauve_result result = mauve_of_buckets(id_column(all.assignment.data() + m, n), id_column(all.assignment.data(), m),
                                         buckets, options.frontier);
  result.components = found.components;
  result.explained_variance_ratio = found.explained_variance_ratio;
  return result;
}

}  // namespace emend
