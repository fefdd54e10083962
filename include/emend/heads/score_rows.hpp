#pragma once

#include <emend/base/storage.hpp>
#include <emend/core/score_view.hpp>
#include <emend/heads/head_options.hpp>
#include <emend/heads/reference.hpp>

namespace emend::detail {

/// The rows of scores in memory as a transform and kept ids make them: single entries in double, and what follows from
/// the sums of a row. Whole rows are summed, and their gradients written, by the layouts: contiguous_rows, column_rows
/// and gathered_rows. Views: the options' transform and kept ids must outlive it.
template <class T>
class score_rows {
  using A = arithmetic<T>;

 public:
  score_rows(score_view<const T> scores, const head_options& options)
      : scores_(scores), transform_(options.transform), kept_(options.kept), with_extras_(options.with_extras) {}

  const score_view<const T>& scores() const { return scores_; }
  const T* data(index row) const { return scores_.row(row); }
  index count() const { return scores_.rows(); }
  index vocab() const { return scores_.vocab; }
  bool with_extras() const { return with_extras_; }
  bool has_kept_ids() const { return kept_.offsets.is_given(); }
  bool has_soft_cap() const { return transform_.soft_cap != 0; }
  bool has_temperatures() const { return transform_.temperatures.is_given(); }
  const score_transform& transform() const { return transform_; }

  /// Number of scores of the row that count, and the id of the k-th.
  index width(index row) const { return has_kept_ids() ? kept_.offsets[row + 1] - kept_.offsets[row] : scores_.vocab; }
  index id_of(index row, index k) const { return has_kept_ids() ? kept_.ids[kept_.offsets[row] + k] : k; }

  double temperature(index row) const {
    return has_temperatures() ? transform_.temperatures[row] : transform_.temperature;
  }
  double multiplier(index row) const { return transform_.logit_scale / temperature(row); }
  /// Factor that remains once a block has been read: the soft cap has taken the scale with it.
  double block_multiplier(index row) const { return has_soft_cap() ? 1 / temperature(row) : multiplier(row); }

  /// z of one id of a row, -inf outside the kept set.
  double z(index row, index id) const {
    if (has_kept_ids() && !is_kept(row, id)) return -infinity;
    return z_inside(row, id);
  }
  /// The same of an id that is known to be inside.
  double z_inside(index row, index id) const {
    const double value = static_cast<double>(static_cast<A>(scores_(row, id)));
    if (!has_soft_cap()) return multiplier(row) * value;
    if (value == -infinity) return value;
    return transform_.soft_cap * __builtin_tanh(transform_.logit_scale * value / transform_.soft_cap) /
           temperature(row);
  }
  /// Derivative of z with respect to the score.
  double slope(index row, index id) const {
    if (!has_soft_cap()) return multiplier(row);
    const double value = static_cast<double>(static_cast<A>(scores_(row, id)));
    const double t = __builtin_tanh(transform_.logit_scale * value / transform_.soft_cap);
    return multiplier(row) * (1 - t * t);
  }

  /// The gradient at one id of a row, from its z: for a row whose other entries have been written.
  double entry(index row, index id, double z, const row_statistics& statistics, const row_adjoint& adjoint,
               double score_adjoint) const {
    const double common = adjoint.is_zero() ? 0 : reference_gradient(z, id, statistics, adjoint);
    // tanh of the cap is what z itself tells.
    const double t = has_soft_cap() ? z * temperature(row) / transform_.soft_cap : 0;
    return multiplier(row) * (1 - t * t) * (common + score_adjoint);
  }

  /// log_z of a row without one of its ids, from the scores themselves: exact however much of the row's mass the id
  /// has, where log_z + log(1 - p) cancels. -inf if nothing is left, NaN if a score is NaN or +inf. Cost: one
  /// exponential in double a score.
  double log_z_without(index row, index id) const {
    double maximum = -infinity, sum = 0;
    for (index k = 0; k < width(row); ++k) {
      if (id_of(row, k) == id) continue;
      const double x = z_inside(row, id_of(row, k));
      if (!(x < infinity)) return not_a_number;
      maximum = x > maximum ? x : maximum;
    }
    if (maximum == -infinity) return -infinity;
    for (index k = 0; k < width(row); ++k)
      if (id_of(row, k) != id) sum += __builtin_exp(z_inside(row, id_of(row, k)) - maximum);
    return maximum + __builtin_log(sum);
  }

  /// The statistics of a row from its sums; by the reference where the sums do not tell.
  row_statistics statistics(index row, const row_totals& sums) const {
    const index size = width(row);
    const auto z_of = [&](index k) { return z_inside(row, id_of(row, k)); };
    row_statistics result;
    if (sums.needs_reference_path || !sums.has_reference || !(__builtin_fabs(sums.reference) < 0x1p20) ||
        is_extreme(row)) {
      result = reference_statistics(z_of, size);
    } else {
      const double log2_sum = __builtin_log2(sums.sum);
      result.log_z = ln_2 * (sums.reference + log2_sum);
      result.entropy = ln_2 * (log2_sum - sums.weighted / sums.sum);
      // What scores at -inf add to the sums is of this size; the entropy of a certain row is exactly 0.
      if (result.entropy < 1e-30) result.entropy = 0;
      if (with_extras_) {
        result.log_sum_squares = ln_2 * (__builtin_log2(sums.squares) - 2 * log2_sum);
        result.mean_score = block_multiplier(row) * sums.plain / static_cast<double>(size);
        result.arg_max = sums.arg_max;
        result.max_score = z_of(sums.arg_max);
      }
    }
    if (result.arg_max >= 0) result.arg_max = size == 0 ? -1 : id_of(row, result.arg_max);
    return result;
  }

 private:
  bool is_kept(index row, index id) const {
    for (index k = 0; k < width(row); ++k)
      if (id_of(row, k) == id) return true;
    return false;
  }
  /// Whether the factor of a row is so far from 1 that the kernels' numbers could leave their range.
  bool is_extreme(index row) const {
    constexpr double most = sizeof(A) == 4 ? 0x1p90 : 0x1p900;
    const double factor = multiplier(row);
    return factor > most || factor < 1 / most;
  }

  score_view<const T> scores_;
  const score_transform& transform_;
  const kept_ids& kept_;
  bool with_extras_;
};

}  // namespace emend::detail
