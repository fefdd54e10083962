#include <emend/base/aligned_allocator.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

using namespace emend;

TEST_CASE("blocks stand on a cache line, large ones on huge pages, and are given back as they were taken") {
  for (const std::size_t bytes :
       {std::size_t{1}, std::size_t{63}, detail::large_block - 1, detail::large_block, detail::large_block + 1}) {
    aligned_allocator<char> allocator;
    char* const memory = allocator.allocate(bytes);
    const std::size_t unit = bytes >= detail::large_block ? std::size_t{2} << 20 : 64;
    CHECK(reinterpret_cast<std::uintptr_t>(memory) % unit == 0);
    memory[0] = memory[bytes - 1] = 1;
    allocator.deallocate(memory, bytes);
  }
  std::vector<double, aligned_allocator<double>> grown;
  for (int i = 0; i < 1000; ++i) grown.push_back(i);
  CHECK(grown[999] == 999);
  CHECK(aligned_allocator<int>() == aligned_allocator<int>(aligned_allocator<double>()));
}
