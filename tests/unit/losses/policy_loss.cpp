#include <emend/losses/policy_loss.hpp>
#include <emend/losses/sequence_level.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <vector>

#include "policy_batch.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using numbers = std::vector<double>;

/// A model of the concept that is no loss of the library's: the log-ratio itself.
struct log_ratio_loss {
  column old_log_prob, advantage;
  void check(index n) const { emend::detail::check_policy(*this, n); }
  template <class R, class A>
  R surrogate(const R& log_ratio, const R&, const A& a) const {
    return -a * log_ratio;
  }
  template <class R, class A>
  bool is_clipped(const R& log_ratio, const A&) const {
    return log_ratio > 1;
  }
  template <class R>
  R operator()(const token<R>& t) const {
    return emend::detail::at_token(*this, t);
  }
  template <class R>
  std::array<R, 5> metrics(const token<R>& t) const {
    return emend::detail::metrics_at_token(*this, t);
  }
};
static_assert(policy_loss<log_ratio_loss>);
struct without_advantage {
  column old_log_prob;
};
static_assert(!policy_loss<without_advantage>);

TEST_CASE("policy_loss: a model of one's own, as a loss of tokens and of sequences") {
  const policy_batch b;
  check_gradient(log_ratio_loss{b.old, b.advantage});
  check_gradient(sequence_level<log_ratio_loss>{{b.old, b.advantage}});
}

TEST_CASE("policy_loss: the metrics of a token, and of one that neither policy can draw") {
  const numbers log_prob{-0.5, -HUGE_VAL}, old{-2, -HUGE_VAL}, advantage{1, 1};
  const log_ratio_loss loss{old, advantage};
  const auto first = evaluate_log_probs(loss, log_prob, {.mask = numbers{1, 0}});
  CHECK(first.metrics[0] == 1);
  CHECK(first.metrics[1] == doctest::Approx(std::exp(1.5) - 1 - 1.5));
  CHECK(first.metrics[2] == doctest::Approx(1.5));
  CHECK(first.metrics[3] == doctest::Approx(std::exp(1.5)));
  // Its ratio is 1, without a gradient.
  const auto second = evaluate_log_probs(loss, log_prob, {.mask = numbers{0, 1}});
  CHECK(second.value == 0);
  CHECK(second.gradient[1] == 0);
  CHECK(second.metrics[3] == 1);
}

TEST_CASE("policy_loss: an empty batch, and a batch of masked tokens, have value 0 and no gradient") {
  const numbers none, masked{unread, unread}, zeros{0, 0};
  CHECK(evaluate_log_probs(log_ratio_loss{none, none}, none).value == 0);
  const auto result = evaluate_log_probs(log_ratio_loss{masked, masked}, masked, {.mask = zeros});
  CHECK(result.value == 0);
  CHECK(result.gradient == zeros);
  CHECK(result.metrics[2] == 0);
}

}  // namespace
