#pragma once

// Scores and targets for the example of include/emend/GUARANTEES.md.
#undef NDEBUG
#include <emend/core/matrix.hpp>

#include <cassert>
#include <cmath>
#include <vector>

namespace snippets::same_bits {

inline const emend::matrix<float> scores = [] {
  emend::matrix<float> m(50, 300);
  for (emend::index i = 0; i < 50 * 300; ++i) m.data()[i] = std::sin(static_cast<float>(i));
  return m;
}();
inline const std::vector<int> targets(50, 7);

}  // namespace snippets::same_bits
