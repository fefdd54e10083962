#include <emend/core/random.hpp>
#include <emend/simd/row_powers.hpp>

#include "instruction_sets.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

using namespace emend;

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
      {
        const pinned_instruction_set pinned(instruction_set::avx2);
        detail::row_powers(x.data(), n, largest, 1.442695f, power.data(), sum.data());
      }
      {
        const pinned_instruction_set pinned(instruction_set::avx512);
        detail::row_powers(x.data(), n, largest, 1.442695f, wide_power.data(), wide_sum.data());
      }
      CHECK(std::memcmp(power.data(), wide_power.data(), size * sizeof(float)) == 0);
      CHECK(std::memcmp(sum.data(), wide_sum.data(), blocks * sizeof(double)) == 0);
    }
}

TEST_CASE_TEMPLATE("powers of every set are those of the slow reference", A, float, double) {
  const counter_random random{4};
  const double tolerance = sizeof(A) == 4 ? 2e-7 : 1e-15;
  for (const instruction_set set : supported_instruction_sets()) {
    const pinned_instruction_set pinned(set);
    for (const emend::index n : {1, 7, 8, 63, 64, 65, 200}) {
      const auto size = static_cast<std::size_t>(n), blocks = static_cast<std::size_t>(detail::score_blocks(n));
      std::vector<A> x(size), power(size);
      std::vector<double> sum(blocks), expected(blocks);
      for (std::size_t i = 0; i < size; ++i)
        x[i] = static_cast<A>(i % 37 == 5 ? -std::numeric_limits<double>::infinity() : 9 * random.uniform(1, i));
      const A largest = *std::max_element(x.begin(), x.end()), multiplier = A(0.75);
      detail::row_powers(x.data(), n, largest, multiplier, power.data(), sum.data());
      for (std::size_t i = 0; i < size; ++i) {
        // The exponent is rounded as the kernels round it.
        const double wanted = std::exp2(static_cast<double>((x[i] - largest) * multiplier));
        CHECK(std::abs(static_cast<double>(power[i]) - wanted) <= tolerance * wanted);
        expected[i / static_cast<std::size_t>(detail::score_block)] += static_cast<double>(power[i]);
      }
      for (std::size_t b = 0; b < blocks; ++b) CHECK(std::abs(sum[b] - expected[b]) <= 1e-5 * expected[b]);
    }
  }
}
