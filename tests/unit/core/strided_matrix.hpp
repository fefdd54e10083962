#pragma once

#include <emend/base/index.hpp>

/// What Eigen's matrices tell of themselves, without Eigen.
template <class T>
struct strided_matrix {
  T* first;
  emend::index n, m, of_row, of_column;
  T* data() const { return first; }
  emend::index rows() const { return n; }
  emend::index cols() const { return m; }
  emend::index rowStride() const { return of_row; }
  emend::index colStride() const { return of_column; }
  emend::index size() const { return n * m; }
};
