#pragma once

// Of every header the first: what is wrong with the flags is said before anything else.
#if __cplusplus < 202002L
#error "emend: C++20 is needed; compile with -std=c++20 or later"
#endif
#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__)
#error "emend: -ffast-math, -Ofast and -ffinite-math-only are refused: NaN would pass every check. Compile without."
#endif

#include <cstddef>
#include <cstdint>

namespace emend {

/// Signed type of every count, position, stride and token id of the library.
using index = std::ptrdiff_t;

}  // namespace emend
