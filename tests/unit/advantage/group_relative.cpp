#include <emend/advantage/group_relative.hpp>

#include <doctest/doctest.h>

#include <cmath>

#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using numbers = std::vector<double>;

const double absent = __builtin_nan("");

TEST_CASE("GRPO, Dr. GRPO, biased, over the batch") {
  const numbers reward{1, 3, 10};
  const std::vector<int> group{0, 0, 1};
  const auto grpo = group_relative(reward, group, {.epsilon = 1});
  CHECK(grpo.advantage[0] == doctest::Approx(-1 / (std::sqrt(2) + 1)));
  CHECK(grpo.baseline == numbers{2, 2, 10});
  CHECK(grpo.deviation[1] == doctest::Approx(std::sqrt(2)));
  CHECK(group_relative(reward, group, {.deviation = reward_scope::none}).advantage == numbers{-1, 1, 0});
  CHECK(group_relative(reward, group, {.is_unbiased = false, .epsilon = 0}).advantage[1] == 1);
  const double batch = moments_of(reward).deviation();
  CHECK(group_relative(reward, group, {.deviation = reward_scope::batch, .epsilon = 0}).advantage[0] ==
        doctest::Approx(-1 / batch));
  // flash_reinforce: less the mean of the whole batch
  CHECK(group_relative(reward, group, {.mean = reward_scope::batch, .deviation = reward_scope::none}).advantage[2] ==
        doctest::Approx(10 - 14.0 / 3));
  // no scope at all leaves the reward
  CHECK(group_relative(reward, group, {.mean = reward_scope::none, .deviation = reward_scope::none}).advantage ==
        reward);
}

TEST_CASE("alone in a group: 0, or the raw reward") {
  const numbers reward{5};
  CHECK(group_relative(reward, {}, {}).advantage == numbers{0});
  CHECK(group_relative(reward, {}, {.epsilon = 0, .lone = lone_sequence::raw}).advantage == numbers{5});
}

TEST_CASE("an absent reward is in no mean and has no advantage") {
  const numbers reward{1, absent, 3, absent}, without{1, 3};
  const std::vector<int> group{0, 0, 0, 1};
  const auto got = group_relative(reward, group);
  const auto want = group_relative(without, {});
  CHECK(got.advantage == numbers{want.advantage[0], 0, want.advantage[1], 0});
  // `counts` leaves a reward out of the means, yet compares it with them.
  const std::vector<int> counts{1, 0, 1};
  const numbers three{1, 8, 3};
  CHECK(group_relative(three, {}, {.deviation = reward_scope::none, .counts = counts}).advantage == numbers{-1, 6, 1});
}

TEST_CASE("no spread: zeros, not a quotient of rounding errors") {
  const numbers equal{0.1, 0.1, 0.1};
  for (const group_relative_options& options :
       {group_relative_options{}, group_relative_options{.epsilon = 0},
        group_relative_options{
            .mean = reward_scope::leave_one_out, .deviation = reward_scope::leave_one_out, .keeps_constant = true}})
    for (double a : group_relative(equal, {}, options).advantage) CHECK(std::abs(a) < 1e-9);
  // The others of the second are equal: its deviation is exactly 0, and it is not divided.
  const numbers one_off{0.1, 0.7, 0.1};
  const auto got = group_relative(
      one_off, {},
      {.mean = reward_scope::leave_one_out, .deviation = reward_scope::leave_one_out, .keeps_constant = true});
  CHECK(got.deviation[1] == 0);
  CHECK(got.advantage[1] == doctest::Approx(0.6));
}

TEST_CASE("the batch's moments may come from outside") {
  const numbers whole{1, 2, 3, 10}, part{1, 2};
  const moments batch = moments_of(whole);
  const auto all = group_relative(whole, {}, {.mean = reward_scope::batch, .deviation = reward_scope::batch});
  const auto some =
      group_relative(part, {}, {.mean = reward_scope::batch, .deviation = reward_scope::batch, .batch = batch});
  CHECK(some.advantage[1] == doctest::Approx(all.advantage[1]));
}

TEST_CASE("nothing in, nothing out; errors name the argument") {
  CHECK(group_relative({}, id_column{}).advantage.empty());
  const numbers two{1, 2}, three{1, 2, 3};
  const std::vector<int> group{0, 0};
  CHECK_THROWS_NAMING(group_relative(three, group), "group");
  CHECK_THROWS_NAMING(group_relative(two, group, {.epsilon = -1}), "epsilon");
  CHECK_THROWS_NAMING(group_relative(two, group, {.counts = three}), "counts");
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

TEST_CASE("a large reward leaves the deviation of the others as it is") {
  const auto result = group_relative({1e15, .1, .2}, groups::of_size(3, 3), {.deviation = reward_scope::leave_one_out});
  CHECK(result.deviation[0] == doctest::Approx(0.1 / std::sqrt(2.0)));
}

TEST_CASE("an infinite reward is refused, whatever it is compared with") {
  const std::vector<int> group{0, 0, 1, 1};
  const numbers good{1, 2, 3, 4};
  for (const double wrong : {HUGE_VAL, -HUGE_VAL}) {
    const numbers reward{1, 2, 3, wrong};
    for (const reward_scope scope :
         {reward_scope::group, reward_scope::batch, reward_scope::leave_one_out, reward_scope::none})
      CHECK_THROWS_NAMING(group_relative(reward, group, {.mean = scope, .deviation = scope}), "reward");
    CHECK_THROWS_NAMING(group_relative(good, group, {.batch = {4, wrong, 1}}), "batch");
    CHECK_THROWS_NAMING(group_relative(good, group, {.batch = {4, 1, wrong}}), "batch");
  }
  // Rewards whose sum overflows show.
  for (const double shown : group_relative(numbers{1.5e308, 1.6e308, -1e308}, {}).advantage)
    CHECK(!std::isfinite(shown));
}

TEST_CASE("finite rewards whose squares overflow are no zeros") {
  const numbers far{1e200, -1e200};
  for (const reward_scope scope : {reward_scope::group, reward_scope::batch})
    for (const double x : group_relative(far, groups::of_size(2, 2), {.deviation = scope}).advantage)
      CHECK(std::isnan(x));
  const auto left_out =
      group_relative({1e200, -1e200, 1}, groups::of_size(3, 3), {.deviation = reward_scope::leave_one_out});
  for (const double x : left_out.advantage) CHECK(std::isnan(x));
  CHECK(group_relative(far, groups::of_size(2, 2), {.deviation = reward_scope::none}).advantage == far);
}

}  // namespace
