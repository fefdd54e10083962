#pragma once

#include <emend/libtorch/head/scores.hpp>

#include <ATen/ops/mm.h>

namespace emend {

namespace detail {

/// Chunks of scores = hidden weight^T on a device, and the two products back.
class device_product {
 public:
  device_product(const at::Tensor& hidden, const at::Tensor& weight, const head_request& r)
      : hidden_(hidden.reshape({-1, hidden.size(-1)})),
        weight_(weight),
        r_(r),
        chain_(r, hidden.scalar_type()),
        terms_(r.rows, hidden_.size(0)) {}

  /// f(the chunk's rows, the same on the device, their hidden states [n, D], their scores [n, V])
  template <class F>
  void for_each_chunk(F&& f) const {
    std::vector<index> active;
    for (index row = 0; row < hidden_.size(0); ++row)
      if (r_.is_active[row]) active.push_back(row);
    const index count = static_cast<index>(active.size());
    for (index first = 0; first < count; first += chunk_rows) {
      const auto size = static_cast<std::size_t>(std::min(chunk_rows, count - first));
      const auto rows = std::span<const index>(active).subspan(static_cast<std::size_t>(first), size);
      std::vector<index> places(rows.begin(), rows.end());
      const at::Tensor at = on_device(places, hidden_.device());
      const at::Tensor states = hidden_.index_select(0, at);
      f(rows, at, states, at::mm(states, weight_.t()));
    }
  }

  /// Statistics of a chunk's rows and scores of its terms; one copy to the host, which waits for the device.
  void read(std::span<const index> rows, const at::Tensor& z, row_statistics* statistics, double* scores) const {
    std::vector<at::Tensor> all{chain_.statistics(z, rows).flatten()};
    std::vector<index> wanted, places;
    for (std::size_t k = 0; k < rows.size(); ++k)
      for (index t = terms_.first[static_cast<std::size_t>(rows[k])];
           t < terms_.first[static_cast<std::size_t>(rows[k]) + 1]; ++t) {
        const index i = terms_.order[static_cast<std::size_t>(t)];
        scores[i] = -infinity;
        if (!chain_.keeps(rows[k], r_.targets[i])) continue;
        wanted.push_back(i);
        places.push_back(static_cast<index>(k) * z.size(1) + r_.targets[i]);
      }
    if (!wanted.empty()) all.push_back(z.take(on_device(places, z.device())).to(at::kDouble));
    const at::Tensor on_host = at::cat(all).cpu();
    const double* columns = static_cast<const double*>(on_host.const_data_ptr());
    const auto count = static_cast<index>(rows.size());
    for (index k = 0; k < count; ++k) {
      const index row = rows[static_cast<std::size_t>(k)];
      statistics[row] = chain_.read(row, columns + k, count, z.size(1));
    }
    for (std::size_t k = 0; k < wanted.size(); ++k)
      scores[wanted[k]] = chain_.score(r_.rows[wanted[k]], columns[chain_.columns() * count + static_cast<index>(k)]);
  }

  /// Adds a chunk's share of the gradients. Sums over chunks are kept in float or double, in order.
  void add(std::span<const index> rows, const at::Tensor& at, const at::Tensor& states, const at::Tensor& z,
           const row_statistics* statistics, const row_adjoint* adjoints, const double* score_adjoints,
           const at::Tensor& d_hidden, at::Tensor& d_weight) const {
    const at::Tensor d_scores =
        chain_.gradient(z, rows, statistics, adjoints, targets_of(chain_, r_, terms_, rows, score_adjoints))
            .to(states.scalar_type());
    d_hidden.index_copy_(0, at, at::mm(d_scores, weight_));
    if (d_weight.scalar_type() == d_scores.scalar_type())
      d_weight.addmm_(d_scores.t(), states);
    else
      d_weight.add_(at::mm(d_scores.t(), states));
  }

  /// Zeros that `add` may sum into: the gradient itself where it is of float or double.
  at::Tensor start_d_hidden() const { return at::zeros(hidden_.sizes(), hidden_.options()); }
  at::Tensor start_d_weight(at::Tensor& gradient) const {
    const bool is_exact = weight_.scalar_type() == at::kDouble || weight_.scalar_type() == at::kFloat;
    return is_exact ? gradient.zero_() : at::zeros(weight_.sizes(), weight_.options().dtype(at::kFloat));
  }

