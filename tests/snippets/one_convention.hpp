#pragma once

// What the conventions of include/emend/README.md are applied to: two responses of two tokens and one.
#include <emend/emend.hpp>

#include <vector>

namespace snippets::one_convention {

using namespace emend;

inline const std::vector<double> reward{0, 1, -1}, value{0.1, 0.2, 0.3}, old_log_prob{-1, -2, -0.5};
inline const std::vector<emend::index> offsets{0, 2, 3};
inline const ragged layout(offsets);

}  // namespace snippets::one_convention
