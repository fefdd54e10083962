#pragma once

#include <emend/structure/actions.hpp>

namespace emend {

/// The states that a trajectory passes, as a tree: one node for every token that was pushed, read once however often
/// its state comes back. The packed batch of `examples/lm` (ids, parents) is this.
///   a node's attention: itself and its ancestors; its position: its depth
struct state_tree {
  std::vector<index> token, parent, depth;  ///< [nodes]; parent -1 at the root; the prompt's nodes come first
  std::vector<index> at;          ///< [actions + 1] node whose scores belong to the state after so many actions
  std::vector<char> is_at_floor;  ///< [nodes] whether the node is the trajectory's floor
};

/// The tree of one trajectory (packing "Form 2"). Appending the token just erased makes a new node.
/// Throws std::invalid_argument on an empty prompt or an action that is none. Cost: linear in the actions.
/// Methods of arXiv 2306.05426's appendix, as reconstructed in this folder's guide; both forms give the same scores.
inline state_tree pack_tree(id_column prompt, const std::vector<action>& actions,
                            erase_floor where = erase_floor::prompt_end) {
  detail::check_actions(prompt, actions);
  state_tree tree;
  // As large as it can become, and cut at the end.
  const auto most = static_cast<std::size_t>(prompt.size()) + actions.size();
  tree.token.resize(most);
  tree.parent.resize(most);
  tree.depth.resize(most);
  tree.at.resize(actions.size() + 1);
  index nodes = 0, cursor = -1;
  const auto push = [&](index token) {
    const auto node = static_cast<std::size_t>(nodes);
    tree.token[node] = token;
    tree.parent[node] = cursor;
    tree.depth[node] = cursor < 0 ? 0 : tree.depth[static_cast<std::size_t>(cursor)] + 1;
    cursor = nodes++;
  };
  for (index i = 0; i < prompt.size(); ++i) push(prompt[i]);
  const index floor = where == erase_floor::prompt_end ? prompt.size() : 1;
  tree.at[0] = cursor;
  for (std::size_t i = 0; i < actions.size(); ++i) {
    const action& a = actions[i];
    if (a.kind == action_kind::append) {
      push(a.argument);
    } else {
      for (index k = detail::erased_by(a, tree.depth[static_cast<std::size_t>(cursor)] + 1, floor); k > 0; --k)
        cursor = tree.parent[static_cast<std::size_t>(cursor)];
    }
    tree.at[i + 1] = cursor;
  }
  tree.token.resize(static_cast<std::size_t>(nodes));
  tree.parent.resize(tree.token.size());
  tree.depth.resize(tree.token.size());
  tree.is_at_floor.assign(tree.token.size(), 0);
  tree.is_at_floor[static_cast<std::size_t>(floor - 1)] = 1;
  return tree;
}

/// One slot for every token of the prompt and every action (packing "Form 1"): an erasing action's slot stands for the
/// token that is then the last again. Position of a slot: the length of its state less 1; it attends to the slots of
/// its state, which are itself and its ancestors (`attention_mask.hpp` writes masks of them).
struct state_slots {
  std::vector<index> token, position, parent;  ///< [slots]; parent -1 at the first
};

/// The slots of one trajectory; the state after k actions is read at slot prompt.size() - 1 + k. For models without
/// tree attention; `pack_tree` is smaller by the erasing actions. Throws as `pack_tree`. Cost: linear in the actions.
inline state_slots pack_slots(id_column prompt, const std::vector<action>& actions,
                              erase_floor where = erase_floor::prompt_end) {
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
