#include <emend/core/matrix.hpp>
#include <emend/evaluation/evaluate.hpp>
#include <emend/heads/kernels/kernels.hpp>
#include <emend/losses/cross_entropy.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "instruction_sets.hpp"

using namespace emend;

#if defined(__aarch64__)

TEST_CASE_TEMPLATE("64-bit Arm takes the kernels of NEON unless another set is pinned", T, float, double, bfloat16,
                   float16) {
  const pinned_instruction_set pinned(instruction_set::best);
  CHECK(active_instruction_set() == instruction_set::neon);
  CHECK(&detail::kernels_for<T>(instruction_set::best) == &detail::neon::row_table<T>);
  CHECK(&detail::divergence_kernels_for<T>(instruction_set::best) == &detail::neon::divergence_table<T>);
  CHECK(&detail::kernels_for<T>(instruction_set::portable) == &detail::portable::row_table<T>);
  CHECK(static_cast<const void*>(&detail::neon::row_table<T>) != &detail::portable::row_table<T>);
}

TEST_CASE("the fused products of NEON show in the last bits of a gradient") {
  const pinned_instruction_set pinned(instruction_set::best);
  const emend::index rows = 16, vocab = 1000;
  matrix<float> x(rows, vocab);
  std::vector<int> targets;
  for (emend::index i = 0; i < rows; ++i) {
    targets.push_back(static_cast<int>(i * 61));
    for (emend::index j = 0; j < vocab; ++j)
      x(i, j) = static_cast<float>(8 * std::sin(0.37 * static_cast<double>(i * vocab + j)));
  }
  const auto gradient_of = [&](instruction_set set) {
    matrix<float> gradient(rows, vocab);
    evaluate_into(cross_entropy{}, x, targets, {.instructions = set}, gradient);
    return gradient;
  };
  const matrix<float> plain = gradient_of(instruction_set::portable), fused = gradient_of(instruction_set::neon);
  emend::index differing = 0;
  for (emend::index i = 0; i < rows; ++i)
    for (emend::index j = 0; j < vocab; ++j) {
      CHECK(fused(i, j) == doctest::Approx(plain(i, j)).epsilon(1e-5));
      differing += fused(i, j) != plain(i, j);
    }
  CHECK(differing > 0);
}

#else

TEST_CASE("elsewhere NEON is not supported, and its kernels are the portable ones") {
  CHECK(!is_supported(instruction_set::neon));
  CHECK(&detail::neon::row_table<float> == &detail::portable::row_table<float>);
}

#endif
