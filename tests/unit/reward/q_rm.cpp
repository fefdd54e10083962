#include <emend/reward/q_rm.hpp>

#include <doctest/doctest.h>

#include <vector>

#include "../gradient_differences.hpp"
#include "../random_numbers.hpp"
#include "throws.hpp"

namespace {

using namespace emend;
using numbers = std::vector<double>;

TEST_CASE("Q-RM: advantages, and a loss over means") {
  const numbers score{1, 2}, value{0.5, 1}, log_prob{-1, -1}, reference{-2, -1};
  CHECK(q_rm_advantages(score, value, log_prob, reference, padded(1, 2),
                        {.kl_coefficient = 0.5, .value_coefficient = 2}) == numbers{1 - 0.5 - 1, 0});
  random_numbers random;
  const numbers chosen = random.normal(5), rejected = random.normal(3);
  const std::vector<int> chosen_offsets{0, 2, 5}, rejected_offsets{0, 3, 3};
  const auto loss = [&](const numbers& c, const numbers& r) {
    return q_rm_loss(c, ragged(chosen_offsets), r, ragged(rejected_offsets));
  };
  const auto result = loss(chosen, rejected);
  check_gradient(result.chosen_gradient,
                 central_differences(chosen, [&](const numbers& x) { return loss(x, rejected).value; }));
  check_gradient(result.rejected_gradient,
                 central_differences(rejected, [&](const numbers& x) { return loss(chosen, x).value; }));
  const auto half = q_rm_loss(chosen, ragged(chosen_offsets), rejected, ragged(rejected_offsets), {.normaliser = 4});
  CHECK(half.value == doctest::Approx(result.value / 2));
  CHECK_THROWS_NAMING(q_rm_loss(rejected, ragged(chosen_offsets), rejected, ragged(rejected_offsets)), "chosen");
  CHECK_THROWS_NAMING(q_rm_loss(chosen, ragged(chosen_offsets), rejected, padded(1, 3)), "rejected_layout");
  CHECK_THROWS_NAMING(q_rm_advantages(score, value, log_prob, rejected, padded(1, 2)), "reference_log_prob");
}

}  // namespace
