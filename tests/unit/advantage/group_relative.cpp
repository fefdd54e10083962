#include <emend/advantage/gdpo.hpp>
#include <emend/advantage/gpg.hpp>
#include <emend/advantage/group_relative.hpp>
#include <emend/advantage/leave_one_out.hpp>
#include <emend/advantage/opo.hpp>
#include <emend/advantage/pass_at_k.hpp>

#include <doctest/doctest.h>

#include <cmath>

#include "../random_numbers.hpp"
#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using numbers = std::vector<double>;

const double absent = __builtin_nan("");

TEST_CASE("groups: any ids, in any order, numbered by first member") {
  const std::vector<long> ids{7, -3, 7, 1'000'000'007, -3, 7};
  const groups of(ids, 6);
  CHECK(of.count() == 3);
  CHECK(of.size(0) == 3);
  CHECK(of.member(0, 2) == 5);
  CHECK(of.member(1, 0) == 1);
  CHECK(of.group_of(3) == 2);
  CHECK(groups({}, 4).size(0) == 4);
  CHECK(groups({}, 0).count() == 0);
  const groups blocks = groups::of_size(2, 5);
  CHECK(blocks.count() == 3);
  CHECK(blocks.size(2) == 1);
  random_numbers random;
  const std::vector<int> many = random.ids(500, 60);
  const groups hashed(many, 500);
  for (index g = 0; g < hashed.count(); ++g)
    for (index k = 0; k < hashed.size(g); ++k)
      CHECK(many[static_cast<std::size_t>(hashed.member(g, k))] == many[static_cast<std::size_t>(hashed.member(g, 0))]);
  std::vector<long> far(2000);
  for (std::size_t b = 0; b < far.size(); ++b) far[b] = static_cast<long>(b / 2) << 32;
  CHECK(groups(far, 2000).count() == 1000);
  CHECK_THROWS_NAMING(groups(ids, 5), "group");
  CHECK_THROWS_NAMING(groups::of_size(0, 5), "group size");
}

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
  CHECK(leave_one_out(reward, {}) == numbers{0});
  CHECK(leave_one_out(reward, {}, lone_sequence::raw) == numbers{5});
}

TEST_CASE("an absent reward is in no mean and has no advantage") {
  const numbers reward{1, absent, 3, absent}, without{1, 3};
  const std::vector<int> group{0, 0, 0, 1};
  const auto got = group_relative(reward, group);
  const auto want = group_relative(without, {});
  CHECK(got.advantage == numbers{want.advantage[0], 0, want.advantage[1], 0});
  CHECK(leave_one_out(reward, group) == numbers{-2, 0, 2, 0});
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

TEST_CASE("leave-one-out by its definition") {
  random_numbers random;
  const numbers reward = random.normal(40);
  const std::vector<int> group = random.ids(40, 6);
  const auto got =
      group_relative(reward, group, {.mean = reward_scope::leave_one_out, .deviation = reward_scope::leave_one_out});
  const numbers rloo = leave_one_out(reward, group);
  for (std::size_t i = 0; i < 40; ++i) {
    moments others;
    for (std::size_t j = 0; j < 40; ++j)
      if (j != i && group[j] == group[i]) others.add(reward[j]);
    if (others.count == 0) continue;
    CHECK(rloo[i] == doctest::Approx(reward[i] - others.mean));
    CHECK(got.deviation[i] == doctest::Approx(others.deviation()));
  }
}

TEST_CASE("the batch's moments may come from outside") {
  const numbers whole{1, 2, 3, 10}, part{1, 2};
  const moments batch = moments_of(whole);
  const auto all = group_relative(whole, {}, {.mean = reward_scope::batch, .deviation = reward_scope::batch});
  const auto some =
      group_relative(part, {}, {.mean = reward_scope::batch, .deviation = reward_scope::batch, .batch = batch});
  CHECK(some.advantage[1] == doctest::Approx(all.advantage[1]));
}

TEST_CASE("OPO weighs by length") {
  const numbers reward{1, 4, 7};
  const std::vector<int> offsets{0, 1, 4, 4}, group{0, 0, 1};
  CHECK(opo(reward, group, ragged(offsets)) == numbers{1 - 13.0 / 4, 4 - 13.0 / 4, 0});
  CHECK(opo(reward, group, ragged(offsets), lone_sequence::raw)[2] == 7);
  const std::vector<int> no_tokens{0, 0, 0};
  const numbers two{1, 2};
  CHECK(opo(two, {}, ragged(no_tokens)) == two);
  CHECK_THROWS_NAMING(opo(two, {}, ragged(offsets)), "reward");
}

TEST_CASE("pass@k: the lead of the best") {
  const numbers reward{1, 5, 4, 9};
  const std::vector<int> group{0, 0, 0, 1};
  CHECK(pass_at_k(reward, group, {.is_scaled = false}) == numbers{0, 1, 0, 0});
  const numbers three{1, 5, 4};
  CHECK(pass_at_k(reward, group, {.epsilon = 0})[1] == doctest::Approx(1 / moments_of(three).deviation()));
  const numbers tied{2, 2}, one_absent{2, absent}, falling{3, 2, 1};
  CHECK(pass_at_k(tied, {}) == numbers{0, 0});
  CHECK(pass_at_k(tied, {}, {.epsilon = 0}) == numbers{0, 0});
  CHECK(pass_at_k(one_absent, {}) == numbers{0, 0});
  CHECK(pass_at_k(falling, {}, {.is_scaled = false}) == numbers{1, 0, 0});
}

TEST_CASE("GPG scales by the share of rewards other than 0") {
  const numbers reward{0, 2, 0, 0}, nothing{0, 0};
  CHECK(gpg(reward, {}) == numbers{-2, 6, -2, -2});
  CHECK(gpg(reward, {}, {.scale = 2}) == numbers{-1, 3, -1, -1});
  CHECK(gpg(nothing, {}) == numbers{0, 0});
  const numbers part{0, 2};
  CHECK(gpg(part, {}, {.sequences = 4, .earning = 1})[1] == 4);  // counts of the whole batch
  CHECK_THROWS_NAMING(gpg(reward, {}, {.scale = 0}), "scale");
}

TEST_CASE("several rewards, each in its own scale") {
  const numbers small{0, 1}, large{1000, 0}, weight{1, 2};
  const numbers sum = normalise_then_sum({small, large}, weight, {}, {.is_unbiased = false, .epsilon = 0});
  CHECK(sum == numbers{-1 + 2, 1 - 2});
  const numbers tokens =
      gdpo({small, large}, weight, {}, padded(2, 2), {.epsilon = 0}, {.is_unbiased = false, .epsilon = 0});
  for (std::size_t t = 0; t < 4; ++t) CHECK(tokens[t] == doctest::Approx(t < 2 ? 1 : -1));
  CHECK_THROWS_NAMING(normalise_then_sum({}, {}, {}), "rewards");
  CHECK_THROWS_NAMING(normalise_then_sum({small}, weight, {}), "weight");
}

TEST_CASE("nothing in, nothing out; errors name the argument") {
  CHECK(group_relative({}, id_column{}).advantage.empty());
  CHECK(pass_at_k({}, {}).empty());
  const numbers two{1, 2}, three{1, 2, 3};
  const std::vector<int> group{0, 0};
  CHECK_THROWS_NAMING(group_relative(three, group), "group");
  CHECK_THROWS_NAMING(group_relative(two, group, {.epsilon = -1}), "epsilon");
  CHECK_THROWS_NAMING(group_relative(two, group, {.counts = three}), "counts");
}

}  // namespace
