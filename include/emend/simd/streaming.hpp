#pragma once

#include <cstddef>
#include <cstdint>

namespace emend::simd {

/// A copy to memory that is not read soon.
inline void copy_past_cache(char* to, const char* from, std::size_t bytes) {
#if defined(__x86_64__)
  constexpr std::size_t line = 64;
  const std::size_t misaligned = reinterpret_cast<std::uintptr_t>(to) % line,
                    head = misaligned == 0 ? 0 : line - misaligned;
  if (bytes > head + line) {
    __builtin_memcpy(to, from, head);
    std::size_t i = head;
    for (; i + line <= bytes; i += line)
      asm volatile(
          "movups (%1), %%xmm0\n\tmovups 16(%1), %%xmm1\n\tmovups 32(%1), %%xmm2\n\tmovups 48(%1), %%xmm3\n\t"
          "movntps %%xmm0, (%0)\n\tmovntps %%xmm1, 16(%0)\n\tmovntps %%xmm2, 32(%0)\n\tmovntps %%xmm3, 48(%0)"
          :
          : "r"(to + i), "r"(from + i)
          : "memory", "xmm0", "xmm1", "xmm2", "xmm3");
    __builtin_memcpy(to + i, from + i, bytes - i);
    return;
  }
#endif
  __builtin_memcpy(to, from, bytes);
}

/// After stores past the cache: orders them with the stores that follow, which nothing else does.
inline void finish_streaming() {
#if defined(__x86_64__)
  __builtin_ia32_sfence();
#endif
}

}  // namespace emend::simd
