#pragma once

#include <emend/advantage/groups.hpp>
#include <emend/core/moments.hpp>

namespace emend {

/// Moments of all batches so far, by which rewards are scaled.
///   mean, variance merged batch by batch; deviation over n - 1
/// They start as one number of variance 1 with the weight 1e-24, so that a deviation exists before the first batch;
/// after one batch the count is its size to rounding. trlx, ROLL.
struct running_moments {
  moments all{1e-24, 0, 1e-24};

  double count() const { return all.count; }
  double mean() const { return all.mean; }
  double variance() const { return all.variance(false); }
  /// 1 before the first batch, and while less than two numbers have come.
  double deviation() const { return all.count > 1 ? all.deviation() : 1; }

  /// Takes in a batch and returns its own moments. Throws std::invalid_argument on a NaN or an infinity in it, which
  /// would stay for ever; nothing is taken in then.
  moments update(column batch) {
    const moments of_batch = moments_of(batch);
    update(of_batch);
    return of_batch;
  }
  /// Takes in the moments of a batch that is spread over ranks.
  void update(const moments& of_batch) {
    detail::require_finite_moments("batch", of_batch.count, of_batch.mean, of_batch.squares);
    all.merge(of_batch);
  }
};

}  // namespace emend
