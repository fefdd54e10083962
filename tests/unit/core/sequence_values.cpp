// From one number a sequence to one a token, and back.
#include <emend/core/sequence_values.hpp>

#include <doctest/doctest.h>

#include "throws.hpp"

namespace {

using namespace emend;
using numbers = std::vector<double>;

TEST_CASE("to_tokens, sequence_sums and sequence_means") {
  const numbers per_sequence{2, 3}, per_token{1, 2, 4, 8};
  const std::vector<int> mask{1, 0, 1, 1}, with_empty{1, 1, 0, 0};
  const padded layout(2, 2, mask);
  CHECK(to_tokens(per_sequence, layout) == numbers{2, 0, 3, 3});
  CHECK(sequence_sums(per_token, layout) == numbers{1, 12});
  CHECK(sequence_means(per_token, layout) == numbers{1, 0, 6, 6});
  CHECK(sequence_means(per_token, layout, 1) == numbers{0.5, 0, 4, 4});
  CHECK(sequence_means(per_token, padded(2, 2, with_empty)) == numbers{1.5, 1.5, 0, 0});
  CHECK_THROWS_NAMING(to_tokens(per_token, layout), "per_sequence");
  CHECK_THROWS_NAMING(sequence_sums(per_sequence, layout), "per_token");
  CHECK_THROWS_NAMING(sequence_means(per_sequence, layout), "per_token");
}

}  // namespace
