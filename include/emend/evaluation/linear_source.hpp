#pragma once

#include <emend/base/aligned_allocator.hpp>
#include <emend/evaluation/terms.hpp>
#include <emend/heads/linear.hpp>
#include <emend/heads/row_head.hpp>

namespace emend::detail {

/// hidden x weight in chunks of rows: scores of a chunk, its losses, its gradient in place, and the two products back.
/// Rows that are not active are never multiplied; rows with nothing to pass back leave before the backward products.
/// Sums over chunks are kept in arithmetic precision and in order; threads split columns and rows, never a sum.
template <class T>
class linear_source {
  using A = arithmetic<T>;

 public:
  linear_source(score_view<const T> hidden, score_view<const T> weight, score_view<T> d_hidden, score_view<T> d_weight,
                const head_options& options)
      : hidden_(hidden),
        d_hidden_(d_hidden),
        d_weight_(d_weight),
        options_(options),
        multiply_(multiply_add_for<A>(options.instructions)),
        depth_(hidden.vocab),
        vocab_(weight.rows()) {
    if (d_hidden.data) {
      if (d_hidden.rows() != hidden.rows() || d_hidden.vocab != depth_)
        fail("d_hidden", "the shape of hidden",
             "[" + std::to_string(d_hidden.rows()) + ", " + std::to_string(d_hidden.vocab) + "]");
      if (d_weight.rows() != vocab_ || d_weight.vocab != depth_)
        fail("d_weight", "the shape of weight",
             "[" + std::to_string(d_weight.rows()) + ", " + std::to_string(d_weight.vocab) + "]");
    }
    if (std::is_same_v<T, A> && weight.batch == 1) {
      weight_ = reinterpret_cast<const A*>(weight.data);
      weight_row_ = weight.token_stride;
      weight_column_ = weight.vocab_stride;
    } else {
      weight_copy_.resize(static_cast<std::size_t>(vocab_ * depth_));
      for (index j = 0; j < vocab_; ++j)
        for (index k = 0; k < depth_; ++k)
          weight_copy_[static_cast<std::size_t>(j * depth_ + k)] = static_cast<A>(weight(j, k));
      weight_ = weight_copy_.data();
      weight_row_ = depth_;
      weight_column_ = 1;
    }
  }

  template <class E, class Visit>
  void forward(E& executor, const term_plan& plan, evaluation_buffers& buffers, const Visit& visit) {
    for_each_chunk_of_rows(plan,
                           [&](index begin, index end) { statistics(executor, begin, end, plan, buffers, visit); });
  }

  template <class E>
  void backward(E& executor, const term_plan& plan, evaluation_buffers& buffers) {
    start_gradient();
    for_each_chunk_of_rows(plan, [&](index begin, index end) {
      multiply_scores(executor, begin, end);
      gradient(executor, begin, end, plan, buffers);
    });
    finish_gradient();
  }

  template <class E, class Visit>
  void fused(E& executor, const term_plan& plan, evaluation_buffers& buffers, const Visit& visit) {
    start_gradient();
    for_each_chunk_of_rows(plan, [&](index begin, index end) {
      statistics(executor, begin, end, plan, buffers, visit);
      gradient(executor, begin, end, plan, buffers);
    });
    finish_gradient();
  }

  template <class E, class Note, class Visit, class Finish>
  void fused_late(E& executor, const term_plan& plan, evaluation_buffers& buffers, const Note& note, const Visit& visit,
                  const Finish& finish) {
    forward_and_backward(*this, executor, plan, buffers, note, visit, finish);
  }

 private:
  // The scores of so many rows are stored at a time. The weight is read twice, and its gradient once, for each chunk.
  static constexpr index chunk_rows = 384;
  static constexpr index column_block = 512;  // a thread's share of a product, a multiple of every register panel

  template <class F>
  void for_each_chunk_of_rows(const term_plan& plan, F&& f) {
    active_.clear();
    for (index row = 0; row < plan.rows(); ++row)
      if (plan.active_rows()[row]) active_.push_back(row);
    const index count = static_cast<index>(active_.size());
    for (index begin = 0; begin < count; begin += chunk_rows)
      f(begin, count - begin < chunk_rows ? count : begin + chunk_rows);
  }
  index row_at(index k) const { return active_[static_cast<std::size_t>(k)]; }

