#include "probes.hpp"

#include <cstring>

namespace bench {

#if defined(__x86_64__)

namespace {

typedef float register_type __attribute__((vector_size(32)));

__attribute__((target("avx"))) void read_wide(const char* data, std::size_t bytes) {
  for (std::size_t i = 0; i + 128 <= bytes; i += 128)
    asm volatile("vmovups (%0), %%ymm0\n vmovups 32(%0), %%ymm1\n vmovups 64(%0), %%ymm2\n vmovups 96(%0), %%ymm3"
                 :
                 : "r"(data + i)
                 : "xmm0", "xmm1", "xmm2", "xmm3", "memory");
}

__attribute__((target("avx"))) void copy_past_cache(char* to, const char* from, std::size_t bytes) {
  for (std::size_t i = 0; i + 64 <= bytes; i += 64)
    asm volatile("vmovups (%1), %%ymm0\n vmovups 32(%1), %%ymm1\n vmovntps %%ymm0, (%0)\n vmovntps %%ymm1, 32(%0)"
                 :
                 : "r"(to + i), "r"(from + i)
                 : "xmm0", "xmm1", "memory");
  asm volatile("sfence" ::: "memory");
}

// More sums than a multiply-add takes cycles to be ready; what is multiplied does not matter.
#define EMEND_MULTIPLY_ADD(width, sum) "vfmadd231ps %%" width "mm0, %%" width "mm1, %%" width "mm" #sum "\n"
#define EMEND_TWELVE_SUMS(width) \
  EMEND_MULTIPLY_ADD(width, 2)   \
  EMEND_MULTIPLY_ADD(width, 3)   \
  EMEND_MULTIPLY_ADD(width, 4)   \
  EMEND_MULTIPLY_ADD(width, 5)   \
  EMEND_MULTIPLY_ADD(width, 6)   \
  EMEND_MULTIPLY_ADD(width, 7)   \
  EMEND_MULTIPLY_ADD(width, 8)   \
  EMEND_MULTIPLY_ADD(width, 9)   \
  EMEND_MULTIPLY_ADD(width, 10)  \
  EMEND_MULTIPLY_ADD(width, 11)  \
  EMEND_MULTIPLY_ADD(width, 12)  \
  EMEND_MULTIPLY_ADD(width, 13)
#define EMEND_SUMS_CHANGED \
  "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13"
#define EMEND_ALL_ZERO "vzeroall\n"

constexpr long rounds = 4000000;

__attribute__((target("avx512f"))) void multiply_add_512() {
  asm volatile(EMEND_ALL_ZERO ::: "xmm0", "xmm1", EMEND_SUMS_CHANGED, "xmm14", "xmm15");
  for (long i = 0; i < rounds; ++i) asm volatile(EMEND_TWELVE_SUMS("z")::: EMEND_SUMS_CHANGED);
}
__attribute__((target("avx2,fma"))) void multiply_add_256() {
  asm volatile(EMEND_ALL_ZERO ::: "xmm0", "xmm1", EMEND_SUMS_CHANGED, "xmm14", "xmm15");
  for (long i = 0; i < rounds; ++i) asm volatile(EMEND_TWELVE_SUMS("y")::: EMEND_SUMS_CHANGED);
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

double multiply_add_probe() {
  if (__builtin_cpu_supports("avx512f")) return multiply_add_512(), 12.0 * 16 * rounds;
  if (__builtin_cpu_supports("fma")) return multiply_add_256(), 12.0 * 8 * rounds;
  return 0;
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

double multiply_add_probe() { return 0; }

#endif

}  // namespace bench
