#pragma once

#include <emend/sequence_match/packing.hpp>

#include <vector>

namespace emend {

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

}  // namespace emend
