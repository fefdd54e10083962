#include <emend/losses/covariance.hpp>
#include <emend/core/layout.hpp>
#include <emend/losses/ppo_clip.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "policy_batch.hpp"
#include "throws.hpp"

namespace {

using namespace emend;
using numbers = std::vector<double>;

const double bad = std::nan("");

TEST_CASE("covariance of advantage and log-probability, over the counted tokens") {
  const numbers advantage{1, 3, bad, -1}, log_prob{-1, -2, bad, -3}, mask{1, 1, 0, 1};
  const auto c = token_covariance(advantage, log_prob, padded(1, 4, mask));
  CHECK(c[0] == doctest::Approx(0));
  CHECK(c[1] == doctest::Approx(0));
  CHECK(c[2] == 0);
  CHECK(c[3] == doctest::Approx(2));
}

TEST_CASE("KL-Cov takes the highest covariances, the lowest position at ties, and at least one token") {
  const numbers advantage{1, -1, 1, -1}, log_prob{-1, -3, -1, -3};
  CHECK(select_kl_cov(advantage, log_prob, padded(1, 4), {.share = 0.5}) == numbers{1, 1, 0, 0});
  CHECK(select_kl_cov(advantage, log_prob, padded(1, 4), {.share = 0}) == numbers{1, 0, 0, 0});
  const numbers none(4, 0);
  CHECK(select_kl_cov(advantage, log_prob, padded(1, 4, none), {.share = 1}) == none);
}

TEST_CASE("covariances beside a number that is not finite are refused, unless it is not counted") {
  const numbers good{1, -1, 1}, log_prob{-1, -2, -HUGE_VAL}, mask{1, 1, 0};
  CHECK_THROWS_NAMING(select_kl_cov(good, log_prob, padded(1, 3)), "log_prob");
  CHECK_THROWS_NAMING(select_kl_cov(log_prob, good, padded(1, 3)), "advantage");
  CHECK_THROWS_NAMING(select_kl_cov(good, numbers{-1, bad, -1}, padded(1, 3)), "log_prob");
  CHECK_THROWS_NAMING(select_clip_cov(ppo_clip{good, good}, log_prob, padded(1, 3)), "log_prob");
  CHECK(select_kl_cov(good, log_prob, padded(1, 3, mask), {.share = 0}) == numbers{1, 0, 0});
}

TEST_CASE("Clip-Cov draws among candidates, by its seed alone") {
  numbers advantage, log_prob, old;
  for (int i = 0; i < 200; ++i) {
    advantage.push_back(i % 2 ? 1 : -1);
    log_prob.push_back(i % 2 ? -1 : -3);
    old.push_back(log_prob.back());
  }
  const ppo_clip loss{old, advantage};
  const covariance_options options{.share = 0.1, .lower = 0.5, .upper = 5, .seed = 7};
  const auto first = select_clip_cov(loss, log_prob, padded(20, 10), options);
  double count = 0;
  for (double x : first) count += x;
  CHECK(count == 20);
  CHECK(select_clip_cov(loss, log_prob, padded(1, 200), options) == first);
  CHECK(select_clip_cov(loss, log_prob, padded(20, 10), {.share = 0.1, .lower = 0.5, .upper = 5, .seed = 8}) != first);
  CHECK(select_clip_cov(loss, log_prob, padded(20, 10), {.share = 0.1, .lower = 2, .upper = 5}) == numbers(200, 0));
  CHECK_THROWS_NAMING(select_clip_cov(loss, log_prob, padded(20, 10), {.share = 2}), "share");
}

TEST_CASE("kl_cov: the gradient is the derivative of the value, and a selection has the batch's length") {
  const policy_batch b;
  check_gradient(kl_cov{b.old, b.advantage, numbers{1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0}, 0.7});
  const numbers two{1, 2}, three{1, 2, 3};
  CHECK_THROWS_NAMING(evaluate_log_probs(kl_cov{three, three, two}, three), "selected");
}

}  // namespace