  /// scores_[k - begin, :] = hidden[row_at(k), :] weight^T
  template <class E>
  void multiply_scores(E& executor, index begin, index end) {
    const index rows = end - begin;
    hidden_rows_.resize(static_cast<std::size_t>(rows * depth_));
    for (index k = begin; k < end; ++k)
      for (index d = 0; d < depth_; ++d)
        hidden_rows_[static_cast<std::size_t>((k - begin) * depth_ + d)] = static_cast<A>(hidden_(row_at(k), d));
    scores_.resize(static_cast<std::size_t>(rows * vocab_));
    executor.for_each_chunk((vocab_ + column_block - 1) / column_block, [&](index first, index last) {
      const index from = first * column_block, to = last * column_block < vocab_ ? last * column_block : vocab_;
      multiply_(hidden_rows_.data(), depth_, 1, weight_ + from * weight_row_, weight_column_, weight_row_,
                scores_.data() + from, vocab_, false, rows, to - from, depth_, scratch_lease<packing>()->panels);
    });
  }

  template <class E, class Visit>
  void statistics(E& executor, index begin, index end, const term_plan& plan, evaluation_buffers& buffers,
                  const Visit& visit) {
    multiply_scores(executor, begin, end);
    statistics_.resize(static_cast<std::size_t>(end - begin));
    const chunk_view chunk(*this, begin, end);
    executor.for_each_chunk(end - begin, [&](index first, index last) {
      const scratch_lease<typename row_head<A>::scratch> work;
      for (index k = first; k < last; ++k) {
        const index row = row_at(begin + k);
        chunk.head.statistics(k, k + 1, nullptr, statistics_.data(), *work);
        buffers.statistics[static_cast<std::size_t>(row)] = statistics_[static_cast<std::size_t>(k)];
        plan.for_each_term(
            row, [&](index i) { buffers.scores[static_cast<std::size_t>(i)] = chunk.head.score(k, plan.target(i)); });
        visit_row_of(visit, row, row_reader{[&](index id) { return chunk.head.log_z_without(k, id); }, true});
      }
    });
  }

  template <class E>
  void gradient(E& executor, index begin, index end, const term_plan& plan, evaluation_buffers& buffers) {
    const auto targets = plan.target_adjoints();
    statistics_.clear();
    adjoints_.clear();
    for (index k = begin; k < end; ++k) {
      statistics_.push_back(buffers.statistics[static_cast<std::size_t>(row_at(k))]);
      adjoints_.push_back(buffers.adjoints[static_cast<std::size_t>(row_at(k))]);
    }
    const chunk_view chunk(*this, begin, end);
    executor.for_each_chunk(end - begin, [&](index first, index last) {
      const scratch_lease<typename row_head<A>::scratch> work;
      for (index k = first; k < last; ++k) {
        const index row = row_at(begin + k);
        const auto of_row = [&](index, auto&& f) { targets(row, f); };
        const gradient_request<A, decltype(of_row)> request{nullptr, statistics_.data(), adjoints_.data(),
                                                            of_row,  chunk.view,         false};
        chunk.head.gradient(k, k + 1, request, *work);
      }
    });
    // Rows with no derivative leave here: their products are exactly zero.
    index kept = 0;
    kept_.clear();
    for (index k = begin; k < end; ++k) {
      const index row = row_at(k);
      bool is_silent = buffers.adjoints[static_cast<std::size_t>(row)].is_zero();
      targets(row, [&](const score_adjoint& target) { is_silent &= target.value == 0; });
      if (is_silent) continue;
      if (kept != k - begin) {
        for (index j = 0; j < vocab_; ++j) score_at(kept, j) = score_at(k - begin, j);
        for (index d = 0; d < depth_; ++d) hidden_at(kept, d) = hidden_at(k - begin, d);
      }
      kept_.push_back(row);
      ++kept;
    }
    // d_hidden = d_scores weight
    d_hidden_rows_.resize(static_cast<std::size_t>(kept * depth_));
    executor.for_each_chunk((kept + row_share - 1) / row_share, [&](index first, index last) {
      const index from = first * row_share, to = last * row_share < kept ? last * row_share : kept;
      multiply_(scores_.data() + from * vocab_, vocab_, 1, weight_, weight_row_, weight_column_,
                d_hidden_rows_.data() + from * depth_, depth_, false, to - from, depth_, vocab_,
                scratch_lease<packing>()->panels);
    });
    for (index k = 0; k < kept; ++k)
      for (index d = 0; d < depth_; ++d)
        d_hidden_(kept_[static_cast<std::size_t>(k)], d) = T(d_hidden_rows_[static_cast<std::size_t>(k * depth_ + d)]);
    // d_weight += d_scores^T hidden
    executor.for_each_chunk((vocab_ + column_block - 1) / column_block, [&](index first, index last) {
      const index from = first * column_block, to = last * column_block < vocab_ ? last * column_block : vocab_;
      multiply_(scores_.data() + from, 1, vocab_, hidden_rows_.data(), depth_, 1, d_weight_sum() + from * depth_,
                depth_, has_d_weight_, to - from, depth_, kept, scratch_lease<packing>()->panels);
    });
    has_d_weight_ = true;
  }

