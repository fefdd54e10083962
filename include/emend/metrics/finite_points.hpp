#pragma once

#include <emend/base/errors.hpp>
#include <emend/core/matrix.hpp>

#include <string>

namespace emend::detail {

/// Throws std::invalid_argument on a NaN, an infinity, or a number whose square overflows.
inline void require_finite_points(const char* name, const matrix<double>& points) {
  for (index i = 0; i < points.rows(); ++i)
    for (index j = 0; j < points.columns(); ++j)
      if (const double x = points(i, j); !(x < 1e150 && x > -1e150))
        fail(name, "entry (" + std::to_string(i) + ", " + std::to_string(j) + ") finite, within 1e150",
             std::to_string(x));
}

}  // namespace emend::detail
