#pragma once

#include <emend/base/index.hpp>

#include <cstddef>
#include <cstdint>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace emend {

namespace detail {

/// From so many bytes on a block is worth huge pages.
inline constexpr std::size_t large_block = std::size_t{4} << 20;

/// Asks for huge pages under memory that nobody has touched yet, where the system has them. Advice: its failure changes
/// nothing.
inline void advise_huge_pages([[maybe_unused]] void* memory, [[maybe_unused]] std::size_t bytes) {
#if defined(__linux__)
  if (bytes < large_block) return;
  constexpr std::uintptr_t page = 4096;
  const std::uintptr_t place = reinterpret_cast<std::uintptr_t>(memory), first = (place + page - 1) / page * page;
  ::madvise(reinterpret_cast<void*>(first), place + bytes - first, MADV_HUGEPAGE);
#endif
}

}  // namespace detail

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
    detail::advise_huge_pages(memory, bytes);
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, std::size_t count) { ::operator delete(memory, alignment(count * sizeof(T))); }

  friend constexpr bool operator==(const aligned_allocator&, const aligned_allocator&) { return true; }

 private:
  static constexpr std::align_val_t alignment(std::size_t bytes) {
    return std::align_val_t{bytes >= detail::large_block ? std::size_t{2} << 20 : std::size_t{64}};
  }
};

}  // namespace emend
