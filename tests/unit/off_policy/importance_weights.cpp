#include <emend/off_policy/importance_weights.hpp>

#include <doctest/doctest.h>

#include <cmath>

#include "throws.hpp"

using namespace emend;
using emend::index;  // not the one of <strings.h>

namespace {

const double unknown = std::nan(""), inf = HUGE_VAL;
using numbers = std::vector<double>;

void check_near(const numbers& got, const numbers& want) {
  REQUIRE(got.size() == want.size());
  for (std::size_t i = 0; i < got.size(); ++i) CHECK(got[i] == doctest::Approx(want[i]).epsilon(1e-14));
}

}  // namespace

TEST_CASE("importance weights: every level, truncated and masked") {
  // Log-ratios of one sequence: log 4, 0, -log 8; of another: log 2.
  const numbers behaviour{-3, -3, -3, -3}, learner{-3 + std::log(4), -3, -3 - std::log(8), -3 + std::log(2)};
  const std::vector<int> offsets{0, 3, 4};
  const ragged layout(offsets);
  const auto weights = [&](const importance_options& o) { return importance_weights(learner, behaviour, layout, o); };

  check_near(weights({}).weight, {2, 1, 0.125, 2});
  CHECK(weights({}).truncated == 1);
  check_near(weights({.lower = 0.5, .upper = inf}).weight, {4, 1, 0.5, 2});
  const auto token_mask = weights({.mode = bound_mode::mask, .lower = 0.5, .upper = 2});
  check_near(token_mask.weight, {0, 1, 0, 2});
  CHECK(token_mask.dropped == 2);
  CHECK(token_mask.dropped_share() == 0.5);
  CHECK(token_mask.dropped_sequences == 0);

  check_near(weights({.level = importance_level::sequence}).weight, {0.5, 0.5, 0.5, 2});
  const double geometric = std::cbrt(0.5);
  check_near(weights({.level = importance_level::sequence_mean}).weight, {geometric, geometric, geometric, 2});
  const auto sequence_mask =
      weights({.level = importance_level::sequence, .mode = bound_mode::mask, .lower = 0.6, .upper = 2});
  check_near(sequence_mask.weight, {0, 0, 0, 2});
  CHECK(sequence_mask.dropped_sequences == 1);
  check_near(weights({.level = importance_level::off}).weight, {1, 1, 1, 1});

  // The sequence decides, the token weighs.
  check_near(weights(sequence_masked_importance).weight, {4, 1, 0.125, 2});
  auto narrow = sequence_masked_importance;
  narrow.upper = 1.5;
  check_near(weights(narrow).weight, {4, 1, 0.125, 0});
}

TEST_CASE("importance weights: divergence gates of the sampled token") {
  const numbers behaviour{std::log(0.5), std::log(0.5), std::log(0.9)},
      learner{std::log(0.5), std::log(0.25), std::log(0.6)};
  const double kl_1 = 0.5 * std::log(2) + 0.5 * std::log(0.5 / 0.75),
               kl_2 = 0.9 * std::log(1.5) + 0.1 * std::log(0.1 / 0.4);
  const auto dropped = [&](importance_gate gate, importance_level level, double upper) {
    return importance_weights(learner, behaviour, padded(1, 3),
                              {.level = level, .mode = bound_mode::mask, .gate = gate, .upper = upper})
        .dropped;
  };
  CHECK(dropped(importance_gate::total_variation, importance_level::token, 0.26) == 1);
  CHECK(dropped(importance_gate::total_variation, importance_level::token, 0.24) == 2);
  CHECK(dropped(importance_gate::total_variation, importance_level::sequence_mean, 0.55 / 3 + 1e-9) == 0);
  CHECK(dropped(importance_gate::total_variation, importance_level::sequence_mean, 0.55 / 3 - 1e-9) == 3);
  CHECK(dropped(importance_gate::binary_kl, importance_level::token, kl_2 + 1e-12) == 0);
  CHECK(dropped(importance_gate::binary_kl, importance_level::token, kl_1 - 1e-12) == 2);
  CHECK(dropped(importance_gate::binary_kl, importance_level::sequence, kl_1 + kl_2 + 1e-12) == 0);
  CHECK(dropped(importance_gate::binary_kl, importance_level::sequence, kl_1 + kl_2 - 1e-12) == 3);
  // Probabilities of 0 and 1 are clamped: the divergence stays finite.
  const numbers never{-inf}, always{0.0};
  const auto far = importance_weights(never, always, padded(1, 1),
                                      {.mode = bound_mode::mask, .gate = importance_gate::binary_kl, .upper = 14});
  CHECK(far.dropped == 0);
}

