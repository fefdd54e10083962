#pragma once

#include <emend/heads/head_scores.hpp>
#include <emend/libtorch/tensor/backend.hpp>

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <span>
#include <vector>

namespace emend::detail {

/// Numbers of the host on a device. The vector must outlive the result where the device is the host.
inline at::Tensor on_device(std::vector<double>& values, at::Device device) {
  return at::from_blob(values.data(), {static_cast<std::int64_t>(values.size())},
                       at::TensorOptions().dtype(at::kDouble))
      .to(device);
}
inline at::Tensor on_device(std::vector<index>& values, at::Device device) {
  return at::from_blob(values.data(), {static_cast<std::int64_t>(values.size())}, at::TensorOptions().dtype(at::kLong))
      .to(device);
}

/// The head over chunks of rows by ATen's operations, in float or double, on any device.
///   z = multiplier y,   y = x, or cap(logit_scale x);   d = multiplier (y - max y),   p = exp(d - log sum exp d)
/// Differences are formed before they are scaled, so that large scores lose nothing.
class op_chain {
 public:
  /// Columns that `statistics` gives for each row.
  enum { of_top, of_sum, of_weighted, of_squares, of_plain, of_arg_max };

  op_chain(const head_request& request, at::ScalarType storage)
      : request_(request), type_(storage == at::kDouble ? at::kDouble : at::kFloat) {}

  index columns() const { return request_.with_extras ? of_arg_max + 1 : of_weighted + 1; }

  /// x: [n, V], the scores of the given rows -> [columns(), n], double, on their device.
  at::Tensor statistics(const at::Tensor& x, std::span<const index> rows) const {
    const prepared y = prepare(x, rows);
    const at::Tensor top = y.values.amax(-1, true);
    const at::Tensor d = difference(y, top.masked_fill(top == -infinity, 0));
    const at::Tensor power = d.exp();
    std::vector<at::Tensor> columns{top.squeeze(-1), power.sum(-1), d.mul_(power).sum(-1)};
    if (request_.with_extras) {
      columns.push_back(power.square_().sum(-1));
      const at::Tensor counted = y.kept.defined() ? y.values.masked_fill(y.kept.logical_not(), 0) : y.values;
      columns.push_back(counted.sum(-1, false, at::kDouble));
      columns.push_back(y.values.argmax(-1));
    }
    for (at::Tensor& column : columns) column = column.to(at::kDouble);
    return at::stack(columns);
  }

  /// The row's statistics from its columns on the host.
  row_statistics read(index row, const double* columns, index stride, index vocab) const {
    const double top = columns[of_top * stride], sum = columns[of_sum * stride], multiplier = multiplier_of(row);
    row_statistics result;
    if (!(top < infinity)) return result;
    const index kept = kept_count(row, vocab);
    result.max_score = multiplier * top;
    if (request_.with_extras) {
      result.arg_max = static_cast<index>(columns[of_arg_max * stride]);
      result.mean_score = multiplier * columns[of_plain * stride] / static_cast<double>(kept);
    }
    if (top == -infinity) {
      result.log_z = result.log_sum_squares = -infinity;
      result.entropy = 0;
      if (has_kept()) result.arg_max = lowest_kept(row);
      return result;
    }
    const double log_sum = __builtin_log(sum);
    result.log_z = result.max_score + log_sum;
    result.log_z_tail = (result.max_score - result.log_z) + log_sum;
    const double entropy = log_sum - columns[of_weighted * stride] / sum;
    result.entropy = entropy > 0 ? entropy : 0;
    if (request_.with_extras) result.log_sum_squares = __builtin_log(columns[of_squares * stride]) - 2 * log_sum;
    return result;
  }

  /// Derivative with respect to the score of one id of a row of the chunk.
  struct target {
    index row, id;  ///< row counts from the chunk's first
    double value;
  };

  /// x: [n, V], the scores of the given rows -> [n, V], the gradient, in float or double.
  ///   scale (p (constant + linear log p + quadratic p) + target's own),   times 1 - tanh^2 where there is a cap
  at::Tensor gradient(const at::Tensor& x, std::span<const index> rows, const row_statistics* statistics,
                      const row_adjoint* adjoints, std::span<const target> targets) const {
    const prepared y = prepare(x, rows);
    const auto n = static_cast<std::int64_t>(rows.size());
    // top, log_sum, constant, linear, quadratic: one copy to the device
    std::vector<double> coefficients(5 * rows.size(), 0);
    bool has_linear = false, has_quadratic = false;
    for (std::size_t k = 0; k < rows.size(); ++k) {
      const row_statistics& row = statistics[rows[k]];
      const row_adjoint& g = adjoints[rows[k]];
      const auto at = [&](std::size_t which) -> double& { return coefficients[which * rows.size() + k]; };
      if (row.max_score == -infinity) continue;
      const double scale = slope_of(rows[k]);
      at(0) = row.max_score / multiplier_of(rows[k]);
      at(1) = (row.log_z - row.max_score) + row.log_z_tail;
      at(2) = scale * (g.log_z - (g.entropy == 0 ? 0 : g.entropy * row.entropy) - 2 * g.log_sum_squares);
      at(3) = -scale * g.entropy;
      at(4) = g.log_sum_squares == 0 ? 0 : 2 * scale * g.log_sum_squares * __builtin_exp(-row.log_sum_squares);
      has_linear |= at(3) != 0;
      has_quadratic |= at(4) != 0;
    }
    const slopes of_rows{on_device(coefficients, x.device()).view({5, n, 1}).to(type_), has_linear, has_quadratic};
    at::Tensor result = gradient_of(y, of_rows);
    add_targets(result, y.values, rows, targets);
    if (y.slope.defined()) result.mul_(y.slope);
    return result;
  }

