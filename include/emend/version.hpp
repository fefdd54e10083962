#pragma once

namespace emend {

/// Version of the library; the build reads it from here.
inline constexpr int version_major = 0;
inline constexpr int version_minor = 1;
inline constexpr int version_patch = 0;

}  // namespace emend
