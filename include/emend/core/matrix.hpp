#pragma once

#include <emend/base/aligned_allocator.hpp>
#include <emend/base/errors.hpp>
#include <emend/core/backend.hpp>
#include <emend/core/strided_numbers.hpp>

#include <concepts>
#include <initializer_list>
#include <span>
#include <vector>

namespace emend {

namespace detail {

/// The product of two extents. Throws std::invalid_argument if one is negative, or the product out of range.
inline index product_of_extents(index a, index b) {
  index product = 0;
  if (a < 0 || b < 0 || __builtin_mul_overflow(a, b, &product))
    fail("matrix extents", "numbers not below 0 whose product is in range",
         std::to_string(a) + " x " + std::to_string(b));
  return product;
}

}  // namespace detail

/// A plain row-major block of scores, [rows, columns] or [batch, tokens, vocab]: enough to begin without any tensor
/// library.
///
/// Element (i, j) is row i, column j; a block of shape [batch, tokens, vocab] has batch * tokens rows. New elements are
/// zero. Throws std::invalid_argument on a negative extent, on extents whose product is out of range, or if `values`
/// has not rows * columns entries.
template <score_type T>
class matrix {
 public:
  matrix() = default;
  matrix(index rows, index columns) : rows_(rows), columns_(columns) {
    data_.resize(static_cast<std::size_t>(detail::product_of_extents(rows, columns)));
  }
  // A template, so that a braced list of one number is a list of values, never the third extent.
  template <std::integral I>
  matrix(index batch, index tokens, I vocab) : matrix(detail::product_of_extents(batch, tokens), index{vocab}) {}
  matrix(index rows, index columns, std::span<const T> values) : matrix(rows, columns) {
    detail::require_length("matrix values", static_cast<index>(values.size()), rows * columns);
    for (std::size_t i = 0; i < values.size(); ++i) data_[i] = values[i];
  }
  matrix(index rows, index columns, const std::vector<T>& values) : matrix(rows, columns, std::span<const T>(values)) {}
  matrix(index rows, index columns, std::initializer_list<T> values)
      : matrix(rows, columns, std::span<const T>(values.begin(), values.size())) {}

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
  /// Read as a column: row by row.
  static strided_numbers<const T> numbers(const matrix<T>& x)
    requires std::floating_point<T>
  {
    return {x.data(), x.rows() * x.columns()};
  }
  static strided_numbers<T> numbers(matrix<T>& x)
    requires std::floating_point<T>
  {
    return {x.data(), x.rows() * x.columns()};
  }
};

template <class T>
  requires score_type<std::remove_const_t<T>>
matrix<std::remove_const_t<T>> backend<score_view<T>>::like(const score_view<T>& x) {
  return matrix<storage>(x.rows(), x.vocab);
}

static_assert(host_scores<matrix<float>> && host_scores<score_view<const double>> && host_scores<score_view<bfloat16>>);

}  // namespace emend
