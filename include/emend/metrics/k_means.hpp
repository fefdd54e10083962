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
  const index n = points.rows(), d = points.columns();
  if (k < 1 || k > n) detail::fail("k", "a number in [1, " + std::to_string(n) + "]", std::to_string(k));
  if (options.restarts < 1) detail::fail("restarts", "at least 1", std::to_string(options.restarts));
  if (options.iterations < 1) detail::fail("iterations", "at least 1", std::to_string(options.iterations));
  detail::require_finite_points("points", points);
  const counter_random random{options.seed};
  const auto distance = [&](index i, const double* centre) {
    const double* x = points.row(i);
    double sum = 0;
    for (index j = 0; j < d; ++j) sum += (x[j] - centre[j]) * (x[j] - centre[j]);
    return sum;
  };
  clusters best;
  std::vector<double> nearest(static_cast<std::size_t>(n));
  for (index restart = 0; restart < options.restarts; ++restart) {
    const auto stream = static_cast<std::uint64_t>(restart);
    clusters now{.assignment = std::vector<index>(static_cast<std::size_t>(n), -1), .centre = matrix<double>(k, d)};
    for (index c = 0; c < k; ++c) {
      index chosen = random.below(n, stream, 0);
      if (c > 0) {
        double total = 0, sum = 0;
        for (index i = 0; i < n; ++i) {
          auto& least = nearest[static_cast<std::size_t>(i)];
          const double to_last = distance(i, now.centre.row(c - 1));
          least = c == 1 || to_last < least ? to_last : least;
          total += least;
        }
        const double wanted = random.uniform(stream, static_cast<std::uint64_t>(c)) * total;
        for (index i = 0; i < n; ++i) {
          if (nearest[static_cast<std::size_t>(i)] == 0) continue;
          chosen = i;
          if ((sum += nearest[static_cast<std::size_t>(i)]) > wanted) break;
        }
      }
      for (index j = 0; j < d; ++j) now.centre(c, j) = points(chosen, j);
    }
    std::vector<index> before;
    std::vector<double> count(static_cast<std::size_t>(k));
    while (now.iterations < options.iterations) {
      before = now.assignment;
      executor.for_each_chunk(n, [&](index begin, index end) {
        for (index i = begin; i < end; ++i) {
          index own = 0;
          double least = distance(i, now.centre.row(0));
          for (index c = 1; c < k; ++c) {
            const double to = distance(i, now.centre.row(c));
            if (to < least) least = to, own = c;
          }
          now.assignment[static_cast<std::size_t>(i)] = own;
          nearest[static_cast<std::size_t>(i)] = least;
        }
      });
      ++now.iterations;
      count.assign(static_cast<std::size_t>(k), 0);
      for (index i = 0; i < n; ++i) ++count[static_cast<std::size_t>(now.assignment[static_cast<std::size_t>(i)])];
      // The last iteration moves no point by itself: it would leave its equals behind.
      for (index c = 0; c < k && now.iterations < options.iterations; ++c) {
        if (count[static_cast<std::size_t>(c)] > 0) continue;
        index farthest = -1;
        for (index i = 0; i < n; ++i)
          if (nearest[static_cast<std::size_t>(i)] > 0 &&
              count[static_cast<std::size_t>(now.assignment[static_cast<std::size_t>(i)])] > 1 &&
              (farthest < 0 || nearest[static_cast<std::size_t>(i)] > nearest[static_cast<std::size_t>(farthest)]))
            farthest = i;
        if (farthest < 0) break;  // every point is a centre
        --count[static_cast<std::size_t>(now.assignment[static_cast<std::size_t>(farthest)])];
        now.assignment[static_cast<std::size_t>(farthest)] = c;
        nearest[static_cast<std::size_t>(farthest)] = 0;
        count[static_cast<std::size_t>(c)] = 1;
      }
      if (now.assignment == before) break;
      for (index c = 0; c < k; ++c)
        for (index j = 0; j < d && count[static_cast<std::size_t>(c)] > 0; ++j) now.centre(c, j) = 0;
      for (index i = 0; i < n; ++i)
        for (index j = 0; j < d; ++j) {
          const index c = now.assignment[static_cast<std::size_t>(i)];
          now.centre(c, j) += points(i, j) / count[static_cast<std::size_t>(c)];
        }
    }
    for (index i = 0; i < n; ++i)
      now.inertia += distance(i, now.centre.row(now.assignment[static_cast<std::size_t>(i)]));
    if (restart == 0 || now.inertia < best.inertia) best = std::move(now);
  }
  return best;
}

}  // namespace emend
