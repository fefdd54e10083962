#pragma once

#include <emend/core/backend.hpp>
#include <emend/core/executor.hpp>
#include <emend/evaluation/linear_source.hpp>
#include <emend/evaluation/terms.hpp>
#include <emend/heads/head_scores.hpp>
#include <emend/simd/streaming.hpp>

namespace emend {

/// Anything that `statistics` and `evaluate` take: scores in memory, or a head that computes them.
template <class X>
concept scores = host_scores<X> || head_scores<X> || detail::is_linear_scores<std::remove_cvref_t<X>>;

/// Something that the gradient of X can be written to: what `like` returns, or any block of scores in memory.
template <class G, class X>
concept gradient_target = std::same_as<G, gradient_type<X>> || detail::is_linear_scores<X> ||
                          (host_scores<X> && requires(G& g) { backend<G>::visit(g, detail::mutable_view_probe{}); });

}  // namespace emend

namespace emend::detail {

// A source runs the passes over the rows of one kind of scores:
//   forward(executor, plan, buffers, visit)     statistics of every active row, then visit(row) once, or
//                                               visit(row, reader), a row_reader, while its scores are at hand
//   backward(executor, plan, buffers)           the whole gradient from buffers.adjoints and score_adjoints
//   fused(executor, plan, buffers, visit)       both, row by row where the row can stay in cache
//   fused_late(executor, plan, buffers, note, visit, finish)   both, note(row, reader) before visit(row), for
//   losses whose row adjoints follow from the row's own statistics
//                                               and single scores of any row, but whose score_adjoints need every row:
//                                               these are written by finish(), once all rows have been visited
// visit(row) may read buffers.statistics[row] and the scores of the row's terms, and writes the row's adjoints; in
// fused_late it may read the scores of all terms.

template <class T>
score_view<std::remove_const_t<T>> no_gradient() {
  return {};
}

/// Throws if `out` shares memory with `in` without being the same block.
template <class T>
bool check_overlap(score_view<const T> in, score_view<T> out) {
  const auto extent = [](auto v, std::uintptr_t& low, std::uintptr_t& high) {
    low = high = reinterpret_cast<std::uintptr_t>(v.data);
    const index steps[3] = {(v.tokens - 1) * v.token_stride, (v.vocab - 1) * v.vocab_stride,
                            (v.batch - 1) * v.batch_stride};
    for (index step : steps) {
      const index bytes = step * static_cast<index>(sizeof(T));
      if (bytes < 0)
        low -= static_cast<std::uintptr_t>(-bytes);
      else
        high += static_cast<std::uintptr_t>(bytes);
    }
    high += sizeof(T);
  };
  if (in.rows() == 0 || in.vocab == 0) return false;
  std::uintptr_t in_low, in_high, out_low, out_high;
  extent(in, in_low, in_high);
  extent(out, out_low, out_high);
  if (in_high <= out_low || out_high <= in_low) return false;
  const bool is_same = in.data == out.data && in.token_stride == out.token_stride &&
                       in.vocab_stride == out.vocab_stride && in.batch_stride == out.batch_stride;
  if (!is_same) fail("gradient", "memory apart from the scores, or exactly theirs", "an overlapping block");
  return true;
}

inline void check_shape(const char* argument, index rows, index vocab, index expected_rows, index expected_vocab) {
  // Appended, not inserted in front: GCC 12 warns of the latter where there is nothing to warn of (GCC bug 105651).
  const auto text = [](index r, index v) { return std::to_string(r).append(" x ").append(std::to_string(v)); };
  if (rows != expected_rows || vocab != expected_vocab)
    fail(argument, "shape " + text(expected_rows, expected_vocab), text(rows, vocab));
}

/// Scores in memory.
template <class T>
class host_source {
 public:
  host_source(score_view<const T> scores, score_view<T> gradient, const evaluation_options& options, bool with_extras)
      : head_(scores, options.transform, options.kept, options.instructions, with_extras ? every_feature : 0),
        gradient_(gradient) {
    constexpr index cached_bytes = index{8} << 20;
    is_streaming_ = gradient.data != nullptr && gradient.data != scores.data &&
                    scores.rows() * scores.vocab * static_cast<index>(sizeof(T)) > cached_bytes;
  }

