#include <emend/reward/token_rewards.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;

TEST_CASE("score, divergence, scalar at the last counted token, clamp") {
  const std::vector<double> score{1, 2, 3, 4}, old{-1, -1, -2, -1}, reference{-2, -1, -1, -3}, scalar{10, -100};
  const std::vector<int> mask{1, 1, 1, 0};
  const auto got = token_rewards(
      score, old, reference, padded(2, 2, mask),
      {.score_scale = 2, .kl_coefficient = 0.5, .scalar_scale = 0.1, .scalar_reward = scalar, .clamp = 3});
  CHECK(got[0] == doctest::Approx(2 - 0.5));
  CHECK(got[1] == 3);   // 4 + 1, clamped
  CHECK(got[2] == -3);  // 6 + 0.5 - 10, clamped
  CHECK(got[3] == 0);
}

TEST_CASE("the score before and the sum after: which bound is which") {
  const std::vector<double> old{-1, -1}, reference{-1, -3}, scalar{10};
  const padded layout(1, 2);
  const auto before = token_rewards(
      {}, old, reference, layout,
      {.kl_coefficient = 1, .scalar_scale = 1, .scalar_reward = scalar, .scalar_low = -5, .scalar_high = 5});
  CHECK(before == std::vector<double>{0, 3});  // 5 - 2
  const auto after = token_rewards({}, old, reference, layout,
                                   {.kl_coefficient = 1, .scalar_scale = 1, .scalar_reward = scalar, .clamp = 5});
  CHECK(after == std::vector<double>{0, 5});  // 10 - 2, clamped
}

TEST_CASE("estimators and their bounds") {
  const std::vector<double> old{-1, -30}, reference{-2, -1};
  const auto got =
      token_rewards({}, old, reference, padded(1, 2), {.kl_coefficient = 1, .kl = kl_kind::k3, .kl_bounds = {20, 10}});
  CHECK(got[0] == doctest::Approx(-std::exp(-1.0)));
  CHECK(got[1] == -10);
}

TEST_CASE("where the scalar stands") {
  const std::vector<double> scalar{7, 8, 9};
  const std::vector<int> mask{1, 1, 0, 1, 1, 1, 0, 0, 0};
  const padded layout(3, 3, mask);
  CHECK(last_positions(layout) == std::vector<emend::index>{1, 5, -1});
  CHECK(positions_after_last(layout) == std::vector<emend::index>{2, 5, -1});
  const auto place = [&](const std::vector<emend::index>& at) {
    return token_rewards({}, {}, {}, layout, {.scalar_scale = 1, .scalar_reward = scalar, .scalar_position = at});
  };
  CHECK(token_rewards({}, {}, {}, layout, {.scalar_scale = 1, .scalar_reward = scalar}) ==
        place(last_positions(layout)));
  CHECK(place(last_positions(layout)) == std::vector<double>{0, 7, 0, 0, 0, 8, 0, 0, 0});
  CHECK(place(positions_after_last(layout)) == std::vector<double>{0, 0, 7, 0, 0, 8, 0, 0, 0});
  CHECK(place({-1, 3, 8}) == std::vector<double>{0, 0, 0, 8, 0, 0, 0, 0, 9});
}

TEST_CASE("a factor of 0 leaves its term out, and two probabilities of 0 have no divergence") {
  const double infinite = HUGE_VAL;
  const std::vector<double> score{1, 2}, old{-1, -infinite}, reference{-infinite, -infinite},
      bad{__builtin_nan(""), infinite};
  const padded layout(1, 2);
  CHECK(token_rewards(score, old, reference, layout, {.kl_coefficient = 0}) == score);
  CHECK(token_rewards(bad, old, old, layout, {.score_scale = 0, .kl_coefficient = 1}) == std::vector<double>{0, 0});
  CHECK(token_rewards(score, old, reference, layout, {.kl_coefficient = 1}) == std::vector<double>{-infinite, 2});
  CHECK(token_rewards(score, old, reference, layout, {.kl_coefficient = 1, .clamp = 5}) == std::vector<double>{-5, 2});
  CHECK(token_rewards(score, old, reference, layout, {.kl_coefficient = 1, .kl_bounds = {.output = 10}}) ==
        std::vector<double>{-9, 2});
}

