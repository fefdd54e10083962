#pragma once

#include <Eigen/Dense>
#include <vector>

namespace lm {

template <class T>
using row_matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class T>
using matrix_view = Eigen::Map<row_matrix<T>>;
template <class T>
using const_matrix_view = Eigen::Map<const row_matrix<T>>;
template <class T>
using array_view = Eigen::Map<Eigen::Array<T, 1, Eigen::Dynamic>>;
template <class T>
using const_array_view = Eigen::Map<const Eigen::Array<T, 1, Eigen::Dynamic>>;

/// A vector aligned as Eigen aligns: Eigen splits unaligned work in another order, and sums would differ in the last
/// bit from one allocation to the next.
template <class T>
using aligned_vector = std::vector<T, Eigen::aligned_allocator<T>>;

/// A matrix whose memory only grows, so that a buffer reused with changing shapes stops allocating.
/// resize keeps the values only where the memory does not grow and the number of columns is the same.
template <class T>
class buffer {
 public:
  void resize(Eigen::Index rows, Eigen::Index cols) {
    rows_ = rows;
    cols_ = cols;
    if (storage_.size() < rows * cols) storage_.resize(rows * cols + rows * cols / 8);
  }
  /// Like resize, and keeps the values of the rows that there were; cols must stay the same.
  void grow(Eigen::Index rows, Eigen::Index cols) {
    if (storage_.size() < rows * cols) storage_.conservativeResize(2 * rows * cols);
    rows_ = rows;
    cols_ = cols;
  }
  matrix_view<T> view() { return {storage_.data(), rows_, cols_}; }
  const_matrix_view<T> view() const { return {storage_.data(), rows_, cols_}; }
  T* data() { return storage_.data(); }
  const T* data() const { return storage_.data(); }
  T* row(Eigen::Index i) { return storage_.data() + i * cols_; }
  const T* row(Eigen::Index i) const { return storage_.data() + i * cols_; }
  Eigen::Index rows() const { return rows_; }
  Eigen::Index cols() const { return cols_; }

 private:
  Eigen::Array<T, Eigen::Dynamic, 1> storage_;
  Eigen::Index rows_ = 0, cols_ = 0;
};

}  // namespace lm
