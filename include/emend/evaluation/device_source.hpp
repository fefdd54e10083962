#pragma once

#include <emend/evaluation/terms.hpp>
#include <emend/heads/head_scores.hpp>

namespace emend::detail {

/// Scores behind a `head_scores` backend.
template <class X, class G>
class device_source {
 public:
  device_source(const X& x, G* gradient, const head_options& options) : x_(x), gradient_(gradient), options_(options) {}

  template <class E, class Visit>
  void forward(E&, const term_plan& plan, evaluation_buffers& buffers, const Visit& visit) {
    list_terms(plan);
    backend<X>::forward(x_, request(plan), buffers.statistics.data(), buffers.scores.data());
    for (index row = 0; row < plan.rows(); ++row)
      if (plan.active_rows()[row])
        visit_row_of(visit, row, row_reader{[&](index id) { return log_z_without(row, id); }, false});
  }
  template <class E>
  void backward(E&, const term_plan& plan, evaluation_buffers& buffers) {
    backend<X>::backward(x_, request(plan), static_cast<const row_statistics*>(buffers.statistics.data()),
                         static_cast<const row_adjoint*>(buffers.adjoints.data()),
                         static_cast<const double*>(buffers.score_adjoints.data()), *gradient_);
  }
  template <class E, class Visit>
  void fused(E& executor, const term_plan& plan, evaluation_buffers& buffers, const Visit& visit) {
    if constexpr (requires(const head_request& r, row_statistics* rows, double* scores, const row_adjoint* adjoints) {
                    backend<X>::fused(x_, r, rows, scores, visit, adjoints, static_cast<const double*>(scores),
                                      *gradient_);
                  }) {
      list_terms(plan);
      backend<X>::fused(x_, request(plan), buffers.statistics.data(), buffers.scores.data(), visit,
                        static_cast<const row_adjoint*>(buffers.adjoints.data()),
                        static_cast<const double*>(buffers.score_adjoints.data()), *gradient_);
    } else {
      forward(executor, plan, buffers, visit);
      backward(executor, plan, buffers);
    }
  }
  template <class E, class Note, class Visit, class Finish>
  void fused_late(E& executor, const term_plan& plan, evaluation_buffers& buffers, const Note& note, const Visit& visit,
                  const Finish& finish) {
    forward_and_backward(*this, executor, plan, buffers, note, visit, finish);
  }

 private:
  /// The head reads plain arrays: masked terms point at row 0, id 0, and their results are not used.
  void list_terms(const term_plan& plan) {
    rows_.resize(static_cast<std::size_t>(plan.terms()));
    ids_.resize(rows_.size());
    for (index i = 0; i < plan.terms(); ++i) {
      rows_[static_cast<std::size_t>(i)] = plan.is_evaluated(i) ? plan.row_of(i) : 0;
      ids_[static_cast<std::size_t>(i)] = plan.is_evaluated(i) ? plan.target(i) : 0;
    }
  }
  /// By a pass over this row alone, in which every other id is kept.
  double log_z_without(index row, index id) const {
    const head_shape shape = backend<X>::shape(x_);
    std::vector<index> offsets, ids;
    std::vector<std::uint8_t> is_active(static_cast<std::size_t>(shape.rows), 0);
    is_active[static_cast<std::size_t>(row)] = 1;
    const kept_ids& all = options_.kept;
    for (index i = 0; i <= shape.rows; ++i) {
      offsets.push_back(static_cast<index>(ids.size()));
      if (i != row) continue;
      const index count = all.offsets.is_given() ? all.offsets[row + 1] - all.offsets[row] : shape.vocab;
      for (index k = 0; k < count; ++k) {
        const index kept = all.offsets.is_given() ? all.ids[all.offsets[row] + k] : k;
        if (kept != id) ids.push_back(kept);
      }
    }
    if (ids.empty()) return -infinity;
    const kept_ids others{offsets, ids};
    std::vector<row_statistics> statistics(static_cast<std::size_t>(shape.rows));
    const std::vector<index> target{ids.front()}, target_row{row};
    double score = 0;
    backend<X>::forward(x_, head_request{target, target_row, is_active.data(), options_.transform, others, false},
                        statistics.data(), &score);
    return statistics[static_cast<std::size_t>(row)].log_z;
  }
  head_request request(const term_plan& plan) const {
    return {ids_, rows_, plan.active_rows(), options_.transform, options_.kept, options_.with_extras};
  }

  const X& x_;
  G* gradient_;
  head_options options_;
  std::vector<index> rows_, ids_;
};

}  // namespace emend::detail
