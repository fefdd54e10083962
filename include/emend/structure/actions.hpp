#pragma once

#include <emend/core/column.hpp>
#include <emend/core/id_column.hpp>

#include <string>
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

/// How far back can be erased: the prompt stays (prompt_end), or all but its first token can go (beginning: the
/// paper's, whose model erases wrong digits of its own prompt).
enum class erase_floor { prompt_end, beginning };

/// An id that erases more than one token at once.
struct erasing_id {
  index id = -1;
  index tokens = 1;
};

/// Which ids of a model's vocabulary are actions other than writing a token; -1: there is none.
struct action_ids {
  index end = -1;                      ///< end of sequence: appended like a token, and terminal
  index backspace = -1;                ///< erases the last token
  index reset = -1;                    ///< erases everything down to the floor (Zhang et al. 2024, arXiv 2409.14586)
  std::vector<erasing_id> erase = {};  ///< erase several tokens

  /// What an id does. Throws std::invalid_argument if it is below 0.
  action action_of(index id) const {
    if (id < 0) detail::fail("id", "a number not below 0", std::to_string(id));
    if (id == backspace) return {action_kind::erase, 1};
    if (id == reset) return {action_kind::reset, 0};
    for (const erasing_id& e : erase)
      if (e.id == id) return {action_kind::erase, e.tokens};
    return {action_kind::append, id};
  }
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

}  // namespace emend
