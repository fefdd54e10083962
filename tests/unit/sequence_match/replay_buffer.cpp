#include <emend/sequence_match/replay_buffer.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using ids = std::vector<index>;

const action_ids words{.end = 9, .backspace = 10, .reset = 11};

TEST_CASE("a replay buffer: the oldest go first, draws are of different ones and functions of seed and step") {
  replay_buffer buffer(4);
  CHECK(buffer.draw(3, 1, 1).empty());
  for (index i = 0; i < 6; ++i) buffer.push(rollout_trajectory(ids{i}, ids{}, words));
  CHECK(buffer.size() == 4);
  for (index i = 0; i < 4; ++i) CHECK(buffer[i].prompt == ids{i + 2});
  replay_buffer again(4);
  for (index i = 0; i < 4; ++i) again.push(buffer[i]);
  ids seen(6, 0);
  for (std::uint64_t step = 0; step < 4000; ++step) {
    const auto drawn = buffer.draw(2, 7, step), same = again.draw(2, 7, step);
    REQUIRE(drawn.size() == 2);
    CHECK(drawn[0].prompt != drawn[1].prompt);
    for (std::size_t k = 0; k < 2; ++k) {
      CHECK(drawn[k].prompt == same[k].prompt);
      ++seen[static_cast<std::size_t>(drawn[k].prompt[0])];
    }
  }
  for (std::size_t i = 2; i < 6; ++i) CHECK(std::abs(static_cast<double>(seen[i]) - 2000) < 200);
  CHECK(buffer.draw(9, 1, 1).size() == 4);
  CHECK_THROWS_NAMING(replay_buffer(0), "capacity");
  CHECK_THROWS_NAMING(buffer.draw(-1, 0, 0), "count");
  CHECK_THROWS_NAMING(buffer[4], "i");
}

}  // namespace
