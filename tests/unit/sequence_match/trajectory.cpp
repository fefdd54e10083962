#include <emend/sequence_match/trajectory.hpp>

#include <doctest/doctest.h>

#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using ids = std::vector<index>;

const action_ids words{.end = 9, .backspace = 10, .reset = 11};

TEST_CASE("trajectories of data and of the model; over-long ones end by force, or not") {
  const trajectory t = data_trajectory(ids{0, 1}, {{5, 10, 2, 9}, {2, 10, 2, 9}}, words);
  CHECK(t.is_complete);
  CHECK(!t.is_rollout);
  CHECK(t.label == ids{2, 10, 2, 9});
  const trajectory cut = cut_trajectory(t, 3, overlong_treatment::forced_end, words);
  CHECK(cut.is_complete);
  CHECK(cut.label == ids{2, 10, 2});
  CHECK(cut.actions.back().kind == action_kind::append);
  CHECK(cut.actions.back().argument == 9);
  const trajectory open = cut_trajectory(t, 3, overlong_treatment::no_tail, words);
  CHECK(!open.is_complete);
  CHECK(open.actions.back().argument == 2);
  CHECK(cut_trajectory(t, 4, overlong_treatment::no_tail, words).is_complete);
  const trajectory own = rollout_trajectory(ids{0}, ids{3, 11, 4}, words);
  CHECK(own.is_rollout);
  CHECK(!own.is_complete);
  CHECK(own.label == ids{3, 11, 4});
  CHECK(!data_trajectory(ids{0}, {}, words).is_complete);
  CHECK_THROWS_NAMING(data_trajectory(ids{}, {}, words), "prompt");
  CHECK_THROWS_NAMING(data_trajectory(ids{0}, {{1}, {}}, words), "label");
  CHECK_THROWS_NAMING(rollout_trajectory(ids{0}, ids{9, 1}, words), "pushed");
  CHECK_THROWS_NAMING(cut_trajectory(t, 0, overlong_treatment::no_tail, words), "longest");
  CHECK_THROWS_NAMING(cut_trajectory(t, 2, overlong_treatment::forced_end, {}), "ids.end");
}

}  // namespace
