#include <emend/simd/instruction_set.hpp>
#include <emend/core/matrix.hpp>
#include <emend/core/moments.hpp>
#include <emend/distillation/divergence.hpp>
#include <emend/evaluation/evaluate.hpp>
#include <emend/losses/cross_entropy.hpp>

#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>

#include "instruction_sets.hpp"
#include "throws.hpp"

using namespace emend;

namespace {

TEST_CASE("the set of the process is never best, and at most what the processor has") {
  CHECK(active_instruction_set() != instruction_set::best);
  CHECK(is_supported(active_instruction_set()));
  CHECK(is_supported(instruction_set::best));
  CHECK(is_supported(instruction_set::portable));
  // Each set has the ones before it.
  CHECK((!is_supported(instruction_set::avx512) || is_supported(instruction_set::avx2)));
}

TEST_CASE("a set that the environment names is the one in use") {
  const char* const name = std::getenv("EMEND_INSTRUCTION_SET");
  if (name == nullptr || std::strcmp(name, "best") == 0) {
    CHECK(active_instruction_set() == detail::best_supported());
  } else {
    CHECK(std::string(name) == detail::name_of(active_instruction_set()));
  }
}

TEST_CASE("a pinned set holds for every dispatch, and no option goes beyond it") {
  for (const instruction_set set : supported_instruction_sets()) {
    const pinned_instruction_set pinned(set);
    CHECK(active_instruction_set() == set);
    CHECK(detail::uses_avx2() == (set == instruction_set::avx2 || set == instruction_set::avx512));
    CHECK(detail::uses_avx512() == (set == instruction_set::avx512));
    for (const instruction_set wanted : {instruction_set::best, instruction_set::portable, instruction_set::neon,
                                         instruction_set::avx2, instruction_set::avx512}) {
      const bool is_lower = wanted != instruction_set::best && wanted < set && is_supported(wanted);
      CHECK(detail::supported(wanted) == (is_lower ? wanted : set));
      CHECK(&detail::kernels_for<float>(wanted) == &detail::kernels_for<float>(is_lower ? wanted : set));
      CHECK(&detail::divergence_kernels_for<float>(wanted) ==
            &detail::divergence_kernels_for<float>(is_lower ? wanted : set));
    }
  }
  set_instruction_set(instruction_set::portable);
  set_instruction_set(instruction_set::best);
  CHECK(active_instruction_set() == detail::best_supported());
  if (const char* const name = std::getenv("EMEND_INSTRUCTION_SET"); name != nullptr && *name != 0)
    for (const instruction_set set : supported_instruction_sets())
      if (std::strcmp(name, detail::name_of(set)) == 0) set_instruction_set(set);
}

TEST_CASE("the kernels of two sets differ") {
  if (!is_supported(instruction_set::avx2)) return;
  const pinned_instruction_set pinned(instruction_set::best);
  CHECK(&detail::kernels_for<float>(instruction_set::portable) != &detail::kernels_for<float>(instruction_set::avx2));
  const bool are_products_apart = detail::multiply_add_for<float>(instruction_set::portable) !=
                                  detail::multiply_add_for<float>(instruction_set::avx2);
  CHECK(are_products_apart);
}

TEST_CASE("a set that the processor lacks is refused, and the choice stays") {
  if (is_supported(instruction_set::avx512)) {
    MESSAGE("skipped: this processor has every set");
    return;
  }
  const instruction_set before = active_instruction_set();
  CHECK_THROWS_NAMING(set_instruction_set(instruction_set::avx512), "set_instruction_set");
  CHECK(active_instruction_set() == before);
}

TEST_CASE("a run with a pinned set has the bits of a call that asks for it") {
  constexpr emend::index rows = 7, vocab = 333;
  matrix<float> x(rows, vocab);
  std::vector<int> targets;
  for (emend::index i = 0; i < rows; ++i) {
    for (emend::index j = 0; j < vocab; ++j) x(i, j) = static_cast<float>((i * 37 + j * 101) % 97) * 0.11f - 4;
    targets.push_back(static_cast<int>(i * 11));
  }
  for (const instruction_set set : supported_instruction_sets()) {
    if (set > active_instruction_set()) continue;
    const auto asked = evaluate(cross_entropy{}, x, targets, {.instructions = set});
    const pinned_instruction_set pinned(set);
    const auto got = evaluate(cross_entropy{}, x, targets);
    CHECK(got.value == asked.value);
    CHECK(std::memcmp(got.gradient.data(), asked.gradient.data(), sizeof(float) * rows * vocab) == 0);
  }
}

}  // namespace
