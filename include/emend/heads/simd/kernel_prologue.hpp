#pragma once

#include <emend/core/storage.hpp>
#include <emend/heads/divergence_sums.hpp>
#include <emend/heads/row_sums.hpp>

#include <array>
#include <cstdint>
#include <type_traits>
#include <vector>

namespace emend::detail {

/// Scores in one block of the row kernels: small enough for the first-level cache, a multiple of every register group.
/// The kernels of a row of its own take smaller blocks where registers are short: see `summed_block`.
inline constexpr index row_block = 2048;
/// The fewest scores in a block whose powers are kept, but for the last ones of a row.
inline constexpr index least_saved_block = 512;

/// Most rows that a column kernel takes side by side, and the columns that it takes at a time.
inline constexpr index row_tile = 64;
inline constexpr index column_group = 16;

}  // namespace emend::detail
