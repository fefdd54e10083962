#include "probes.hpp"

#include <cstring>

namespace bench {

#if defined(__x86_64__)

namespace {

typedef float register_type __attribute__((vector_size(32)));

__attribute__((target("avx"))) void read_wide(const char* data, std::size_t bytes) {
  for (std::size_t i = 0; i + 128 <= bytes; i += 128)
    asm volatile(
        "vmovups (%0), %%ymm0\n vmovups 32(%0), %%ymm1\n vmovups 64(%0), %%ymm2\n vmovups 96(%0), %%ymm3"
        :
        : "r"(data + i)
        : "xmm0", "xmm1", "xmm2", "xmm3", "memory");
}

__attribute__((target("avx"))) void copy_past_cache(char* to, const char* from, std::size_t bytes) {
  for (std::size_t i = 0; i + 64 <= bytes; i += 64)
    asm volatile(
        "vmovups (%1), %%ymm0\n vmovups 32(%1), %%ymm1\n vmovntps %%ymm0, (%0)\n vmovntps %%ymm1, 32(%0)"
        :
        : "r"(to + i), "r"(from + i)
        : "xmm0", "xmm1", "memory");
  asm volatile("sfence" ::: "memory");
}

}  // namespace

void read_probe(const void* data, std::size_t bytes) {
  if (__builtin_cpu_supports("avx")) return read_wide(static_cast<const char*>(data), bytes);
  volatile char sink = 0;
  for (std::size_t i = 0; i < bytes; i += 16) sink = static_cast<const char*>(data)[i];
  static_cast<void>(sink);
}

void copy_probe(void* to, const void* from, std::size_t bytes) {
  if (__builtin_cpu_supports("avx") && reinterpret_cast<std::uintptr_t>(to) % 32 == 0)
    return copy_past_cache(static_cast<char*>(to), static_cast<const char*>(from), bytes);
  std::memcpy(to, from, bytes);
}

#else

void read_probe(const void* data, std::size_t bytes) {
  std::uint64_t total = 0, word;
  for (std::size_t i = 0; i + 8 <= bytes; i += 8) {
    std::memcpy(&word, static_cast<const char*>(data) + i, 8);
    total ^= word;
  }
  asm volatile("" ::"r"(total));
}

void copy_probe(void* to, const void* from, std::size_t bytes) { std::memcpy(to, from, bytes); }

#endif

}  // namespace bench
