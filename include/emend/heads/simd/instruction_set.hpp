#pragma once

namespace emend {

/// Which instructions the row kernels use. `best` is the most capable that the processor has, found once at run time.
/// Asking for one that the processor lacks gives the next lower one. Results differ between sets within rounding.
enum class instruction_set { best, portable, avx2, avx512 };

}  // namespace emend

namespace emend::detail {

inline instruction_set supported(instruction_set wanted) {
#if defined(__x86_64__)
  static const bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                                 __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  static const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (wanted == instruction_set::best) wanted = instruction_set::avx512;
  if (wanted == instruction_set::avx512 && !has_avx512) wanted = instruction_set::avx2;
  if (wanted == instruction_set::avx2 && !has_avx2) wanted = instruction_set::portable;
  return wanted;
#else
  return instruction_set::portable;
#endif
}

}  // namespace emend::detail
