#pragma once

#include <emend/sequence_match/augment.hpp>
#include <emend/structure/actions.hpp>

namespace emend {

/// What came to pass from a prompt on: data with their errors, or what the model did.
struct trajectory {
  std::vector<index>
      prompt;  ///< the first state, at least one token. The start of text alone: the loss is on the prompt, too
  std::vector<action> actions;  ///< what moved the state
  std::vector<index> label;     ///< [actions] id scored in each state; -1: none
  bool is_rollout = false;      ///< the model's own
  bool is_complete = true;      ///< the last action led to a terminal state; false: cut off
};

/// A trajectory of data: every pushed id moves the state, every label is scored.
/// Complete if the last pushed id is `ids.end`. Throws std::invalid_argument on an empty prompt, an id below 0, or an
/// end that is not the last (noise must not be the end: nothing is erased after it).
inline trajectory data_trajectory(id_column prompt, const labelled_actions& actions, const action_ids& ids) {
  if (prompt.empty()) detail::fail("prompt", "at least one token", "none");
  detail::require_length("label", static_cast<index>(actions.label.size()), static_cast<index>(actions.pushed.size()));
  trajectory result;
  for (index i = 0; i < prompt.size(); ++i) result.prompt.push_back(prompt[i]);
  for (const index id : actions.pushed) {
    if (ids.end >= 0 && id == ids.end && result.actions.size() + 1 < actions.pushed.size())
      detail::fail("pushed", "the end only as the last",
                   std::to_string(id) + " at " + std::to_string(result.actions.size()));
    result.actions.push_back(ids.action_of(id));
  }
  result.label = actions.label;
  result.is_complete = !actions.pushed.empty() && actions.pushed.back() == ids.end;
  return result;
}

/// A trajectory of what the model did; every action is its own label. Otherwise as `data_trajectory`.
inline trajectory rollout_trajectory(id_column prompt, id_column actions, const action_ids& ids) {
  labelled_actions own;
  for (index i = 0; i < actions.size(); ++i) own.pushed.push_back(actions[i]);
  own.label = own.pushed;
  trajectory result = data_trajectory(prompt, own, ids);
  result.is_rollout = true;
  return result;
}

/// What becomes of a trajectory that is longer than the context.
///   forced_end  the last action that fits leads to the end of sequence instead; its label stays: terminal (the paper)
///   no_tail     cut off, and not terminal
enum class overlong_treatment { forced_end, no_tail };

/// A trajectory cut to at most `longest` actions; one that fits stays as it is.
/// Throws std::invalid_argument if longest is below 1, or forced_end is asked for without an end id.
inline trajectory cut_trajectory(trajectory t, index longest, overlong_treatment how, const action_ids& ids) {
  if (longest < 1) detail::fail("longest", "at least 1", std::to_string(longest));
  if (static_cast<index>(t.actions.size()) <= longest) return t;
  t.actions.resize(static_cast<std::size_t>(longest));
  t.label.resize(static_cast<std::size_t>(longest));
  t.is_complete = how == overlong_treatment::forced_end;
  if (t.is_complete) {
    if (ids.end < 0) detail::fail("ids.end", "an id, for overlong_treatment::forced_end", std::to_string(ids.end));
    t.actions.back() = {action_kind::append, ids.end};
  }
  return t;
}

}  // namespace emend
