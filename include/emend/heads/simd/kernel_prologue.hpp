#pragma once

#include <emend/core/storage.hpp>
#include <emend/heads/divergence_sums.hpp>
#include <emend/heads/row_sums.hpp>

#include <array>
#include <cstdint>
#include <type_traits>
#include <vector>

namespace emend::detail {

/// Scores in one block of the row kernels whose powers are kept: small enough for the first-level cache, a multiple of
/// every register group. Blocks whose sums alone are taken: `summed_block`.
inline constexpr index row_block = 2048;

/// Most rows that a column kernel takes side by side, and the columns that it takes at a time.
inline constexpr index row_tile = 64;
inline constexpr index column_group = 16;

}  // namespace emend::detail