  static constexpr index row_share = 48;

  void start_gradient() {
    for (index row = 0; row < hidden_.rows(); ++row)
      for (index d = 0; d < depth_; ++d) d_hidden_(row, d) = T(A(0));
    is_direct_ =
        std::is_same_v<T, A> && d_weight_.batch == 1 && d_weight_.vocab_stride == 1 && d_weight_.token_stride == depth_;
    if (!is_direct_) d_weight_copy_.resize(static_cast<std::size_t>(vocab_ * depth_));
    has_d_weight_ = false;
  }
  void finish_gradient() {
    // No row was active.
    if (!has_d_weight_)
      for (index i = 0; i < vocab_ * depth_; ++i) d_weight_sum()[i] = 0;
    if (is_direct_) return;
    for (index j = 0; j < vocab_; ++j)
      for (index d = 0; d < depth_; ++d) d_weight_(j, d) = T(d_weight_copy_[static_cast<std::size_t>(j * depth_ + d)]);
  }
  A* d_weight_sum() { return is_direct_ ? reinterpret_cast<A*>(d_weight_.data) : d_weight_copy_.data(); }

  A& score_at(index k, index j) { return scores_[static_cast<std::size_t>(k * vocab_ + j)]; }
  A& hidden_at(index k, index d) { return hidden_rows_[static_cast<std::size_t>(k * depth_ + d)]; }

  /// What a chunk's rows ask for: temperatures and kept sets follow their rows.
  struct chunk_options {
    chunk_options(const linear_source& source, index begin, index end) : transform(source.options_.transform) {
      if (transform.temperatures.is_given()) {
        for (index k = begin; k < end; ++k)
          temperatures.push_back(source.options_.transform.temperatures[source.row_at(k)]);
        transform.temperatures = column(temperatures);
      }
      const kept_ids& all = source.options_.kept;
      if (!all.offsets.is_given()) return;
      offsets.push_back(0);
      for (index k = begin; k < end; ++k) {
        const index row = source.row_at(k);
        for (index l = all.offsets[row]; l < all.offsets[row + 1]; ++l) ids.push_back(all.ids[l]);
        offsets.push_back(static_cast<index>(ids.size()));
      }
      kept = {offsets, ids};
    }
    score_transform transform;
    std::vector<double> temperatures;
    std::vector<index> offsets, ids;
    kept_ids kept;
  };

  /// The head over a chunk's scores.
  struct chunk_view : chunk_options {
    chunk_view(linear_source& source, index begin, index end)
        : chunk_options(source, begin, end),
          view{source.scores_.data(), end - begin, source.vocab_, source.vocab_, 1},
          head(view, {this->transform, this->kept, source.options_.instructions, source.options_.with_extras}) {}
    score_view<A> view;
    row_head<A> head;
  };

  /// The panels that a product packs on one thread.
  struct packing {
    std::vector<A> panels;
  };

  score_view<const T> hidden_;
  score_view<T> d_hidden_, d_weight_;
  head_options options_;
  multiply_add_kernel<A> multiply_;
  index depth_, vocab_;
  const A* weight_ = nullptr;
  index weight_row_ = 0, weight_column_ = 0;
  bool is_direct_ = false;     // whether the weight's gradient is summed where it is wanted
  bool has_d_weight_ = false;  // whether a chunk has written to that sum
  std::vector<index> active_, kept_;
  std::vector<row_statistics> statistics_;
  std::vector<row_adjoint> adjoints_;
  std::vector<A, aligned_allocator<A>> scores_;
  std::vector<A> hidden_rows_, d_hidden_rows_, weight_copy_, d_weight_copy_;
};

}  // namespace emend::detail