  /// What the gradient of each row of a chunk is made of, on their device: top, log_sum, constant, linear, quadratic.
  struct slopes {
    at::Tensor table;  ///< [5, n, 1] in float or double
    bool has_linear, has_quadratic;
  };

  /// The same where nothing of the targets is on the host. places: [m] positions in x counted row by row, all
  /// different; amount: [m] derivatives with respect to x there, but for the cap. No kept ids, no temperatures of each
  /// row.
  at::Tensor gradient(const at::Tensor& x, const slopes& of_rows, const at::Tensor& places,
                      const at::Tensor& amount) const {
    const prepared y = prepare(x, {});
    at::Tensor result = gradient_of(y, of_rows);
    // A target outside the support is a constant.
    const at::Tensor outside = y.values.view({-1}).index_select(0, places) == -infinity;
    result.view({-1}).index_add_(0, places, amount.to(type_).masked_fill(outside, 0));
    if (y.slope.defined()) result.mul_(y.slope);
    return result;
  }
  /// Such places of one id in each row.
  static at::Tensor target_places(const at::Tensor& ids, index vocab) {
    return at::arange(ids.size(0), ids.options()).mul_(vocab).add_(ids);
  }

  /// z = multiplier y
  double multiplier_of(index row) const {
    return (request_.transform.soft_cap != 0 ? 1 : request_.transform.logit_scale) / temperature_of(row);
  }
  /// dz / dx, but for the cap
  double slope_of(index row) const { return request_.transform.logit_scale / temperature_of(row); }
  /// Of gradients and slopes: float or double.
  at::ScalarType type() const { return type_; }
  /// z of scores in double, [..], on their device; no temperatures of each row.
  at::Tensor scores(const at::Tensor& x) const {
    const score_transform& f = request_.transform;
    const at::Tensor capped =
        f.soft_cap == 0 ? x : at::where(x.isfinite(), (x * (f.logit_scale / f.soft_cap)).tanh_().mul_(f.soft_cap), x);
    return capped * multiplier_of(0);
  }
  /// The cap's part of dz / dx, of scores in double; 1 without a cap.
  at::Tensor cap_slope(const at::Tensor& x) const {
    const score_transform& f = request_.transform;
    if (f.soft_cap == 0) return at::ones_like(x);
    return (x * (f.logit_scale / f.soft_cap)).tanh_().square_().neg_().add_(1);
  }
  /// z of one score whose id is kept.
  double score(index row, double x) const {
    const score_transform& f = request_.transform;
    const double scaled = f.logit_scale * x;
    const bool is_capped = f.soft_cap != 0 && __builtin_isfinite(x);
    return (is_capped ? f.soft_cap * __builtin_tanh(scaled / f.soft_cap) : scaled) / temperature_of(row);
  }
  bool keeps(index row, index id) const {
    if (!has_kept()) return true;
    for (index k = request_.kept.offsets[row]; k < request_.kept.offsets[row + 1]; ++k)
      if (request_.kept.ids[k] == id) return true;
    return false;
  }

 private:
  /// exp of it is 0 in every type, and its product with 0 is 0 where that of -inf is not.
  static constexpr double lowest_difference = -1e4;

  struct prepared {
    at::Tensor values;      ///< [n, V], -inf where the id is not kept; of 16-bit scores as they are, but for a cap
    at::Tensor kept;        ///< [n, V] bool, or undefined
    at::Tensor slope;       ///< [n, V] derivative of the cap, or undefined
    at::Tensor multiplier;  ///< [n, 1] or scalar; undefined for 1
  };

  /// multiplier (y - from), in float or double, bounded below. from: [n, 1]
  at::Tensor difference(const prepared& y, const at::Tensor& from) const {
    // 16-bit scores are read as such: what these operations cost is the bytes that they move.
    at::Tensor d = y.values - from.to(type_);
    if (y.multiplier.defined()) d.mul_(y.multiplier);
    return d.clamp_min_(lowest_difference);
  }