TEST_CASE("importance weights: a missing behaviour log-probability is neutral") {
  const numbers behaviour{unknown, -1, unknown}, learner{-5, -2, -1};
  const auto token =
      importance_weights(learner, behaviour, padded(1, 3), {.mode = bound_mode::mask, .lower = 1.5, .upper = 2});
  CHECK(token.weight == numbers{1, 0, 1});
  CHECK(token.missing == 2);
  CHECK(token.dropped == 1);
  const auto truncated = importance_weights(learner, behaviour, padded(1, 3), {.lower = 1.5, .upper = 2});
  CHECK(truncated.weight == numbers{1, 1.5, 1});
  CHECK(truncated.truncated == 1);
  const auto sequence = importance_weights(learner, behaviour, padded(1, 3), {.level = importance_level::sequence});
  check_near(sequence.weight, {std::exp(-1), std::exp(-1), std::exp(-1)});
  const numbers none{unknown, unknown, unknown};
  for (auto gate : {importance_gate::ratio, importance_gate::binary_kl, importance_gate::total_variation})
    CHECK(importance_weights(learner, none, padded(1, 3),
                             {.level = importance_level::sequence_mean, .mode = bound_mode::mask, .gate = gate})
              .weight == numbers{1, 1, 1});
}

TEST_CASE("importance weights: ratios beyond every range") {
  const numbers behaviour{-1000, 0, -inf, -inf}, learner{0, -1000, -1, -inf};
  const auto truncated = importance_weights(learner, behaviour, padded(1, 4));
  CHECK(truncated.weight[0] == 2);
  CHECK(truncated.weight[1] == doctest::Approx(std::exp(-20)));
  CHECK(truncated.weight[2] == 2);
  CHECK(truncated.weight[3] == 1);  // both policies give 0
  CHECK(truncated.truncated == 2);  // the first and the third: what stays as it is does not count
  const auto masked =
      importance_weights(learner, behaviour, padded(1, 4), {.mode = bound_mode::mask, .log_ratio_clamp = inf});
  CHECK(masked.weight == numbers{0, 0, 0, 1});
  CHECK(masked.dropped == 2);  // a ratio of 0 lies inside [0, 2]
  const numbers masked_behaviour{-1000, 0}, masked_learner{unknown, 0}, mask{0, 1};
  CHECK(importance_weights(masked_learner, masked_behaviour, padded(1, 2, mask)).weight == numbers{0, 1});
}

TEST_CASE("importance weights: what is truncated, and what is no number") {
  // Ratios 4, 2, 1, 1/2, 1/4 and NaN between the bounds 1/2 and 2, both inclusive.
  const double l = std::log(2.0);
  const numbers behaviour{-2 * l, -l, 0, 0, 0, 0}, learner{0, 0, 0, -l, -2 * l, std::nan("")};
  const importance_options bounds{.lower = std::exp(-l), .upper = std::exp(l), .log_ratio_clamp = inf};
  const auto got = importance_weights(learner, behaviour, padded(1, 6), bounds);
  CHECK(got.truncated == 2);
  CHECK(got.dropped == 0);
  CHECK(got.weight[0] == doctest::Approx(2));
  CHECK(got.weight[1] == doctest::Approx(2));
  CHECK(got.weight[4] == doctest::Approx(0.5));
  CHECK(std::isnan(got.weight[5]));  // it shows, and is not counted as truncated
  CHECK_THROWS_NAMING(importance_weights(learner, behaviour, padded(1, 6), {.batch_mean = 2}), "is_batch_normalised");
}

TEST_CASE("tokens to which both policies give the probability 0 have the log-ratio 0") {
  const numbers learner{-inf, -1}, behaviour{-inf, -2};
  for (const auto level : {importance_level::token, importance_level::sequence, importance_level::sequence_mean}) {
    const auto got = importance_weights(learner, behaviour, padded(1, 2), {.level = level, .upper = 10});
    const double whole = level == importance_level::sequence ? std::exp(1) : std::exp(0.5);
    CHECK(got.weight[0] == doctest::Approx(level == importance_level::token ? 1 : whole));
    CHECK(got.weight[1] == doctest::Approx(level == importance_level::token ? std::exp(1) : whole));
  }
}

TEST_CASE("importance weights: nothing, a masked row, one token") {
  const numbers none, one{-1};
  CHECK(importance_weights(none, none, padded(0, 0)).weight.empty());
  CHECK(importance_weights(none, none, padded(0, 0)).dropped_share() == 0);
  CHECK(importance_weights(one, one, padded(1, 1)).weight == numbers{1});
  const numbers x{-1, -2, -3, -4}, mask{0, 0, 1, 1};
  const auto result =
      importance_weights(x, x, padded(2, 2, mask),
                         {.level = importance_level::sequence, .mode = bound_mode::mask, .lower = 2, .upper = 3});
  CHECK(result.weight == numbers{0, 0, 0, 0});
  CHECK(result.counted == 2);
  CHECK(result.sequences == 1);
  CHECK(result.dropped == 2);
  CHECK(result.dropped_sequences == 1);
}

