#pragma once

#include <emend/evaluation/terms.hpp>
#include <emend/heads/row_head.hpp>
#include <emend/simd/streaming.hpp>

namespace emend::detail {

/// Scores in memory.
template <class T>
class host_source {
 public:
  host_source(score_view<const T> scores, score_view<T> gradient, const head_options& options)
      : head_(scores, options), gradient_(gradient) {
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
      for_each_tile(begin, end, head_.tile(), [&](index first, index last) {
        gradient(first, last, plan, buffers, plan.target_adjoints(), nullptr, *work);
      });
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
        gradient(first, last, plan, buffers, plan.target_adjoints(), &pass, *work);
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
        gradient(first, last, plan, buffers, [](index, auto&&) {}, &pass, *work);
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

  template <class Targets>
  void gradient(index begin, index end, const term_plan& plan, evaluation_buffers& buffers, const Targets& targets,
                typename row_head<T>::fused_pass* pass, typename row_head<T>::scratch& work) const {
    const gradient_request<T, Targets> request{
        plan.active_rows(), buffers.statistics.data(), buffers.adjoints.data(), targets, gradient_, is_streaming_};
    head_.gradient(begin, end, request, work, pass);
  }

  void finish_stores() const {
    if (is_streaming_) simd::finish_streaming();
  }

  row_head<T> head_;
  score_view<T> gradient_;
  bool is_streaming_;
};

}  // namespace emend::detail
