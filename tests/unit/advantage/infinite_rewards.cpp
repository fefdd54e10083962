// Rewards that are infinite are refused, and absent ones are left out.
#include <emend/emend.hpp>

#include <doctest/doctest.h>

#include "throws.hpp"

#include <cmath>

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using numbers = std::vector<double>;

const double absent = std::nan("");

TEST_CASE("an infinite reward is refused wherever rewards are compared") {
  const std::vector<int> group{0, 0, 1, 1};
  const std::vector<char> mask(8, 1);
  const padded layout(4, 2, mask);
  for (const double wrong : {HUGE_VAL, -HUGE_VAL}) {
    const numbers reward{1, 2, 3, wrong}, good{1, 2, 3, 4};
    for (const reward_scope scope :
         {reward_scope::group, reward_scope::batch, reward_scope::leave_one_out, reward_scope::none})
      CHECK_THROWS_NAMING(group_relative(reward, group, {.mean = scope, .deviation = scope}), "reward");
    CHECK_THROWS_NAMING(leave_one_out(reward, group), "reward");
    CHECK_THROWS_NAMING(opo(reward, group, layout), "reward");
    CHECK_THROWS_NAMING(pass_at_k(reward, group), "reward");
    CHECK_THROWS_NAMING(gpg(reward, group), "reward");
    CHECK_THROWS_NAMING(reinforce_plus_plus_baseline(reward, group, layout), "reward");
    CHECK_THROWS_NAMING(normalise_then_sum({column(good), column(reward)}, {}, group), "reward");
    CHECK_THROWS_NAMING(gdpo({column(good), column(reward)}, {}, group, layout), "reward");
    CHECK_THROWS_NAMING(group_relative(good, group, {.batch = {4, wrong, 1}}), "batch");
    CHECK_THROWS_NAMING(group_relative(good, group, {.batch = {4, 1, wrong}}), "batch");
    running_moments running;
    running.update(good);
    const double mean = running.mean();
    CHECK_THROWS_NAMING(running.update(reward), "batch");
    CHECK_THROWS_NAMING(running.update(numbers{absent}), "batch");
    CHECK(running.mean() == mean);
    // An advantage that is no number shows.
    for (const double shown : whiten(numbers{1, 2, 3, 4, 5, 6, 7, wrong}, layout)) CHECK(std::isnan(shown));
  }
  // Rewards whose sum overflows show, too.
  for (const double shown : group_relative(numbers{1.5e308, 1.6e308, -1e308}, {}).advantage)
    CHECK(!std::isfinite(shown));
}

TEST_CASE("absent rewards get 0, and their group is that of the others") {
  const numbers reward{1, absent, 4, 7};
  const std::vector<int> group{0, 0, 0, 0};
  CHECK(leave_one_out(reward, group) == numbers{1 - 5.5, 0, 0, 7 - 2.5});
  CHECK(pass_at_k(reward, group, {.is_scaled = false}) == numbers{0, 0, 0, 3});
}

TEST_CASE("a reward that does not count is compared with all that do") {
  const numbers reward{1, 3, 8}, counts{1, 1, 0};
  const std::vector<int> group{0, 0, 0};
  const group_relative_options options{
      .mean = reward_scope::leave_one_out, .deviation = reward_scope::none, .counts = counts};
  const auto got = group_relative(reward, group, options);
  // The others of the first two are each other, those of the third both.
  CHECK(got.advantage == numbers{1 - 3, 3 - 1, 8 - 2});
  CHECK(got.baseline == numbers{3, 1, 2});
  // One that counts has nobody; one that does not has the other.
  const numbers one{1, 0, 0};
  const auto alone = group_relative(reward, group,
                                    {.mean = reward_scope::leave_one_out,
                                     .deviation = reward_scope::none,
                                     .lone = lone_sequence::raw,
                                     .counts = one});
  CHECK(alone.advantage == numbers{1, 3 - 1, 8 - 1});
  const auto deviation = group_relative(
      reward, group,
      {.mean = reward_scope::group, .deviation = reward_scope::leave_one_out, .epsilon = 1, .counts = counts});
  CHECK(deviation.advantage[2] == doctest::Approx((8 - 2) / (std::sqrt(2.0) + 1)));
  CHECK(deviation.advantage[0] == doctest::Approx(1 - 2));
}

