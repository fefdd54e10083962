// Multidimensional spans as columns: std::mdspan, or with EMEND_TEST_CUDA_MDSPAN that of CUDA's core libraries. A
// program of its own, since not every standard library has them.
#include <emend/core/column.hpp>
#include <emend/core/id_column.hpp>

#include <array>
#include <cstdio>
#include <vector>

#if defined(EMEND_TEST_CUDA_MDSPAN)
#include <cuda/std/array>
#include <cuda/std/mdspan>
namespace spans = cuda::std;
#else
#include <mdspan>
namespace spans = std;
#endif

int main() {
  std::vector<double> memory{1, 2, 3, 4, 5, 6};
  int failures = 0;
  const auto check = [&](const char* what, const emend::column& c, const std::vector<double>& expected) {
    std::vector<double> got(static_cast<std::size_t>(c.size()));
    c.read(0, c.size(), got.data());
    if (got == expected) return;
    std::printf("wrong entries: %s\n", what);
    ++failures;
  };
  using extents = spans::dextents<std::size_t, 2>;
  check("layout_right", spans::mdspan<double, extents>(memory.data(), 2, 3), {1, 2, 3, 4, 5, 6});
  check("layout_left", spans::mdspan<double, extents, spans::layout_left>(memory.data(), 2, 3), {1, 3, 5, 2, 4, 6});
  const spans::layout_stride::mapping<extents> mapping(extents(2, 2), spans::array<std::size_t, 2>{3, 2});
  check("layout_stride", spans::mdspan<double, extents, spans::layout_stride>(memory.data(), mapping), {1, 3, 4, 6});
  const int ids[] = {7, 8, 9};
  if (emend::id_column(spans::mdspan<const int, spans::dextents<std::size_t, 1>>(ids, 3))[2] != 9) ++failures;
  std::printf("%s\n", failures == 0 ? "passed" : "FAILED");
  return failures == 0 ? 0 : 1;
}
