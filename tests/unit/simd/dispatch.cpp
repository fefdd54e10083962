#include <emend/simd/dispatch.hpp>
#include <emend/simd/double_lanes.hpp>

#include <doctest/doctest.h>

#include "instruction_sets.hpp"

using namespace emend;

TEST_CASE("fixed lanes: a product and the sum after it are rounded twice on every set, fused lanes may round once") {
  // 1 + 2^-30 squared is 1 + 2^-29 + 2^-60: the last term is lost where the product is rounded.
  volatile double factor = 1 + 0x1p-30, subtrahend = 1 + 0x1p-29;
  for (const instruction_set set : supported_instruction_sets()) {
    const pinned_instruction_set pinned(set);
    const double a = factor, b = -subtrahend;
    double fixed = -1, fused = -1;
    simd::with_fixed_lanes([&]() __attribute__((always_inline)) {
      const detail::double_lanes x{a, a, a, a}, y{b, b, b, b}, z = x * x + y;
      fixed = z[2];
    });
    simd::with_fused_lanes([&]() __attribute__((always_inline)) {
      const detail::double_lanes x{a, a, a, a}, y{b, b, b, b}, z = x * x + y;
      fused = z[2];
    });
    CHECK(fixed == 0);
    CHECK((fused == 0 || fused == 0x1p-60));
    CHECK(simd::with_fixed_lanes([]() __attribute__((always_inline)) { return 7; }) == 7);
  }
}

TEST_CASE("one thing for each set, none beyond the set of the process, and none that the processor lacks") {
  const auto chosen = [](instruction_set wanted) {
    return detail::of_set(wanted, instruction_set::portable, instruction_set::neon, instruction_set::avx2,
                          instruction_set::avx512);
  };
  for (const instruction_set set : supported_instruction_sets()) {
    const pinned_instruction_set pinned(set);
    CHECK(chosen(instruction_set::best) == set);
    for (const instruction_set wanted :
         {instruction_set::portable, instruction_set::neon, instruction_set::avx2, instruction_set::avx512})
      CHECK(chosen(wanted) == (is_supported(wanted) && wanted <= set ? wanted : set));
  }
}
