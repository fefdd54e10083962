#include <emend/off_policy/rejection.hpp>

#include <doctest/doctest.h>

#include <cmath>

#include "throws.hpp"

using namespace emend;
using emend::index;  // not the one of <strings.h>

namespace {

const double unknown = std::nan(""), inf = HUGE_VAL;
using numbers = std::vector<double>;

}  // namespace

TEST_CASE("rejection: each level with each estimate decides at its own bound") {
  const numbers d{0.3, -0.2, 0.1};
  const numbers behaviour{-2, -2, -2}, learner{-1.7, -2.2, -1.9};
  const auto estimate = [](kl_kind e, double x) {
    return e == kl_kind::k1 ? -x : e == kl_kind::k2 ? x * x / 2 : std::exp(x) - 1 - x;
  };
  for (auto e : {kl_kind::k1, kl_kind::k2, kl_kind::k3}) {
    double sum = 0, largest = -inf;
    for (double x : d) sum += estimate(e, x), largest = std::max(largest, estimate(e, x));
    const auto kept = [&](rejection_level level, double lower, double upper) {
      return rejection(learner, behaviour, padded(1, 3),
                       {.level = level, .estimate = e, .lower = lower, .upper = upper})
          .kept;
    };
    for (const auto& [level, value] : {std::pair{rejection_level::sequence_sum, sum},
                                       {rejection_level::sequence_mean, sum / 3},
                                       {rejection_level::sequence_max, largest}}) {
      CHECK(kept(level, -inf, value + 1e-12) == numbers{1, 1, 1});
      CHECK(kept(level, -inf, value - 1e-12) == numbers{0, 0, 0});
      CHECK(kept(level, value - 1e-12, inf) == numbers{1, 1, 1});
      CHECK(kept(level, value + 1e-12, inf) == numbers{0, 0, 0});
    }
    const double at = estimate(e, d[0]);
    numbers want;
    for (double x : d) want.push_back(estimate(e, x) <= at - 1e-12);
    CHECK(kept(rejection_level::token, -inf, at - 1e-12) == want);
  }
}

TEST_CASE("rejection: missing, masked, empty and overflowing tokens") {
  const numbers behaviour{unknown, 0, -1, -1}, learner{-9, -1000, -1, -1}, mask{1, 1, 0, 0};
  const auto token = rejection(learner, behaviour, padded(2, 2, mask));
  CHECK(token.kept == numbers{1, 0, 0, 0});
  CHECK(token.counted == 2);
  CHECK(token.missing == 1);
  CHECK(token.rejected == 1);
  CHECK(token.rejected_share() == 0.5);
  CHECK(token.sequences == 1);
  CHECK(token.rejected_sequences == 0);
  const auto all = rejection(learner, behaviour, padded(2, 2, mask), {.level = rejection_level::sequence_max});
  CHECK(all.rejected_sequences == 1);
  const auto clamped = rejection(learner, behaviour, padded(2, 2, mask), {.estimate = kl_kind::k1, .upper = 20});
  CHECK(clamped.rejected == 0);
  CHECK(rejection(numbers{}, numbers{}, padded(0, 3)).kept.empty());
  CHECK(rejection(numbers{unknown}, numbers{-1}, padded(1, 1), {.upper = inf}).rejected == 1);
}

TEST_CASE("rejection: errors name the argument") {
  const numbers two{-1, -1}, one{-1};
  CHECK_THROWS_NAMING(rejection(one, two, padded(1, 2)), "log_prob");
  CHECK_THROWS_NAMING(rejection(two, one, padded(1, 2)), "behaviour_log_prob");
  CHECK_THROWS_NAMING(rejection(two, two, padded(1, 2), {.lower = 1}), "upper");
  CHECK_THROWS_NAMING(rejection(two, two, padded(1, 2), {.log_ratio_clamp = -1}), "log_ratio_clamp");
}

TEST_CASE("rejection: a missing token is kept whatever the bounds, and no other is") {
  const numbers behaviour{unknown, -2, -2, -2, -inf}, learner{-1, -1, -2, std::nan(""), -inf};
  // k1 of the tokens: none, -1, 0, NaN, 0; the bounds exclude 0.
  const auto got = rejection(learner, behaviour, padded(1, 5), {.estimate = kl_kind::k1, .lower = -1, .upper = -0.5});
  CHECK(got.kept == numbers{1, 1, 0, 0, 0});
  CHECK(got.rejected == 3);
  CHECK(got.missing == 1);
  CHECK(got.rejected_sequences == 0);
  // Of a sequence the missing token's 0 counts, and nothing is kept by itself.
  const auto sum = [&](double lower, double upper) {
    return rejection(numbers{-1, -1, -2}, numbers{unknown, -2, -2}, padded(1, 3),
                     {.level = rejection_level::sequence_sum, .estimate = kl_kind::k1, .lower = lower, .upper = upper})
        .kept;
  };
  CHECK(sum(-1, -1) == numbers{1, 1, 1});
  CHECK(sum(-0.9, 0) == numbers{0, 0, 0});
}
