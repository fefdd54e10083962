#include <emend/losses/vespo.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "policy_batch.hpp"
#include "throws.hpp"

namespace {

using namespace emend;
using numbers = std::vector<double>;

TEST_CASE("vespo: the weight of the sequence is a constant") {
  const policy_batch b;
  check_slopes(vespo{b.old, b.advantage}, [&](std::size_t i) {
    const double k = b.advantage[i] >= 0 ? 2 : 3, lambda = b.advantage[i] >= 0 ? 3 : 2,
                 w = std::exp(b.sequence_log_ratio(i));
    return -std::exp(lambda) * std::pow(w, k) * std::exp(-lambda * w) * b.advantage[i];
  });
  const numbers three{1, 2, 3};
  CHECK_THROWS_NAMING(evaluate_log_prob_sequences(
                          vespo{.old_log_prob = three, .advantage = three, .lambda_negative = 0}, three, padded(1, 3)),
                      "lambda_negative");
}

}  // namespace