  at::Tensor gradient_of(const prepared& y, const slopes& s) const {
    const at::Tensor& table = s.table;
    at::Tensor log_p = difference(y, table[0]).sub_(table[1]);
    at::Tensor result = log_p.exp();
    if (!s.has_linear && !s.has_quadratic) return result.mul_(table[2]);
    if (s.has_linear)
      log_p.mul_(table[3]).add_(table[2]);
    else
      log_p = at::zeros_like(log_p).add_(table[2]);
    if (s.has_quadratic) log_p.addcmul_(result, table[4]);
    return result.mul_(log_p);
  }

  prepared prepare(const at::Tensor& x, std::span<const index> rows) const {
    const score_transform& f = request_.transform;
    prepared y{x.contiguous(), {}, {}, {}};
    if (f.soft_cap != 0) {
      const at::Tensor given = y.values.to(type_), ratio = (given * (f.logit_scale / f.soft_cap)).tanh_();
      // tanh would make a number of an infinity.
      y.values = at::where(given.isfinite(), ratio * f.soft_cap, given);
      y.slope = ratio.square_().neg_().add_(1);
    }
    if (!f.temperatures.is_given()) {
      // Not copied there, for which the host would wait.
      if (multiplier_of(0) != 1) y.multiplier = at::full({1, 1}, multiplier_of(0), x.options().dtype(type_));
    } else {
      std::vector<double> multipliers;
      for (const index row : rows) multipliers.push_back(multiplier_of(row));
      y.multiplier = on_device(multipliers, x.device()).to(type_, false, true).unsqueeze(-1);
    }
    if (has_kept()) {
      std::vector<index> places;
      for (std::size_t k = 0; k < rows.size(); ++k)
        for (index l = request_.kept.offsets[rows[k]]; l < request_.kept.offsets[rows[k] + 1]; ++l)
          places.push_back(static_cast<index>(k) * x.size(1) + request_.kept.ids[l]);
      y.kept = at::zeros(x.sizes(), x.options().dtype(at::kBool));
      y.kept.view({-1}).index_fill_(0, on_device(places, x.device()), true);
      y.values = y.values.masked_fill(y.kept.logical_not(), -infinity);
    }
    return y;
  }

  void add_targets(const at::Tensor& result, const at::Tensor& values, std::span<const index> rows,
                   std::span<const target> targets) const {
    if (targets.empty()) return;
    // Sums of what falls on one place are formed here: on the device their order would be nobody's.
    std::vector<target> sorted(targets.begin(), targets.end());
    const auto is_before = [](const target& a, const target& b) {
      return a.row != b.row ? a.row < b.row : a.id < b.id;
    };
    std::stable_sort(sorted.begin(), sorted.end(), is_before);
    std::vector<index> places;
    std::vector<double> amounts;
    for (const target& t : sorted) {
      const index place = t.row * values.size(1) + t.id;
      const double amount = t.value * slope_of(rows[static_cast<std::size_t>(t.row)]);
      if (!places.empty() && places.back() == place)
        amounts.back() += amount;
      else
        places.push_back(place), amounts.push_back(amount);
    }
    const at::Tensor at = on_device(places, values.device()), amount = on_device(amounts, values.device()).to(type_);
    // A target outside the support is a constant.
    const at::Tensor inside = amount.masked_fill(values.take(at) == -infinity, 0);
    result.view({-1}).index_add_(0, at, inside);
  }

  bool has_kept() const { return request_.kept.offsets.is_given(); }
  index kept_count(index row, index vocab) const {
    return has_kept() ? request_.kept.offsets[row + 1] - request_.kept.offsets[row] : vocab;
  }
  index lowest_kept(index row) const {
    index lowest = -1;
    for (index k = request_.kept.offsets[row]; k < request_.kept.offsets[row + 1]; ++k)
      if (lowest < 0 || request_.kept.ids[k] < lowest) lowest = request_.kept.ids[k];
    return lowest;
  }
  double temperature_of(index row) const {
    return !request_.transform.temperatures.is_given() ? request_.transform.temperature
                                                       : request_.transform.temperatures[row];
  }

  const head_request& request_;
  at::ScalarType type_;
};

/// f(first, last) for runs of rows, in order.
template <class F>
void for_each_row_chunk(index rows, index bytes_per_row, const at::Device& device, F&& f) {
  // Large enough to fill a device, small enough to stay in a cache of the host.
  const index budget = device.is_cpu() ? index{8} << 20 : index{256} << 20;
  const index step = std::max<index>(1, budget / std::max<index>(1, bytes_per_row));
  for (index first = 0; first < rows; first += step) f(first, std::min(rows, first + step));
}

}  // namespace emend::detail
