#include <emend/sequence_match/trajectory_forest.hpp>

#include <doctest/doctest.h>

#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using ids = std::vector<index>;

const action_ids words{.end = 9, .backspace = 10, .reset = 11};

TEST_CASE("a forest shares a prompt with the trajectory before it, and with no other") {
  const auto written = [](const ids& prompt) { return rollout_trajectory(prompt, ids{5}, words); };
  const auto tokens = [&](const std::vector<ids>& prompts) {
    std::vector<trajectory> all;
    for (const ids& prompt : prompts) all.push_back(written(prompt));
    return trajectory_forest(all).token();
  };
  CHECK(tokens({{0, 1}}) == ids{0, 1, 5});
  CHECK(tokens({{0, 1}, {0, 1}, {0, 1}}) == ids{0, 1, 5, 5, 5});
  CHECK(tokens({{0, 1}, {0, 2}}) == ids{0, 1, 5, 0, 2, 5});
  CHECK(tokens({{0, 1}, {0}, {0, 1}}) == ids{0, 1, 5, 0, 5, 0, 1, 5});
  CHECK(tokens({{0}, {0, 1}, {0, 1}, {0}}) == ids{0, 5, 0, 1, 5, 5, 0, 5});
  // Where the prompt lies that a third trajectory shares.
  const trajectory_forest forest(std::vector<trajectory>{written({0}), written({0, 1}), written({0, 1})});
  CHECK(forest.parent() == ids{-1, 0, -1, 2, 3, 3});
  CHECK(forest.depth() == ids{0, 1, 0, 1, 2, 2});
}

TEST_CASE("a forest reads the states that its trajectories pass; neighbours share their prompt") {
  const std::vector<trajectory> all{data_trajectory(ids{0, 1}, {{5, 10, 2, 9}, {2, 10, 2, 9}}, words),
                                    rollout_trajectory(ids{0, 1}, ids{5, 9}, words),
                                    rollout_trajectory(ids{0}, ids{10}, words), data_trajectory(ids{0}, {}, words)};
  const trajectory_forest forest(all);
  CHECK(forest.trajectories() == 4);
  CHECK(forest.token() == ids{0, 1, 5, 2, 9, 5, 9, 0});
  CHECK(forest.parent() == ids{-1, 0, 1, 1, 3, 1, 5, -1});
  CHECK(forest.depth() == ids{0, 1, 2, 2, 3, 2, 3, 0});
  CHECK(forest.rows() == ids{1, 2, 3, 4, 5, 6, 7});
  const trajectory_columns c = forest.columns();
  const ids at{0, 1, 0, 2, 3, 0, 4, 5, 6, 6, 6}, label{2, 10, 2, 9, -1, 5, 9, -1, 10, -1, -1}, offsets{0, 5, 8, 10, 11};
  REQUIRE(c.at.size() == static_cast<index>(at.size()));
  for (index i = 0; i < c.at.size(); ++i) {
    CHECK(c.at[i] == at[static_cast<std::size_t>(i)]);
    CHECK(c.label[i] == label[static_cast<std::size_t>(i)]);
  }
  for (index j = 0; j < 5; ++j) CHECK(c.offsets[j] == offsets[static_cast<std::size_t>(j)]);
  CHECK(c.is_rollout[1] == 1);
  CHECK(c.is_complete[2] == 0);
  CHECK(c.is_at_floor[0] == 1);
  CHECK(c.is_at_floor[1] == 0);
  CHECK(c.is_at_floor[6] == 1);
  CHECK(forest.data().trajectories == 2);
  CHECK(forest.data().actions == 4);
  CHECK(forest.rollouts().actions == 3);

  // From the first token on everything can be erased: then more of a prompt is read.
  const trajectory_forest deep(std::vector<trajectory>{all[1], rollout_trajectory(ids{0, 1}, ids{10, 3, 9}, words)},
                               erase_floor::beginning);
  CHECK(deep.token() == ids{0, 1, 5, 9, 3, 9});
  CHECK(deep.parent() == ids{-1, 0, 1, 2, 0, 4});
  CHECK(deep.rows() == ids{0, 1, 2, 3, 4, 5});
  CHECK(deep.columns().is_at_floor[0] == 1);
  CHECK(deep.columns().is_at_floor[1] == 0);

  CHECK(trajectory_forest(std::vector<trajectory>{}).columns().offsets.size() == 1);
  trajectory bad = all[0];
  bad.label.pop_back();
  CHECK_THROWS_NAMING(trajectory_forest(std::vector<trajectory>{bad}), "label");
}

}  // namespace