  template <class E, class Visit>
  void forward(E& executor, const term_plan& plan, evaluation_buffers& buffers, const Visit& visit) const {
    executor.for_each_chunk(plan.rows(), [&](index begin, index end) {
      const scratch_lease<typename row_head<T>::scratch> work;
      for_each_tile(begin, end, head_.statistics_tile(),
                    [&](index first, index last) { statistics(first, last, plan, buffers, visit, nullptr, *work); });
    });
  }

  template <class E>
  void backward(E& executor, const term_plan& plan, evaluation_buffers& buffers) const {
    executor.for_each_chunk(plan.rows(), [&](index begin, index end) {
      const scratch_lease<typename row_head<T>::scratch> work;
      for_each_tile(begin, end, head_.tile(),
                    [&](index first, index last) { gradient(first, last, plan, buffers, nullptr, *work); });
      finish_stores();
    });
  }

  template <class E, class Visit>
  void fused(E& executor, const term_plan& plan, evaluation_buffers& buffers, const Visit& visit) const {
    executor.for_each_chunk(plan.rows(), [&](index begin, index end) {
      const scratch_lease<typename row_head<T>::scratch> work;
      typename row_head<T>::fused_pass pass;
      for_each_tile(begin, end, head_.gradient_tile(), [&](index first, index last) {
        statistics(first, last, plan, buffers, visit, &pass, *work);
        gradient(first, last, plan, buffers, &pass, *work);
      });
      head_.flush(pass);
      finish_stores();
    });
  }

  template <class E, class Note, class Visit, class Finish>
  void fused_late(E& executor, const term_plan& plan, evaluation_buffers& buffers, const Note& note, const Visit& visit,
                  const Finish& finish) const {
    // All scores first: in place, a row's are gone once it has been visited.
    executor.for_each_chunk(plan.terms(), [&](index begin, index end) {
      for (index i = begin; i < end; ++i)
        if (plan.is_evaluated(i))
          buffers.scores[static_cast<std::size_t>(i)] = head_.score(plan.row_of(i), plan.target(i));
    });
    executor.for_each_chunk(plan.rows(), [&](index begin, index end) {
      const scratch_lease<typename row_head<T>::scratch> work;
      typename row_head<T>::fused_pass pass;
      for_each_tile(begin, end, head_.gradient_tile(), [&](index first, index last) {
        head_.statistics(first, last, plan.active_rows(), buffers.statistics.data(), *work, &pass);
        for (index row = first; row < last; ++row) {
          if (!plan.active_rows()[row]) continue;
          note(row, reader_of(row));
          visit(row);
        }
        head_.gradient(
            first, last, plan.active_rows(), buffers.statistics.data(), buffers.adjoints.data(), [](index, auto&&) {},
            gradient_, is_streaming_, *work, &pass);
      });
      head_.flush(pass);
      finish_stores();
    });
    finish();
    executor.for_each_chunk(plan.rows(), [&](index begin, index end) {
      const scratch_lease<std::vector<late_target>> work;
      for (index row = begin; row < end; ++row) write_late(row, plan, buffers, *work);
    });
  }

 private:
  /// One target of a row, from its score before the row was overwritten.
  struct late_target {
    index id;
    double z, value;
  };

  void write_late(index row, const term_plan& plan, const evaluation_buffers& buffers,
                  std::vector<late_target>& targets) const {
    targets.clear();
    plan.for_each_term(row, [&](index i) {
      const double value = buffers.score_adjoints[static_cast<std::size_t>(i)],
                   z = buffers.scores[static_cast<std::size_t>(i)];
      if (value == 0 || z == -infinity) return;  // outside the support: a constant
      for (late_target& target : targets)
        if (target.id == plan.target(i)) {
          target.value += value;
          return;
        }
      targets.push_back({plan.target(i), z, value});
    });
    for (const late_target& target : targets)
      gradient_(row, target.id) = T(static_cast<arithmetic<T>>(
          head_.entry(row, target.id, target.z, buffers.statistics[static_cast<std::size_t>(row)],
                      buffers.adjoints[static_cast<std::size_t>(row)], target.value)));
  }