TEST_CASE("counts and weights that would be ignored, or are no numbers") {
  const numbers reward{1, 2};
  CHECK_THROWS_NAMING(gpg(reward, {}, {.earning = 2}), "sequences");
  CHECK_THROWS_NAMING(gpg(reward, {}, {.sequences = -1}), "sequences");
  CHECK_THROWS_NAMING(gpg(reward, {}, {.sequences = 1, .earning = -1}), "earning");
  CHECK_THROWS_NAMING(pass_at_k(reward, {}, {.epsilon = -1}), "epsilon");
  CHECK_THROWS_NAMING(whiten(reward, padded(1, 2), {.given = {-1, 0, 0}}), "given.count");
  CHECK_THROWS_NAMING(normalise_then_sum({column(reward)}, numbers{absent}, {}), "weight");
  // A weight of 0 takes a reward out, whatever its advantages are.
  const numbers big{1.7e308, -1.7e308};
  CHECK(normalise_then_sum({column(reward), column(big)}, numbers{1, 0}, {}) ==
        normalise_then_sum({column(reward)}, numbers{1}, {}));
}

}  // namespace

TEST_CASE("finite numbers whose squares overflow are no zeros") {
  const numbers far{1e200, -1e200};
  for (const double x : whiten(far, padded(1, 2))) CHECK(std::isnan(x));
  // Without the division nothing overflows.
  CHECK(whiten(far, padded(1, 2), {.is_scaled = false}) == far);
  for (const reward_scope scope : {reward_scope::group, reward_scope::batch})
    for (const double x : group_relative(far, groups::of_size(2, 2), {.deviation = scope}).advantage)
      CHECK(std::isnan(x));
  const auto left_out =
      group_relative({1e200, -1e200, 1}, groups::of_size(3, 3), {.deviation = reward_scope::leave_one_out});
  for (const double x : left_out.advantage) CHECK(std::isnan(x));
  CHECK(group_relative(far, groups::of_size(2, 2), {.deviation = reward_scope::none}).advantage == far);
  // Just below: 1e153 squared is a number.
  CHECK(whiten({1e153, -1e153}, padded(1, 2), {.epsilon = 0})[0] == doctest::Approx(std::sqrt(0.5)));
}

TEST_CASE("a large reward leaves the deviation of the others as it is") {
  const auto result = group_relative({1e15, .1, .2}, groups::of_size(3, 3), {.deviation = reward_scope::leave_one_out});
  CHECK(result.deviation[0] == doctest::Approx(0.1 / std::sqrt(2.0)));
}

TEST_CASE("given moments out of range are refused, a given count of 0 is none") {
  CHECK_THROWS_NAMING(whiten({1, 2}, padded(1, 2), {.given = {4, 0, -1}}), "given.squares");
  CHECK_THROWS_NAMING(whiten({1, 2}, padded(1, 2), {.given = {4, 0, std::nan("")}}), "given.squares");
  CHECK_THROWS_NAMING(whiten({1, 2}, padded(1, 2), {.given = {4, HUGE_VAL, 1}}), "given");
  CHECK(whiten({1, 2}, padded(1, 2), {.given = {}}) == whiten({1, 2}, padded(1, 2)));
}

TEST_CASE("epsilons and numbers of sequences out of range") {
  CHECK_THROWS_NAMING(groups::of_size(2, -1), "sequences");
  CHECK_THROWS_NAMING(groups({}, -1), "sequences");
  CHECK_THROWS_NAMING(optimal_token_baseline({1, 2}, {-1, -1}, {.5, .5}, {}, padded(1, 2), {.epsilon = -100}),
                      "epsilon");
}
