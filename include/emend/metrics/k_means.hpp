#pragma once

#include <emend/core/executor.hpp>
#include <emend/core/matrix.hpp>
#include <emend/core/random.hpp>
#include <emend/metrics/finite_points.hpp>

#include <vector>

namespace emend {

/// Options of `k_means`.
struct k_means_options {
  index restarts = 5;      ///< the best of so many beginnings; MAUVE's
  index iterations = 500;  ///< at most, of each; MAUVE's
  std::uint64_t seed = 0;
};

/// Clusters of some points.
struct clusters {
  std::vector<index> assignment;  ///< [n] the cluster of each point
  matrix<double> centre;          ///< [k, d]
  double inertia = 0;             ///< sum of squared distances to the own centre
  index iterations = 0;
};

namespace detail {

/// One beginning of `k_means`, and its iterations.
class k_means_run {
 public:
  /// nearest: memory of one number a point, squared distances to the own centre.
  k_means_run(const matrix<double>& points, index k, std::vector<double>& nearest)
      : points_(points), nearest_(nearest), count_(static_cast<std::size_t>(k)) {
    found.assignment.assign(static_cast<std::size_t>(points.rows()), -1);
    found.centre = matrix<double>(k, points.columns());
  }

  /// Each centre is a point drawn by its squared distance to the centres before it (k-means++).
  void begin(const counter_random& random, std::uint64_t stream) {
    const index n = points_.rows();
    for (index c = 0; c < clusters_wanted(); ++c) {
      index chosen = random.below(n, stream, 0);
      if (c > 0) {
        double total = 0, sum = 0;
        for (index i = 0; i < n; ++i) {
          const double to_last = distance(i, c - 1);
          if (c == 1 || to_last < nearest(i)) nearest(i) = to_last;
          total += nearest(i);
        }
        const double wanted = random.uniform(stream, static_cast<std::uint64_t>(c)) * total;
        for (index i = 0; i < n; ++i) {
          if (nearest(i) == 0) continue;
          chosen = i;
          if ((sum += nearest(i)) > wanted) break;
        }
      }
      for (index j = 0; j < points_.columns(); ++j) found.centre(c, j) = points_(chosen, j);
    }
  }

  template <class E>
  void iterate(index iterations, E& executor) {
    std::vector<index> before;
    while (found.iterations < iterations) {
      before = found.assignment;
      executor.for_each_chunk(points_.rows(), [&](index begin, index end) { assign(begin, end); });
      ++found.iterations;
      count_.assign(count_.size(), 0);
      for (const index c : found.assignment) ++count(c);
      // The last iteration moves no point by itself: it would leave its equals behind.
      if (found.iterations < iterations) fill_empty_clusters();
      if (found.assignment == before) break;
      move_centres();
    }
    for (index i = 0; i < points_.rows(); ++i) found.inertia += distance(i, assignment(i));
  }

  clusters found;

 private:
  index clusters_wanted() const { return found.centre.rows(); }
  double& nearest(index i) { return nearest_[static_cast<std::size_t>(i)]; }
  double& count(index c) { return count_[static_cast<std::size_t>(c)]; }
  index& assignment(index i) { return found.assignment[static_cast<std::size_t>(i)]; }
  double distance(index i, index c) const {
    const double *x = points_.row(i), *centre = found.centre.row(c);
    double sum = 0;
    for (index j = 0; j < points_.columns(); ++j) sum += (x[j] - centre[j]) * (x[j] - centre[j]);
    return sum;
  }
  void assign(index begin, index end) {
    for (index i = begin; i < end; ++i) {
      index own = 0;
      double least = distance(i, 0);
      for (index c = 1; c < clusters_wanted(); ++c) {
        const double to = distance(i, c);
        if (to < least) least = to, own = c;
      }
      assignment(i) = own;
      nearest(i) = least;
    }
  }
  void fill_empty_clusters() {
    for (index c = 0; c < clusters_wanted(); ++c) {
      if (count(c) > 0) continue;
      index farthest = -1;
      for (index i = 0; i < points_.rows(); ++i)
        if (nearest(i) > 0 && count(assignment(i)) > 1 && (farthest < 0 || nearest(i) > nearest(farthest)))
          farthest = i;
      if (farthest < 0) return;  // every point is a centre
      --count(assignment(farthest));
      assignment(farthest) = c;
      nearest(farthest) = 0;
      count(c) = 1;
    }
  }
  void move_centres() {
    const index d = points_.columns();
    for (index c = 0; c < clusters_wanted(); ++c)
      for (index j = 0; j < d && count(c) > 0; ++j) found.centre(c, j) = 0;
    for (index i = 0; i < points_.rows(); ++i)
      for (index j = 0; j < d; ++j) {
        const index c = assignment(i);
        found.centre(c, j) += points_(i, j) / count(c);
      }
  }

  const matrix<double>& points_;
  std::vector<double>& nearest_;
  std::vector<double> count_;
};

}  // namespace detail

/// k clusters of small squared distance to their means (Lloyd's iterations from k-means++ beginnings).
///   assignment_i = argmin_c |x_i - centre_c|^2, lowest c at ties;   centre_c = mean of its points;   until nothing
///   changes
/// points: [n, d], finite; k in [1, n]. A cluster that loses all points takes the point farthest from its own centre;
/// equal points are always in one cluster, so that some clusters are empty where there are fewer different points than
/// k. Every choice is drawn by (seed, restart, step): the same clusters for any number of threads. Throws
/// std::invalid_argument on another k, fewer than one restart or iteration, or a point whose distances are not finite.
/// Cost: n k d an iteration. Lloyd 1982;
/// Arthur and Vassilvitskii 2007.
template <executor E = const sequential>
clusters k_means(const matrix<double>& points, index k, const k_means_options& options = {},
                 E&& executor = sequential{}) {
  const index n = points.rows();
  if (k < 1 || k > n) detail::fail("k", "a number in [1, " + std::to_string(n) + "]", std::to_string(k));
  if (options.restarts < 1) detail::fail("restarts", "at least 1", std::to_string(options.restarts));
  if (options.iterations < 1) detail::fail("iterations", "at least 1", std::to_string(options.iterations));
  detail::require_finite_points("points", points);
  const counter_random random{options.seed};
  std::vector<double> nearest(static_cast<std::size_t>(n));
  clusters best;
  for (index restart = 0; restart < options.restarts; ++restart) {
    detail::k_means_run run(points, k, nearest);
    run.begin(random, static_cast<std::uint64_t>(restart));
    run.iterate(options.iterations, executor);
    if (restart == 0 || run.found.inertia < best.inertia) best = std::move(run.found);
  }
  return best;
}

}  // namespace emend
