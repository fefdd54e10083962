#pragma once

#include <emend/evaluation/device_source.hpp>
#include <emend/evaluation/host_source.hpp>
#include <emend/evaluation/linear_source.hpp>
#include <emend/evaluation/scores.hpp>

namespace emend::detail {

// A source runs the passes over the rows of one kind of scores:
//   forward(executor, plan, buffers, visit)     statistics of every active row, then visit(row) once, or
//                                               visit(row, reader), a row_reader, while its scores are at hand
//   backward(executor, plan, buffers)           the whole gradient from buffers.adjoints and score_adjoints
//   fused(executor, plan, buffers, visit)       both, row by row where the row can stay in cache
//   fused_late(executor, plan, buffers, note, visit, finish)
//                                               both, note(row, reader) before visit(row), for losses whose row
//                                               adjoints follow from the row's own statistics and single scores of any
//                                               row, but whose score_adjoints need every row: these are written by
//                                               finish(), once all rows have been visited
// visit(row) may read buffers.statistics[row] and the scores of the row's terms, and writes the row's adjoints; in
// fused_late it may read the scores of all terms.

template <class T>
score_view<std::remove_const_t<T>> no_gradient() {
  return {};
}

/// Throws std::invalid_argument if `out` shares memory with `in` without being the same block.
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

/// f(source, rows, vocab) with the source of x; `gradient` is null where only values are wanted.
template <class X, class G, class F>
void with_source(const X& x, G* gradient, const head_options& options, F&& f) {
  if constexpr (is_linear_scores<X>) {
    linear_views(x, gradient, [&](auto hidden, auto weight, auto d_hidden, auto d_weight) {
      linear_source source(hidden, weight, d_hidden, d_weight, options);
      f(source, hidden.rows(), weight.rows());
    });
  } else if constexpr (host_scores<X>) {
    visit_scores("scores", x, [&]<class T>(score_view<const T> view) {
      if (!gradient) {
        host_source<T> source(view, no_gradient<T>(), options);
        f(source, view.rows(), view.vocab);
        return;
      }
      visit_gradient("gradient", *gradient, [&]<class U>(score_view<U> out) {
        if constexpr (std::is_same_v<U, T>) {
          check_shape("gradient", out.rows(), out.vocab, view.rows(), view.vocab);
          check_overlap<T>(view, out);
          host_source<T> source(view, out, options);
          f(source, view.rows(), view.vocab);
        } else {
          fail("gradient", "the storage type of the scores", "another one");
        }
      });
    });
  } else {
    const head_shape shape = backend<X>::shape(x);
    device_source<X, G> source(x, gradient, options);
    f(source, shape.rows, shape.vocab);
  }
}

}  // namespace emend::detail
