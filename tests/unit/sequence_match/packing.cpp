#include <emend/core/random.hpp>
#include <emend/sequence_match/attention_mask.hpp>
#include <emend/sequence_match/packing.hpp>

#include <doctest/doctest.h>

#include "text_after.hpp"
#include "throws.hpp"

#include <algorithm>
#include <string>

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using ids = std::vector<index>;

TEST_CASE("both forms read every state as it is, over thousands of random trajectories") {
  for (std::uint64_t trial = 0; trial < 2000; ++trial) {
    const counter_random random{trial};
    ids prompt;
    for (index i = 0, n = 1 + random.below(4, 1, 0); i < n; ++i)
      prompt.push_back(random.below(5, 2, static_cast<std::uint64_t>(i)));
    std::vector<action> actions;
    for (index i = 0, n = random.below(14, 1, 1); i < n; ++i) {
      const double u = random.uniform(3, static_cast<std::uint64_t>(i));
      const index argument = random.below(5, 4, static_cast<std::uint64_t>(i));
      actions.push_back(u < 0.55   ? action{action_kind::append, argument}
                        : u < 0.93 ? action{action_kind::erase, 1 + argument / 2}
                                   : action{action_kind::reset, 0});
    }
    for (const erase_floor where : {erase_floor::prompt_end, erase_floor::beginning}) {
      const index floor = where == erase_floor::prompt_end ? static_cast<index>(prompt.size()) : 1;
      const state_tree tree = pack_tree(prompt, actions, where);
      const state_slots slots = pack_slots(prompt, actions, where);
      const attended_nodes attends = list_attended(slots.parent);
      REQUIRE(tree.at.size() == actions.size() + 1);
      REQUIRE(slots.token.size() == prompt.size() + actions.size());
      REQUIRE(tree.token.size() <= slots.token.size());
      CHECK(std::count(tree.is_at_floor.begin(), tree.is_at_floor.end(), 1) == 1);
      for (std::size_t k = 0; k <= actions.size(); ++k) {
        const ids expected = text_after(prompt, actions, k, floor);
        ids from_tree, from_slots;
        for (index node = tree.at[k]; node >= 0; node = tree.parent[static_cast<std::size_t>(node)])
          from_tree.insert(from_tree.begin(), tree.token[static_cast<std::size_t>(node)]);
        REQUIRE(from_tree == expected);
        CHECK(tree.depth[static_cast<std::size_t>(tree.at[k])] == static_cast<index>(expected.size()) - 1);
        CHECK((tree.is_at_floor[static_cast<std::size_t>(tree.at[k])] != 0) ==
              (static_cast<index>(expected.size()) == floor));
        const std::size_t slot = prompt.size() - 1 + k;
        for (index a = attends.offsets[slot]; a < attends.offsets[slot + 1]; ++a)
          from_slots.push_back(slots.token[static_cast<std::size_t>(attends.attended[static_cast<std::size_t>(a)])]);
        REQUIRE(from_slots == expected);
        CHECK(slots.position[slot] == static_cast<index>(expected.size()) - 1);
      }
    }
  }
}

TEST_CASE("the paper's four replays end in its states") {
  const auto replay = [](const std::string& prompt, const std::string& written) {
    ids text{0};
    for (const char c : prompt) text.push_back(c);
    std::vector<action> actions;
    for (const char c : written)
      actions.push_back(c == 'B' ? action{action_kind::erase, 1} : action{action_kind::append, c});
    const state_tree tree = pack_tree(text, actions, erase_floor::beginning);
    std::string last;
    for (index node = tree.at.back(); tree.parent[static_cast<std::size_t>(node)] >= 0;
         node = tree.parent[static_cast<std::size_t>(node)])
      last.insert(last.begin(), static_cast<char>(tree.token[static_cast<std::size_t>(node)]));
    return last;
  };
  CHECK(replay("-1011", "BBB1101111B1011000010") == "-11101111011000010");
  CHECK(replay("5", "B4417") == "4417");
  CHECK(replay("-374", "BBB576126") == "-576126");
  CHECK(replay("-31", "B31B11111") == "-3311111");
}

TEST_CASE("errors name the argument") {
  CHECK_THROWS_NAMING(pack_tree(ids{}, {}), "prompt");
  CHECK_THROWS_NAMING(pack_slots(ids{1}, {{action_kind::append, -1}}), "actions");
  CHECK_THROWS_NAMING(pack_tree(ids{1}, {{action_kind::erase, 0}}), "actions");
}

}  // namespace
