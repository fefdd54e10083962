#pragma once

#include <cstddef>
#include <cstdint>

namespace emend {

/// Signed type of every count, position, stride and token id of the library.
using index = std::ptrdiff_t;

}  // namespace emend
