#pragma once

#include <emend/core/column.hpp>
#include <emend/core/id_column.hpp>

#include <vector>

namespace emend {

/// What the step at which an error is inserted teaches.
///   environment  label: the intended token; the dynamics put another one in its place (the paper). The later errors of
///   a run are
///                labelled backspace: in a wrong state that is what the expert wants (ours)
///   as_action    label: the error; errors are taught at the rate at which they are inserted
///   drop         no label (-1); the step leaves the loss, with its value term
enum class noise_treatment { environment, as_action, drop };

/// Actions of a trajectory: what moves the state, and what is scored.
struct labelled_actions {
  std::vector<index> pushed, label;  ///< [actions]; label -1: not scored
};

/// A clean sequence with errors and the backspaces that erase them.
///   before token t: run_length_t errors, as many backspaces, then the token
/// tokens: [T]; run_length: [T], not below 0; noise_tokens: one for each error, in order (it may be the intended token
/// itself); backspace_id: the id of the action. Backspaces are labelled backspace. Errors may stand before the end of
/// sequence. Throws std::invalid_argument on a length that does not fit. Cost: linear. Cundy and Ermon 2024,
/// section 4.3: one error, one backspace; longer runs are ours.
inline labelled_actions augment_with_errors(id_column tokens, id_column run_length, id_column noise_tokens,
                                            index backspace_id,
                                            noise_treatment treatment = noise_treatment::environment) {
  detail::require_length("run_length", run_length.size(), tokens.size());
  index errors = 0;
  for (index t = 0; t < tokens.size(); ++t) {
    if (run_length[t] < 0) detail::fail("run_length", "numbers not below 0", std::to_string(run_length[t]));
    errors += run_length[t];
  }
  detail::require_length("noise_tokens", noise_tokens.size(), errors);
  labelled_actions result;
  const auto add = [&](index pushed, index label) {
    result.pushed.push_back(pushed);
    result.label.push_back(label);
  };
  index next = 0;
  for (index t = 0; t < tokens.size(); ++t) {
    for (index k = 0; k < run_length[t]; ++k) {
      const index noise = noise_tokens[next++];
      add(noise, treatment == noise_treatment::as_action ? noise
                 : treatment == noise_treatment::drop    ? -1
                 : k == 0                                ? tokens[t]
                                                         : backspace_id);
    }
    for (index k = 0; k < run_length[t]; ++k) add(backspace_id, backspace_id);
    add(tokens[t], tokens[t]);
  }
  return result;
}

}  // namespace emend
