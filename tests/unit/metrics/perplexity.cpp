#include <emend/metrics/perplexity.hpp>
#include <emend/core/layout.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;

TEST_CASE("perplexity over tokens and within sequences; none is 1") {
  const std::vector<double> log_prob{std::log(0.5), std::log(0.25), std::nan("")};
  const std::vector<int> mask{1, 1, 0};
  const auto result = perplexity(log_prob, padded(3, 1, mask));
  CHECK(result.value == doctest::Approx(std::sqrt(8)));
  CHECK(result.per_sequence[0] == doctest::Approx(2));
  CHECK(result.per_sequence[2] == 1);
  CHECK(perplexity(std::vector<double>{}, padded(0, 1)).value == 1);
  CHECK_THROWS_NAMING(perplexity(log_prob, padded(1, 2)), "log_prob");
}

}  // namespace
