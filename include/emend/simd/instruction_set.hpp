#pragma once

#include <emend/base/errors.hpp>

#include <atomic>
#include <cstdlib>
#include <string>

namespace emend {

/// Instructions that the library's loops are compiled for. On one kind of processor each set has the ones before it;
/// `best` stands for the most capable one that may be used.
///   portable  what every processor of the target has
///   neon      Advanced SIMD of 64-bit Arm
///   avx2      AVX2, FMA and F16C
///   avx512    the above and AVX-512 F, DQ, BW, VL
enum class instruction_set { best, portable, neon, avx2, avx512 };

/// Whether this processor has the instructions. `best` and `portable` are always supported.
inline bool is_supported(instruction_set set) {
#if defined(__x86_64__)
  // Every processor with AVX2 has F16C, which not every compiler can ask for.
  static const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  static const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                                 __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  if (set == instruction_set::avx512) return has_avx512;
  if (set == instruction_set::avx2) return has_avx2;
#elif defined(__aarch64__)
  if (set == instruction_set::neon) return true;
#endif
  return set == instruction_set::best || set == instruction_set::portable;
}

namespace detail {

/// The set of the process, never `best`; below 0 until somebody asks.
inline constinit std::atomic<int> chosen_instruction_set{-1};

inline instruction_set best_supported() {
  for (const instruction_set set : {instruction_set::avx512, instruction_set::avx2, instruction_set::neon})
    if (is_supported(set)) return set;
  return instruction_set::portable;
}

/// `wanted` itself, for `best` the most capable one. argument: what an error names.
inline instruction_set require_supported(const char* argument, const char* name, instruction_set wanted) {
  if (!is_supported(wanted)) fail(argument, "an instruction set that this processor has", name);
  return wanted == instruction_set::best ? best_supported() : wanted;
}

inline const char* name_of(instruction_set set) {
  switch (set) {
    case instruction_set::best:
      return "best";
    case instruction_set::portable:
      return "portable";
    case instruction_set::neon:
      return "neon";
    case instruction_set::avx2:
      return "avx2";
    default:
      return "avx512";
  }
}

/// The choice of the environment, made once: apart from the loops that ask for it.
[[gnu::cold, gnu::noinline]] inline instruction_set choose_from_environment() {
  constexpr const char* variable = "EMEND_INSTRUCTION_SET";
  instruction_set set = instruction_set::best;
  if (const char* const text = std::getenv(variable); text != nullptr && *text != 0) {
    const std::string name = text;
    bool is_known = false;
    for (const instruction_set known : {instruction_set::best, instruction_set::portable, instruction_set::neon,
                                        instruction_set::avx2, instruction_set::avx512})
      if (name == name_of(known)) set = known, is_known = true;
    if (!is_known) fail(variable, "best, portable, neon, avx2 or avx512", name);
  }
  int none = -1;
  const instruction_set chosen = require_supported(variable, name_of(set), set);
  // If somebody was faster, their choice holds.
  return chosen_instruction_set.compare_exchange_strong(none, static_cast<int>(chosen)) ? chosen
                                                                                        : instruction_set(none);
}

}  // namespace detail

/// The instruction set that every loop of this process uses, never `best`. Until `set_instruction_set` is called it is
/// what the environment variable EMEND_INSTRUCTION_SET names (best, portable, neon, avx2 or avx512), and without it the
/// most capable one that the processor has. Throws std::invalid_argument if the variable names no set, or one that this
/// processor lacks.
inline instruction_set active_instruction_set() {
  const int set = detail::chosen_instruction_set.load(std::memory_order_relaxed);
  return set >= 0 ? instruction_set(set) : detail::choose_from_environment();
}

/// Pins the instruction set of the whole process: heads, sampling, advantages, whitening, moments, columns and edit
/// distances alike. A run on another processor with the same set pinned has the same bits. No option of a call goes
/// beyond it. `best`: the most capable set that the processor has.
/// Throws std::invalid_argument if the processor lacks the set; the choice is then as it was. Calls that run on other
/// threads at the same time may use either set, each of them one for each of its loops.
inline void set_instruction_set(instruction_set set) {
  detail::chosen_instruction_set.store(
      static_cast<int>(detail::require_supported("set_instruction_set", detail::name_of(set), set)));
}

}  // namespace emend

namespace emend::detail {

inline bool uses_avx2() { return active_instruction_set() >= instruction_set::avx2; }
inline bool uses_avx512() { return active_instruction_set() >= instruction_set::avx512; }

/// The set of one call: the wanted one, but none beyond the set of the process, and none that the processor lacks.
inline instruction_set supported(instruction_set wanted) {
  const instruction_set active = active_instruction_set();
  return wanted == instruction_set::best || wanted > active || !is_supported(wanted) ? active : wanted;
}

/// What belongs to the set of one call, of one thing for each set.
template <class X>
X of_set(instruction_set wanted, X portable, X neon, X avx2, X avx512) {
  switch (supported(wanted)) {
    case instruction_set::avx512:
      return avx512;
    case instruction_set::avx2:
      return avx2;
    case instruction_set::neon:
      return neon;
    default:
      return portable;
  }
}

}  // namespace emend::detail
