#pragma once

#include <emend/core/instruction_set.hpp>

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
  for (const auto set :
       {emend::instruction_set::portable, emend::instruction_set::avx2, emend::instruction_set::avx512})
    if (emend::is_supported(set)) sets.push_back(set);
  return sets;
}
