#pragma once

#include <emend/simd/instruction_set.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

/// Pins the instruction set of the process for a scope.
class pinned_instruction_set {
 public:
  explicit pinned_instruction_set(emend::instruction_set set) : before_(emend::active_instruction_set()) {
    emend::set_instruction_set(set);
  }
  pinned_instruction_set(const pinned_instruction_set&) = delete;
  pinned_instruction_set& operator=(const pinned_instruction_set&) = delete;
  ~pinned_instruction_set() { emend::set_instruction_set(before_); }

 private:
  emend::instruction_set before_;
};

/// Every set that this processor has, by name.
inline std::vector<emend::instruction_set> supported_instruction_sets() {
  std::vector<emend::instruction_set> sets;
  for (const auto set : {emend::instruction_set::portable, emend::instruction_set::neon, emend::instruction_set::avx2,
                         emend::instruction_set::avx512})
    if (emend::is_supported(set)) sets.push_back(set);
  return sets;
}

/// Whether this processor has the set that EMEND_INSTRUCTION_SET names; if not, one line says that the tests are
/// skipped. A name that is no set is left to the tests, which fail.
inline bool is_named_set_supported() {
  const char* const name = std::getenv("EMEND_INSTRUCTION_SET");
  if (name == nullptr) return true;
  for (const auto set : {emend::instruction_set::neon, emend::instruction_set::avx2, emend::instruction_set::avx512})
    if (std::strcmp(name, emend::detail::name_of(set)) == 0 && !emend::is_supported(set)) {
      std::printf("skipped: this processor has no %s\n", name);
      return false;
    }
  return true;
}