  template <class F>
  static void for_each_tile(index begin, index end, index tile, F&& f) {
    for (index first = begin; first < end; first += tile) f(first, end - first < tile ? end : first + tile);
  }

  template <class Visit>
  void statistics(index begin, index end, const term_plan& plan, evaluation_buffers& buffers, const Visit& visit,
                  typename row_head<T>::fused_pass* pass, typename row_head<T>::scratch& work) const {
    head_.statistics(begin, end, plan.active_rows(), buffers.statistics.data(), work, pass);
    for (index row = begin; row < end; ++row) {
      if (!plan.active_rows()[row]) continue;
      plan.for_each_term(
          row, [&](index i) { buffers.scores[static_cast<std::size_t>(i)] = head_.score(row, plan.target(i)); });
      visit_row_of(visit, row, reader_of(row));
    }
  }
  auto reader_of(index row) const {
    return row_reader{[this, row](index id) { return head_.log_z_without(row, id); }, true};
  }

  void gradient(index begin, index end, const term_plan& plan, evaluation_buffers& buffers,
                typename row_head<T>::fused_pass* pass, typename row_head<T>::scratch& work) const {
    head_.gradient(begin, end, plan.active_rows(), buffers.statistics.data(), buffers.adjoints.data(),
                   plan.target_adjoints(), gradient_, is_streaming_, work, pass);
  }

  void finish_stores() const {
    if (is_streaming_) simd::finish_streaming();
  }

  row_head<T> head_;
  score_view<T> gradient_;
  bool is_streaming_;
};

/// Scores behind a `head_scores` backend.
template <class X, class G>
class remote_source {
 public:
  remote_source(const X& x, G* gradient, const evaluation_options& options, id_column targets, bool with_extras)
      : x_(x), gradient_(gradient), options_(options), targets_(targets), with_extras_(with_extras) {}

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
    return {ids_, rows_, plan.active_rows(), options_.transform, options_.kept, with_extras_};
  }

  const X& x_;
  G* gradient_;
  const evaluation_options& options_;
  id_column targets_;
  bool with_extras_;
  std::vector<index> rows_, ids_;
};

/// f(source, rows, vocab) with the source of x; `gradient` is null where only values are wanted.
template <class X, class G, class F>
void with_source(const X& x, G* gradient, id_column targets, const evaluation_options& options, bool with_extras,
                 F&& f) {
  if constexpr (is_linear_scores<X>) {
    linear_views(x, gradient, [&](auto hidden, auto weight, auto d_hidden, auto d_weight) {
      linear_source source(hidden, weight, d_hidden, d_weight, options, with_extras);
      f(source, hidden.rows(), weight.rows());
    });
  } else if constexpr (host_scores<X>) {
    visit_scores("scores", x, [&]<class T>(score_view<const T> view) {
      if (!gradient) {
        host_source<T> source(view, no_gradient<T>(), options, with_extras);
        f(source, view.rows(), view.vocab);
        return;
      }
      visit_gradient("gradient", *gradient, [&]<class U>(score_view<U> out) {
        if constexpr (std::is_same_v<U, T>) {
          check_shape("gradient", out.rows(), out.vocab, view.rows(), view.vocab);
          check_overlap<T>(view, out);
          host_source<T> source(view, out, options, with_extras);
          f(source, view.rows(), view.vocab);
        } else {
          fail("gradient", "the storage type of the scores", "another one");
        }
      });
    });
  } else {
    const head_shape shape = backend<X>::shape(x);
    remote_source<X, G> source(x, gradient, options, targets, with_extras);
    f(source, shape.rows, shape.vocab);
  }
}

}  // namespace emend::detail
