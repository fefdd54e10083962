#include <emend/emend.hpp>

#include <doctest/doctest.h>

#include "throws.hpp"

#include <cmath>

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
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

TEST_CASE("high entropy: a linear quantile of the counted tokens") {
  const numbers entropy{4, 1, bad, 3, 2}, mask{1, 1, 0, 1, 1};
  const padded layout(1, 5, mask);
  CHECK(high_entropy_mask(entropy, layout, 0) == numbers{1, 1, 0, 1, 1});
  CHECK(high_entropy_mask(entropy, layout, 0.5) == numbers{1, 0, 0, 1, 0});  // threshold 2.5
  CHECK(high_entropy_mask(entropy, layout, 1) == numbers{1, 0, 0, 0, 0});
  const numbers none(5, 0), one{0, 0, 0, 1, 0};
  CHECK(high_entropy_mask(entropy, padded(1, 5, none), 0.8) == none);
  CHECK(high_entropy_mask(entropy, padded(1, 5, one), 0.8) == one);
  CHECK_THROWS_NAMING(high_entropy_mask(entropy, layout, 1.5), "quantile");
}

TEST_CASE("future KL weights: a discounted sum from each token to the end, holes left out") {
  const numbers log_prob{-1, bad, -2, -0.5}, old{-1.05, bad, -1.8, -0.9}, mask{1, 0, 1, 1};
  const auto weight = future_kl_weights(log_prob, old, padded(1, 4, mask), {.gamma = 0.5, .low = 0.5, .high = 1.1});
  CHECK(weight[3] == doctest::Approx(1.1));  // exp(0.4), bounded
  CHECK(weight[2] == doctest::Approx(std::exp(-0.2 + 0.5 * 0.4)));
  CHECK(weight[1] == 0);
  CHECK(weight[0] == doctest::Approx(std::exp(0.05 + 0.5 * 0)));
  CHECK_THROWS_NAMING(future_kl_weights(log_prob, old, padded(1, 4), {.gamma = 1.5}), "gamma");
}

TEST_CASE("optimal value: between the mean and the maximum, and stable") {
  const numbers reward{1, 2, 3}, far{0, 2000};
  CHECK(optimal_value(reward, 1e6) == doctest::Approx(2).epsilon(1e-5));
  CHECK(optimal_value(reward, 1e-3) == doctest::Approx(3).epsilon(1e-2));
  CHECK(optimal_value(reward, 1) == doctest::Approx(std::log((std::exp(1) + std::exp(2) + std::exp(3)) / 3)));
  CHECK(optimal_value(far, 1) == doctest::Approx(2000 - std::log(2)));
  CHECK_THROWS_NAMING(optimal_value(numbers{}, 1), "reward");
  CHECK_THROWS_NAMING(optimal_value(reward, 0), "beta");
}

TEST_CASE("pairwise and preference losses: derivatives, margins, ties, far scores") {
  const numbers chosen{1, 0, 800, -800}, rejected{0.5, 0, -800, 800}, margin{0.2, 0, 0, 0};
  const auto result = pairwise_loss(chosen, rejected, {.margin = margin});
  CHECK(result.value == doctest::Approx((std::log1p(std::exp(-0.3)) + std::log(2) + 0 + 1600) / 4));
  CHECK(result.accuracy == doctest::Approx(2.5 / 4));
  for (std::size_t p = 0; p < 4; ++p) {
    numbers up = chosen, down = chosen;
    up[p] += 1e-6;
    down[p] -= 1e-6;
    const double slope = (pairwise_loss(up, rejected, {.margin = margin}).value -
                          pairwise_loss(down, rejected, {.margin = margin}).value) /
                         2e-6;
    CHECK(result.chosen[p] == doctest::Approx(slope).epsilon(1e-4).scale(1e-3));
    CHECK(result.rejected[p] == -result.chosen[p]);
  }
  CHECK(pairwise_loss(numbers{}, numbers{}).value == 0);
  CHECK_THROWS_NAMING(pairwise_loss(chosen, numbers{1}), "rejected");

  const numbers reference_chosen{0.9, 0.2, 0, 0}, reference_rejected{0.4, 0.1, 0, 0};
  for (const double smoothing : {0.0, 0.1}) {
    const dpo_options options{.beta = 0.3, .label_smoothing = smoothing};
    const auto dpo = dpo_loss(chosen, rejected, reference_chosen, reference_rejected, options);
    for (std::size_t p = 0; p < 2; ++p) {
      numbers up = rejected, down = rejected;
      up[p] += 1e-6;
      down[p] -= 1e-6;
      const double slope = (dpo_loss(chosen, up, reference_chosen, reference_rejected, options).value -
                            dpo_loss(chosen, down, reference_chosen, reference_rejected, options).value) /
                           2e-6;
      CHECK(dpo.rejected[p] == doctest::Approx(slope).epsilon(1e-5));
    }
  }
  CHECK_THROWS_NAMING(dpo_loss(chosen, rejected, reference_chosen, reference_rejected, {.label_smoothing = 0.5}),
                      "label_smoothing");
}

TEST_CASE("critics: clip, Huber, the edge") {
  const numbers old{0, 0, 0}, returns{1, -3, 1}, values{0.5, 0.1, 0.2};
  const auto plain = evaluate_values(value_clip{.old_value = {}, .returns = returns, .clip = detail::infinity}, values);
  CHECK(plain.value == doctest::Approx(0.5 * (0.25 + 3.1 * 3.1 + 0.64)));
  const auto clipped = evaluate_values(value_clip{old, returns, 0.2}, values);
  CHECK(clipped.value == doctest::Approx(0.5 * (0.64 + 3.1 * 3.1 + 0.64)));
  CHECK(clipped.gradient[0] == 0);
  CHECK(clipped.gradient[2] == doctest::Approx(-0.8));
  CHECK(clipped.metrics[0] == doctest::Approx(1 / 3.0));
  const auto halved =
      evaluate_values(value_clip{.old_value = old, .returns = returns, .clip = 0.2, .edge = clip_edge::half}, values);
  CHECK(halved.gradient[2] == doctest::Approx(-0.6));
  const auto alone = evaluate_values(
      value_clip{.old_value = old, .returns = returns, .clip = 0.05, .clipping = value_clipping::clipped}, values);
  CHECK(alone.gradient == numbers{0, 0, 0});
  const auto huber = evaluate_values(
      value_clip{.old_value = {}, .returns = returns, .clip = detail::infinity, .huber_delta = 1, .factor = 1}, values);
  CHECK(huber.value == doctest::Approx(0.25 + 2 * (3.1 - 0.5) + 0.64));
  CHECK(huber.gradient[1] == doctest::Approx(2));
  CHECK_THROWS_NAMING(evaluate_values(value_clip{numbers{1}, returns}, values), "old_value");
  CHECK_THROWS_NAMING(evaluate_values(value_clip{old, returns, 0}, values), "clip");
}

}  // namespace
