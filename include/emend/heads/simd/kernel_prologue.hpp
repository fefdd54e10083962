#pragma once

#include <emend/core/storage.hpp>
#include <emend/heads/row_sums.hpp>

#include <array>
#include <cstdint>
#include <type_traits>
#include <vector>

namespace emend::detail {

/// Scores in one block of the row kernels: small enough for the first-level cache, a multiple of every register group.
inline constexpr index row_block = 2048;

}  // namespace emend::detail
