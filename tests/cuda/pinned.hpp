#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <new>
#include <vector>

/// Memory of the host that a device reads and writes at the same address, so that one problem can be given to both.
template <class T>
struct pinned_allocator {
  using value_type = T;
  pinned_allocator() = default;
  template <class U>
  pinned_allocator(const pinned_allocator<U>&) {}
  T* allocate(std::size_t n) {
    void* memory = nullptr;
    if (cudaMallocHost(&memory, n * sizeof(T)) != cudaSuccess) throw std::bad_alloc();
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, std::size_t) { cudaFreeHost(memory); }
  template <class U>
  bool operator==(const pinned_allocator<U>&) const {
    return true;
  }
};
template <class T>
using pinned = std::vector<T, pinned_allocator<T>>;

/// Waits for the device; what it says of everything before.
inline cudaError_t finished(cudaError_t launched) {
  return launched != cudaSuccess ? launched : cudaDeviceSynchronize();
}
