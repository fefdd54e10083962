#include <emend/reward/rlmec.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "../gradient_differences.hpp"
#include "../random_numbers.hpp"
#include "throws.hpp"

namespace {

using namespace emend;
using numbers = std::vector<double>;

TEST_CASE("RLMEC: clamped about 1/2, by whether the solution is right") {
  const numbers log_prob{std::log(0.9), std::log(0.2), std::log(0.45), std::log(0.9)};
  const std::vector<int> right{1, 0};
  const numbers got = rlmec_rewards(log_prob, right, padded(2, 2));
  CHECK(got[0] == doctest::Approx(0.4));
  CHECK(got[1] == 0);
  CHECK(got[2] == doctest::Approx(-0.05));
  CHECK(got[3] == 0);
  CHECK_THROWS_NAMING(rlmec_rewards(log_prob, right, padded(2, 3)), "log_prob");
  CHECK_THROWS_NAMING(rlmec_rewards(log_prob, log_prob, padded(2, 2)), "is_correct");
}

TEST_CASE("RLMEC's loss: value and gradients") {
  random_numbers random;
  const numbers log_prob{-1, -2, -0.5}, old{-1.05, -1.2, -0.5}, reward{0.3, -0.1, 0.2}, rewrite = random.normal(4);
  const std::vector<int> edited{1, 0, 0, 1};
  const rlmec_options options{.rewrite_coefficient = 0.7};
  const auto result = rlmec_loss(log_prob, old, reward, rewrite, edited, options);
  CHECK(result.rewrite_loss == doctest::Approx(-(rewrite[0] + 0.5 * rewrite[1] + 0.5 * rewrite[2] + rewrite[3]) / 4));
  CHECK(result.value == doctest::Approx(result.token_loss + 0.7 * result.rewrite_loss));
  check_gradient(result.log_prob_gradient, central_differences(log_prob, [&](const numbers& x) {
                   return rlmec_loss(x, old, reward, rewrite, edited, options).value;
                 }));
  check_gradient(result.rewrite_gradient, central_differences(rewrite, [&](const numbers& x) {
                   return rlmec_loss(log_prob, old, reward, x, edited, options).value;
                 }));
  rlmec_options of_twice = options;
  of_twice.tokens = 6;
  of_twice.rewrite_tokens = 8;
  CHECK(rlmec_loss(log_prob, old, reward, rewrite, edited, of_twice).value == doctest::Approx(result.value / 2));
  CHECK(rlmec_loss({}, {}, {}, {}, {}).value == 0);
  CHECK_THROWS_NAMING(rlmec_loss(log_prob, rewrite, reward, rewrite, edited), "old_log_prob");
  CHECK_THROWS_NAMING(rlmec_loss(log_prob, old, rewrite, rewrite, edited), "reward");
  CHECK_THROWS_NAMING(rlmec_loss(log_prob, old, reward, log_prob, edited), "is_edited");
}

}  // namespace
