#pragma once

#include <emend/core/column.hpp>

#include <vector>

namespace emend {

/// What an action does to the text written so far.
///   append  writes `argument`, a token
///   erase   takes away the last `argument` tokens; a backspace erases 1
///   reset   takes away everything down to the floor
/// Erasing stops at the floor: at the floor it does nothing, and is legal.
enum class action_kind { append, erase, reset };
struct action {
  action_kind kind = action_kind::append;
  index argument = 0;
};

/// How far back can be erased: the prompt stays (prompt_end), or all but its first token can go (beginning: the paper's, whose
/// model erases wrong digits of its own prompt).
enum class erase_floor { prompt_end, beginning };

/// The states that a trajectory passes, as a tree: one node for every token that was pushed, read once however often its state
/// comes back. The packed batch of `examples/lm` (ids, parents) is this.
///   a node's attention: itself and its ancestors; its position: its depth
struct state_tree {
  std::vector<index> token, parent, depth;  ///< [nodes]; parent -1 at the root; the prompt's nodes come first
  std::vector<index> at;                    ///< [actions + 1] node whose scores belong to the state after so many actions
  std::vector<char> is_at_floor;            ///< [nodes] whether the node is the trajectory's floor
};

namespace detail {

/// Throws std::invalid_argument unless the prompt has a token, tokens are not below 0, and erasing erases something.
inline void check_actions(id_column prompt, const std::vector<action>& actions) {
  if (prompt.empty()) fail("prompt", "at least one token", "none");
  for (std::size_t i = 0; i < actions.size(); ++i) {
    if (actions[i].kind == action_kind::append && actions[i].argument < 0)
      fail("actions", "tokens not below 0", std::to_string(actions[i].argument) + " at " + std::to_string(i));
    if (actions[i].kind == action_kind::erase && actions[i].argument < 1)
      fail("actions", "erasing of at least 1 token", std::to_string(actions[i].argument) + " at " + std::to_string(i));
  }
}

/// How many tokens of a state of `size` an action takes away.
inline index erased_by(const action& a, index size, index floor) {
  const index most = size - floor;
  return a.kind == action_kind::reset ? most : a.argument < most ? a.argument : most;
}

}  // namespace detail

/// The tree of one trajectory (packing "Form 2"). Appending the token just erased makes a new node.
/// Throws std::invalid_argument on an empty prompt or an action that is none. Cost: linear in the actions.
/// Methods of arXiv 2306.05426's appendix, as reconstructed in this folder's guide; both forms give the same scores.
inline state_tree pack_tree(id_column prompt, const std::vector<action>& actions, erase_floor where = erase_floor::prompt_end) {
  detail::check_actions(prompt, actions);
  state_tree tree;
  const auto push = [&](index token, index parent) {
    tree.depth.push_back(parent < 0 ? 0 : tree.depth[static_cast<std::size_t>(parent)] + 1);
    tree.token.push_back(token);
    tree.parent.push_back(parent);
    return static_cast<index>(tree.token.size()) - 1;
  };
  index cursor = -1;
  for (index i = 0; i < prompt.size(); ++i) cursor = push(prompt[i], cursor);
  const index floor = where == erase_floor::prompt_end ? prompt.size() : 1;
  tree.at.push_back(cursor);
  for (const action& a : actions) {
    if (a.kind == action_kind::append) {
      cursor = push(a.argument, cursor);
    } else {
      for (index k = detail::erased_by(a, tree.depth[static_cast<std::size_t>(cursor)] + 1, floor); k > 0; --k) cursor = tree.parent[static_cast<std::size_t>(cursor)];
    }
    tree.at.push_back(cursor);
  }
  tree.is_at_floor.assign(tree.token.size(), 0);
  tree.is_at_floor[static_cast<std::size_t>(floor - 1)] = 1;
  return tree;
}

/// One slot for every token of the prompt and every action (packing "Form 1"): an erasing action's slot stands for the token that
/// is then the last again. Position of a slot: the length of its state less 1; it attends to the slots of its state, which are
/// itself and its ancestors (`attention_mask.hpp` writes masks of them).
struct state_slots {
  std::vector<index> token, position, parent;  ///< [slots]; parent -1 at the first
};

/// The slots of one trajectory; the state after k actions is read at slot prompt.size() - 1 + k. For models without tree attention;
/// `pack_tree` is smaller by the erasing actions. Throws as `pack_tree`. Cost: linear in the actions.
inline state_slots pack_slots(id_column prompt, const std::vector<action>& actions, erase_floor where = erase_floor::prompt_end) {
  detail::check_actions(prompt, actions);
  state_slots slots;
  std::vector<index> state;
  const auto add = [&](index token) {
    slots.parent.push_back(state.empty() ? -1 : state.back());
    state.push_back(static_cast<index>(slots.token.size()));
    slots.token.push_back(token);
    slots.position.push_back(static_cast<index>(state.size()) - 1);
  };
  for (index i = 0; i < prompt.size(); ++i) add(prompt[i]);
  const index floor = where == erase_floor::prompt_end ? prompt.size() : 1;
  for (const action& a : actions) {
    if (a.kind == action_kind::append) {
      add(a.argument);
      continue;
    }
    for (index k = detail::erased_by(a, static_cast<index>(state.size()), floor); k > 0; --k) state.pop_back();
    const index again = slots.token[static_cast<std::size_t>(state.back())];
    state.pop_back();
    add(again);
  }
  return slots;
}

}  // namespace emend
