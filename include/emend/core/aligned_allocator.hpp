#pragma once

#include <emend/core/index.hpp>

#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace emend {

/// Allocator of the library's own blocks: on a cache line, and from 4 MB on, on huge pages where the system has them
/// (a stream over 4 KiB pages loses a third to address translation).
template <class T>
struct aligned_allocator {
  using value_type = T;
  aligned_allocator() = default;
  template <class U>
  constexpr aligned_allocator(const aligned_allocator<U>&) {}

  T* allocate(std::size_t count) {
    const std::size_t bytes = count * sizeof(T);
    void* const memory = ::operator new(bytes, alignment(bytes));
#if defined(__linux__)
    if (bytes >= large) ::madvise(memory, bytes, MADV_HUGEPAGE);  // advice: its failure changes nothing
#endif
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, std::size_t count) { ::operator delete(memory, alignment(count * sizeof(T))); }

  friend constexpr bool operator==(const aligned_allocator&, const aligned_allocator&) { return true; }

 private:
  static constexpr std::size_t large = std::size_t{4} << 20;
  static constexpr std::align_val_t alignment(std::size_t bytes) {
    return std::align_val_t{bytes >= large ? std::size_t{2} << 20 : std::size_t{64}};
  }
};

}  // namespace emend
