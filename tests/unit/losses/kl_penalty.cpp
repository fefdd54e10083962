#include <emend/losses/kl_penalty.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "policy_batch.hpp"
#include "throws.hpp"

namespace {

using namespace emend;
using numbers = std::vector<double>;

TEST_CASE("kl_penalty: gradients are the derivatives of the value") {
  const policy_batch b;
  for (const kl_kind kind : {kl_kind::k1, kl_kind::k2, kl_kind::k3, kl_kind::absolute}) {
    check_gradient(kl_penalty{.reference_log_prob = b.reference, .coefficient = 0.2, .kind = kind});
    check_gradient(kl_penalty{.reference_log_prob = b.reference,
                              .kind = kind,
                              .weighting = kl_weighting::score_function,
                              .old_log_prob = b.old});
  }
  // r k3(d) is weighed by a ratio of the same log-probability: its closed form r d is the derivative of the value.
  check_gradient(
      kl_penalty{.reference_log_prob = b.reference, .weighting = kl_weighting::ratio, .old_log_prob = b.old});
}

TEST_CASE("kl_penalty: the capped weight of the unbiased gradient is a constant") {
  const policy_batch b;
  check_slopes(kl_penalty{.reference_log_prob = b.reference,
                          .weighting = kl_weighting::unbiased_gradient,
                          .old_log_prob = b.old,
                          .weight_cap = 1.2},
               [&](std::size_t i) { return std::min(b.ratio(i), 1.2) * (b.log_prob[i] - b.reference[i]); });
}

TEST_CASE("kl_penalty: a reference that is not known adds no divergence") {
  const numbers reference{unread, -1}, log_prob{-2, -2}, three{1, 2, 3};
  const auto result = evaluate_log_probs(kl_penalty{.reference_log_prob = reference}, log_prob);
  CHECK(result.value == doctest::Approx(std::exp(1) - 2));
  CHECK(result.gradient[0] == 0);
  CHECK_THROWS_NAMING(
      evaluate_log_probs(kl_penalty{.reference_log_prob = three, .weighting = kl_weighting::ratio}, three),
      "old_log_prob");
}

}  // namespace