 private:
  static constexpr index chunk_rows = 1024;

  at::Tensor hidden_, weight_;
  const head_request& r_;
  op_chain chain_;
  terms_by_row terms_;
};

}  // namespace detail

/// Scores hidden weight^T of tensors on any device, never stored beyond a chunk of 1024 rows: a `head_scores` by ATen's
/// operations. hidden: [.., D]; weight: [V, D]; of one dtype and device. The gradient is {d_hidden, d_weight}. Sums
/// over chunks are in float or double; scores are rounded to the dtype of the product, as a model's own layer does.
/// What goes between device and host: see `device_scores`. Throws std::invalid_argument on shapes, dtypes or devices
/// that do not fit.
template <>
struct backend<linear_scores<device_scores, device_scores>> {
  using product = linear_scores<device_scores, device_scores>;
  using gradient = linear_gradient<at::Tensor, at::Tensor>;

  static gradient like(const product& x) {
    return {backend<device_scores>::like(x.hidden), backend<device_scores>::like(x.weight)};
  }

  static head_shape shape(const product& x) {
    const at::Tensor &hidden = x.hidden.scores, &weight = x.weight.scores;
    detail::require_score_tensor("hidden", hidden);
    detail::require_score_tensor("weight", weight);
    if (weight.dim() != 2 || weight.size(1) != hidden.size(-1))
      detail::fail("linear_scores", "weight of " + std::to_string(hidden.size(-1)) + " columns, as hidden",
                   "another shape");
    if (weight.scalar_type() != hidden.scalar_type())
      detail::fail("linear_scores", "hidden and weight of one storage type", "two");
    if (weight.device() != hidden.device()) detail::fail("linear_scores", "hidden and weight on one device", "two");
    return {backend<device_scores>::shape(x.hidden).rows, weight.size(0)};
  }

  static void forward(const product& x, const head_request& r, row_statistics* rows, double* scores) {
    const at::NoGradGuard no_graph;
    const detail::device_product chunks(x.hidden.scores, x.weight.scores, r);
    chunks.for_each_chunk([&](std::span<const index> of, const at::Tensor&, const at::Tensor&, const at::Tensor& z) {
      chunks.read(of, z, rows, scores);
    });
  }

  static void backward(const product& x, const head_request& r, const row_statistics* rows, const row_adjoint* adjoints,
                       const double* score_adjoints, gradient& g) {
    run(x, r, rows, adjoints, score_adjoints, g,
        [](const detail::device_product&, std::span<const index>, const at::Tensor&) {});
  }

  /// Both, without computing the scores twice.
  template <class Visit>
  static void fused(const product& x, const head_request& r, row_statistics* rows, double* scores, const Visit& visit,
                    const row_adjoint* adjoints, const double* score_adjoints, gradient& g) {
    run(x, r, rows, adjoints, score_adjoints, g,
        [&](const detail::device_product& chunks, std::span<const index> of, const at::Tensor& z) {
          chunks.read(of, z, rows, scores);
          for (const index row : of) visit(row);
        });
  }

 private:
  template <class Before>
  static void run(const product& x, const head_request& r, const row_statistics* rows, const row_adjoint* adjoints,
                  const double* score_adjoints, gradient& g, const Before& before) {
    const at::NoGradGuard no_graph;
    detail::require_gradient_tensor(x.hidden.scores, g.d_hidden);
    detail::require_gradient_tensor(x.weight.scores, g.d_weight);
    const detail::device_product chunks(x.hidden.scores, x.weight.scores, r);
    const at::Tensor d_hidden = chunks.start_d_hidden();
    at::Tensor d_weight = chunks.start_d_weight(g.d_weight);
    chunks.for_each_chunk(
        [&](std::span<const index> of, const at::Tensor& at, const at::Tensor& states, const at::Tensor& z) {
          before(chunks, of, z);
          chunks.add(of, at, states, z, rows, adjoints, score_adjoints, d_hidden, d_weight);
        });
    g.d_hidden.copy_(d_hidden.view(g.d_hidden.sizes()));
    if (!d_weight.is_same(g.d_weight)) g.d_weight.copy_(d_weight);
  }
};
static_assert(head_scores<linear_scores<device_scores, device_scores>>);

}  // namespace emend
