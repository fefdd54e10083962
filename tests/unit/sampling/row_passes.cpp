#include <emend/core/random.hpp>
#include <emend/sampling/row_passes.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

using namespace emend;

#if defined(__x86_64__)
TEST_CASE("powers by AVX-512 are those by AVX2, bit by bit, and so are their sums") {
  if (!is_supported(instruction_set::avx512)) {
    MESSAGE("skipped: the processor has no AVX-512");
    return;
  }
  const counter_random random{3};
  for (emend::index n = 1; n < 400; ++n)
    for (const double spread : {10.0, 200.0, 1e6}) {
      const auto size = static_cast<std::size_t>(n), blocks = static_cast<std::size_t>(detail::score_blocks(n));
      std::vector<float> x(size), power(size), wide_power(size);
      std::vector<double> sum(blocks), wide_sum(blocks);
      for (std::size_t i = 0; i < size; ++i) {
        x[i] = static_cast<float>((random.uniform(static_cast<std::uint64_t>(n), i) - 0.5) * spread);
        if (i % 37 == 5) x[i] = -std::numeric_limits<float>::infinity();
        if (i % 41 == 6) x[i] = std::numeric_limits<float>::lowest();
      }
      const float largest = *std::max_element(x.begin(), x.end());
      detail::row_powers_fma(x.data(), n, largest, 1.442695f, power.data(), sum.data());
      detail::row_powers_avx512(x.data(), n, largest, 1.442695f, wide_power.data(), wide_sum.data());
      CHECK(std::memcmp(power.data(), wide_power.data(), size * sizeof(float)) == 0);
      CHECK(std::memcmp(sum.data(), wide_sum.data(), blocks * sizeof(double)) == 0);
    }
}
#endif