TEST_CASE("importance weights: layouts agree") {
  const numbers flat_learner{-1, -2, -1.5, -3, -2}, flat_behaviour{-1.2, -1.5, -1.5, -2, -2.5};
  const std::vector<int> offsets{0, 3, 5};
  const numbers padded_learner{9, -1, -2, -1.5, -3, 9, 9, -2},
      padded_behaviour{9, -1.2, -1.5, -1.5, -2, unknown, 9, -2.5};
  const std::vector<int> mask{0, 1, 1, 1, 1, 0, 0, 1};
  const numbers packed_learner{-3, -1, -2, -2, -1.5}, packed_behaviour{-2, -1.2, -2.5, -1.5, -1.5};
  const std::vector<int> ids{1, 0, 1, 0, 0};
  for (auto level : {importance_level::token, importance_level::sequence, importance_level::sequence_mean})
    for (auto mode : {bound_mode::truncate, bound_mode::mask}) {
      const importance_options o{.level = level, .mode = mode, .lower = 0.7, .upper = 1.2, .is_batch_normalised = true};
      const auto a = importance_weights(flat_learner, flat_behaviour, ragged(offsets), o);
      const auto b = importance_weights(padded_learner, padded_behaviour, padded(2, 4, mask), o);
      const auto c = importance_weights(packed_learner, packed_behaviour, packed(ids), o);
      CHECK(b.weight == numbers{0, a.weight[0], a.weight[1], a.weight[2], a.weight[3], 0, 0, a.weight[4]});
      CHECK(c.weight == numbers{a.weight[3], a.weight[0], a.weight[4], a.weight[1], a.weight[2]});
      CHECK(a.mean == b.mean);
      CHECK(a.dropped == c.dropped);
      CHECK(b.missing == 0);
    }
}

TEST_CASE("importance weights: batch normalisation, in one part or two") {
  const numbers learner{-1, -2, -1.5, -3}, behaviour{-1.5, -2, -1.7, -3.5};
  const std::vector<int> whole{0, 3, 4}, first{0, 3}, second{0, 1};
  for (auto level : {importance_level::token, importance_level::sequence}) {
    importance_options o{.level = level, .is_batch_normalised = true};
    const auto all = importance_weights(learner, behaviour, ragged(whole), o);
    double mean = 0;
    for (double w : all.weight) mean += w;
    if (level == importance_level::token)
      CHECK(mean / 4 == doctest::Approx(1));
    else
      CHECK((all.weight[0] + all.weight[3]) / 2 == doctest::Approx(1));
    const column l1(learner.data(), 3), l2(learner.data() + 3, 1), b1(behaviour.data(), 3), b2(behaviour.data() + 3, 1);
    const auto one = importance_weights(l1, b1, ragged(first), o), two = importance_weights(l2, b2, ragged(second), o);
    o.batch_mean = (one.mean * one.mean_count + two.mean * two.mean_count) / (one.mean_count + two.mean_count);
    CHECK(o.batch_mean == doctest::Approx(all.mean));
    CHECK(importance_weights(l2, b2, ragged(second), o).weight[0] == doctest::Approx(all.weight[3]));
  }
  // Nothing kept: nothing to divide by.
  const auto none = importance_weights(learner, behaviour, ragged(whole),
                                       {.mode = bound_mode::mask, .lower = 5, .upper = 6, .is_batch_normalised = true});
  CHECK(none.weight == numbers{0, 0, 0, 0});
}

TEST_CASE("importance weights: errors name the argument") {
  const numbers two{-1, -1}, three{-1, -1, -1};
  CHECK_THROWS_NAMING(importance_weights(two, three, padded(1, 3)), "log_prob");
  CHECK_THROWS_NAMING(importance_weights(three, two, padded(1, 3)), "behaviour_log_prob");
  CHECK_THROWS_NAMING(importance_weights(two, two, padded(1, 2), {.lower = -1}), "lower");
  CHECK_THROWS_NAMING(importance_weights(two, two, padded(1, 2), {.lower = unknown}), "lower");
  CHECK_THROWS_NAMING(importance_weights(two, two, padded(1, 2), {.lower = 3}), "upper");
  CHECK_THROWS_NAMING(importance_weights(two, two, padded(1, 2), {.log_ratio_clamp = 0}), "log_ratio_clamp");
  CHECK_THROWS_NAMING(importance_weights(two, two, padded(1, 2), {.batch_mean = -1}), "batch_mean");
  CHECK_THROWS_NAMING(importance_weights(two, two, padded(1, 2), {.gate = importance_gate::binary_kl}), "mode");
}