TEST_CASE("a scalar at a place that is not counted is scaled and bounded, too") {
  const std::vector<double> scalar{100, -100, 3}, zero(6, 0);
  const std::vector<int> mask{1, 0, 1, 0, 1, 0};
  const std::vector<emend::index> at{1, 3, 5};
  const auto got = token_rewards({}, {}, {}, padded(3, 2, mask),
                                 {.scalar_scale = 0.5, .scalar_reward = scalar, .clamp = 4, .scalar_position = at});
  CHECK(got == std::vector<double>{0, 4, 0, -4, 0, 1.5});
  const auto low = token_rewards(
      {}, {}, {}, padded(3, 2, mask),
      {.scalar_scale = 0.5, .scalar_reward = scalar, .scalar_low = -8, .scalar_high = 2, .scalar_position = at});
  CHECK(low == std::vector<double>{0, 1, 0, -4, 0, 1});
}

TEST_CASE("layouts of the same tokens agree; what is not counted is not read") {
  const double bad = __builtin_nan("");
  const std::vector<double> score{1, 2, 3}, old{-1, -2, -3}, reference{-2, -2, -2}, scalar{10, 20};
  const std::vector<int> offsets{0, 2, 3}, mask{1, 1, 1, 0}, ids{1, 0, -1, 0};
  const token_reward_options options{.scalar_scale = 1, .scalar_reward = scalar};
  const auto flat = token_rewards(score, old, reference, ragged(offsets), options);
  const std::vector<double> p_score{1, 2, 3, bad}, p_old{-1, -2, -3, bad}, p_reference{-2, -2, -2, bad};
  const auto rows = token_rewards(p_score, p_old, p_reference, padded(2, 2, mask), options);
  CHECK(rows == std::vector<double>{flat[0], flat[1], flat[2], 0});
  const std::vector<double> k_score{3, 1, bad, 2}, k_old{-3, -1, bad, -2}, k_reference{-2, -2, bad, -2};
  const auto in_pack = token_rewards(k_score, k_old, k_reference, packed(ids), options);
  CHECK(in_pack == std::vector<double>{flat[2], flat[0], 0, flat[1]});
}

TEST_CASE("errors name the argument") {
  const std::vector<double> two{1, 2}, three{1, 2, 3}, one{1};
  const std::vector<int> far{3};
  const padded layout(1, 3);
  CHECK_THROWS_NAMING(
      token_rewards(three, three, three, layout, {.scalar_scale = 1, .scalar_reward = one, .scalar_position = far}),
      "scalar_position");
  // What would be ignored.
  CHECK_THROWS_NAMING(token_rewards(three, three, three, layout, {.scalar_reward = one}), "scalar_scale");
  CHECK_THROWS_NAMING(token_rewards(three, three, three, layout, {.scalar_scale = 1, .scalar_position = far}),
                      "scalar_reward");
  CHECK_THROWS_NAMING(token_rewards(three, three, three, layout, {.kl_bounds = {.input = 0}}), "kl_bounds.input");
  CHECK_THROWS_NAMING(token_rewards(three, three, three, layout, {.kl_bounds = {.output = -1}}), "kl_bounds.output");
  CHECK_THROWS_NAMING(token_rewards(three, three, three, layout, {.scalar_low = 2, .scalar_high = 1}), "scalar_low");
  CHECK_THROWS_NAMING(token_rewards(three, three, {}, layout), "reference_log_prob");
  CHECK_THROWS_NAMING(token_rewards(two, three, three, layout), "score");
  CHECK_THROWS_NAMING(token_rewards(three, two, three, layout), "old_log_prob");
  CHECK_THROWS_NAMING(token_rewards(three, three, two, layout), "reference_log_prob");
  CHECK_THROWS_NAMING(token_rewards(three, three, three, layout, {.scalar_reward = two}), "scalar_reward");
  CHECK_THROWS_NAMING(token_rewards(three, three, three, layout, {.clamp = 0}), "clamp");
}

}  // namespace
