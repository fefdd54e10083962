#pragma once

#include <emend/core/aligned_allocator.hpp>
#include <emend/core/backend.hpp>
#include <emend/core/errors.hpp>

#include <vector>

namespace emend {

/// A plain row-major block of scores, [rows, columns] or [batch, tokens, vocab]: enough to begin without any tensor
/// library.
///
/// Element (i, j) is row i, column j; a block of shape [batch, tokens, vocab] has batch * tokens rows. New elements are
/// zero. Throws std::invalid_argument on a negative extent, or if `values` has not rows * columns entries.
template <score_type T>
class matrix {
 public:
  matrix() = default;
  matrix(index rows, index columns) : rows_(rows), columns_(columns) {
    if (rows < 0 || columns < 0)
      detail::fail("matrix extents", "numbers not below 0", std::to_string(rows) + " x " + std::to_string(columns));
    data_.resize(static_cast<std::size_t>(rows * columns));
  }
  matrix(index batch, index tokens, index vocab) : matrix(batch * tokens, vocab) {}
  matrix(index rows, index columns, const std::vector<T>& values) : matrix(rows, columns) {
    detail::require_length("matrix values", static_cast<index>(values.size()), rows * columns);
    for (std::size_t i = 0; i < values.size(); ++i) data_[i] = values[i];
  }

  index rows() const { return rows_; }
  index columns() const { return columns_; }
  T* data() { return data_.data(); }
  const T* data() const { return data_.data(); }
  T& operator()(index i, index j) { return data_[static_cast<std::size_t>(i * columns_ + j)]; }
  const T& operator()(index i, index j) const { return data_[static_cast<std::size_t>(i * columns_ + j)]; }
  T* row(index i) { return data() + i * columns_; }
  const T* row(index i) const { return data() + i * columns_; }

 private:
  index rows_ = 0, columns_ = 0;
  std::vector<T, aligned_allocator<T>> data_;
};

template <score_type T>
struct backend<matrix<T>> {
  static matrix<T> like(const matrix<T>& x) { return matrix<T>(x.rows(), x.columns()); }
  template <class F>
  static void visit(const matrix<T>& x, F&& f) {
    f(score_view<const T>{x.data(), x.rows(), x.columns(), x.columns(), 1});
  }
  template <class F>
  static void visit(matrix<T>& x, F&& f) {
    f(score_view<T>{x.data(), x.rows(), x.columns(), x.columns(), 1});
  }
};

template <class T>
  requires score_type<std::remove_const_t<T>>
matrix<std::remove_const_t<T>> backend<score_view<T>>::like(const score_view<T>& x) {
  return matrix<storage>(x.rows(), x.vocab);
}

static_assert(host_scores<matrix<float>> && host_scores<score_view<const double>> && host_scores<score_view<bfloat16>>);

}  // namespace emend
