#include <emend/advantage/leave_one_out.hpp>
#include <emend/advantage/group_relative.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "../random_numbers.hpp"
#include "throws.hpp"

namespace {

using namespace emend;
using numbers = std::vector<double>;

TEST_CASE("leave_one_out: by its definition, as the scope of group_relative, too") {
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

TEST_CASE("leave_one_out: alone in a group") {
  CHECK(leave_one_out(numbers{5}, {}) == numbers{0});
  CHECK(leave_one_out(numbers{5}, {}, lone_sequence::raw) == numbers{5});
}

TEST_CASE("leave_one_out: an infinite reward is refused, an absent one is left out") {
  const std::vector<int> group{0, 0, 0, 0};
  for (const double wrong : {HUGE_VAL, -HUGE_VAL})
    CHECK_THROWS_NAMING(leave_one_out(numbers{1, 2, 3, wrong}, group), "reward");
  CHECK(leave_one_out(numbers{1, std::nan(""), 4, 7}, group) == numbers{1 - 5.5, 0, 0, 7 - 2.5});
  CHECK(leave_one_out(numbers{1, std::nan(""), 3, std::nan("")}, std::vector<int>{0, 0, 0, 1}) == numbers{-2, 0, 2, 0});
}

}  // namespace
