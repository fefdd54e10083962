#include <emend/core/random.hpp>
#include <emend/sequence_match/attention_mask.hpp>
#include <emend/sequence_match/augment.hpp>
#include <emend/sequence_match/packing.hpp>

#include <doctest/doctest.h>

#include "throws.hpp"

#include <algorithm>
#include <string>

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using ids = std::vector<index>;

/// The text after some actions, by its definition.
ids text_after(ids text, const std::vector<action>& actions, std::size_t count, index floor) {
  for (std::size_t k = 0; k < count; ++k) {
    const action& a = actions[k];
    if (a.kind == action_kind::append) text.push_back(a.argument);
    const index erased = a.kind == action_kind::erase   ? a.argument
                         : a.kind == action_kind::reset ? static_cast<index>(text.size())
                                                        : 0;
    for (index e = 0; e<erased&& static_cast<index>(text.size())> floor; ++e) text.pop_back();
  }
  return text;
}

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

TEST_CASE("dense masks of any type and bits say what the lists of ancestors say") {
  const state_slots slots = pack_slots(ids{7}, {{action_kind::append, 1}, {action_kind::erase, 1}});
  CHECK(slots.parent == ids{-1, 0, -1});
  std::vector<float> mask(9, -1);
  write_attention_mask(slots.parent, mask.data(), 0.0f, -1e9f);
  CHECK(mask == std::vector<float>{0, -1e9f, -1e9f, 0, 0, -1e9f, -1e9f, -1e9f, 0});
  for (std::uint64_t trial = 0; trial < 50; ++trial) {
    const counter_random random{trial};
    const index n = random.below(200, 0, 0), words = mask_words(n);
    ids parent;
    for (index i = 0; i < n; ++i) parent.push_back(random.below(i + 1, 1, static_cast<std::uint64_t>(i)) - 1);
    const attended_nodes lists = list_attended(parent);
    const auto size = static_cast<std::size_t>(n);
    std::vector<unsigned char> bytes(size * size, 9);
    std::vector<double> padded(size * (size + 3), 5);
    std::vector<std::uint64_t> bits(static_cast<std::size_t>(n * words), ~std::uint64_t{0});
    write_attention_mask(parent, bytes.data());
    write_attention_mask(parent, padded.data(), 0.5, -2.0, n + 3);
    write_attention_bits(parent, bits.data());
    for (index i = 0; i < n; ++i)
      for (index j = 0; j < words * 64; ++j) {
        const auto begin = lists.attended.begin() + lists.offsets[static_cast<std::size_t>(i)],
                   end = lists.attended.begin() + lists.offsets[static_cast<std::size_t>(i) + 1];
        const bool attends = std::find(begin, end, j) != end;
        const auto a = static_cast<std::size_t>(i), b = static_cast<std::size_t>(j);
        CHECK(((bits[a * static_cast<std::size_t>(words) + b / 64] >> (b % 64)) & 1) == attends);
        if (j >= n) continue;
        CHECK(bytes[a * size + b] == attends);
        CHECK(padded[a * (size + 3) + b] == (attends ? 0.5 : -2.0));
      }
    for (std::size_t i = 0; i < size; ++i) CHECK(padded[i * (size + 3) + size] == 5);
  }
}

TEST_CASE("masks larger than the cache, with rows that stand on any byte") {
  const index n = 3001;
  ids parent{-1};
  for (index i = 1; i < n; ++i) parent.push_back(i % 7 == 0 ? i - 3 : i % 500 == 0 ? -1 : i - 1);
  std::vector<char> mask(static_cast<std::size_t>(n * n) + 5, 7), row(static_cast<std::size_t>(n));
  write_attention_mask(parent, mask.data() + 3, char{1}, char{2});
  bool is_right = mask[2] == 7 && mask[static_cast<std::size_t>(n * n) + 3] == 7;
  for (index i = 0; i < n; ++i) {
    std::fill(row.begin(), row.end(), 2);
    for (index a = i; a >= 0; a = parent[static_cast<std::size_t>(a)]) row[static_cast<std::size_t>(a)] = 1;
    is_right &= std::equal(row.begin(), row.end(), mask.begin() + 3 + i * n);
  }
  CHECK(is_right);
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

TEST_CASE("errors with their backspaces end in the clean text, whatever the treatment") {
  const ids tokens{1, 2, 3}, runs{0, 2, 1}, noise{8, 9, 2};
  const auto paper = augment_with_errors(tokens, runs, noise, 5);
  CHECK(paper.pushed == ids{1, 8, 9, 5, 5, 2, 2, 5, 3});
  CHECK(paper.label == ids{1, 2, 5, 5, 5, 2, 3, 5, 3});
  CHECK(augment_with_errors(tokens, runs, noise, 5, noise_treatment::as_action).label ==
        ids{1, 8, 9, 5, 5, 2, 2, 5, 3});
  CHECK(augment_with_errors(tokens, runs, noise, 5, noise_treatment::drop).label == ids{1, -1, -1, 5, 5, 2, -1, 5, 3});
  std::vector<action> actions;
  for (const index a : paper.pushed)
    actions.push_back(a == 5 ? action{action_kind::erase, 1} : action{action_kind::append, a});
  CHECK(text_after({0}, actions, actions.size(), 1) == ids{0, 1, 2, 3});
  const auto none = augment_with_errors(ids{}, ids{}, ids{}, 5);
  CHECK(none.pushed.empty());
  CHECK_THROWS_NAMING(augment_with_errors(tokens, ids{0, 1}, noise, 5), "run_length");
  CHECK_THROWS_NAMING(augment_with_errors(tokens, ids{0, -1, 1}, noise, 5), "run_length");
  CHECK_THROWS_NAMING(augment_with_errors(tokens, runs, ids{8}, 5), "noise_tokens");
}

TEST_CASE("errors name the argument") {
  CHECK_THROWS_NAMING(pack_tree(ids{}, {}), "prompt");
  CHECK_THROWS_NAMING(pack_slots(ids{1}, {{action_kind::append, -1}}), "actions");
  CHECK_THROWS_NAMING(pack_tree(ids{1}, {{action_kind::erase, 0}}), "actions");
  CHECK_THROWS_NAMING(list_attended(ids{0}), "parent");
  CHECK_THROWS_NAMING(list_attended(ids{-1, -2}), "parent");
  std::vector<std::uint64_t> bits(2);
  CHECK_THROWS_NAMING(write_attention_bits(ids{-1, 1}, bits.data()), "parent");
  char mask[4];
  CHECK_THROWS_NAMING(write_attention_mask(ids{-1, 0}, mask, char{1}, char{0}, 1), "row_stride");
}

}  // namespace
