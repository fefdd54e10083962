#pragma once

#include <emend/core/layout.hpp>

#include <vector>

namespace emend {

/// Prompts and the responses to them, as a policy reads them: B sequences one after the other.
///
/// The N tokens of all responses are numbered through, sequence after sequence: every column of a rollout is over them,
/// and `layout()` is theirs. The scores that predict a response token are those of the position before it.
class token_batch {
 public:
  /// Appends one sequence. Throws std::invalid_argument if the prompt is empty: nothing would predict the first token.
  void add(id_column prompt, id_column response) {
    if (prompt.empty()) detail::fail("prompt", "at least one token", "none");
    for (index i = 0; i < prompt.size(); ++i) ids_.push_back(prompt[i]);
    response_begin_.push_back(static_cast<index>(ids_.size()));
    for (index i = 0; i < response.size(); ++i) ids_.push_back(response[i]);
    offsets_.push_back(static_cast<index>(ids_.size()));
    for (index i = 0; i < response.size(); ++i) targets_.push_back(response[i]);
    token_offsets_.push_back(static_cast<index>(targets_.size()));
  }

  index sequences() const { return static_cast<index>(offsets_.size()) - 1; }
  index tokens() const { return static_cast<index>(targets_.size()); }

  /// Ids of all sequences, prompts included, and where each sequence begins in them: [sequences() + 1].
  const std::vector<index>& ids() const { return ids_; }
  const std::vector<index>& offsets() const { return offsets_; }
  /// Position in ids() of the first response token of sequence b.
  index response_begin(index b) const { return response_begin_[static_cast<std::size_t>(b)]; }
  /// Ids of the response tokens, [tokens()], and where each response begins in them: [sequences() + 1].
  const std::vector<index>& targets() const { return targets_; }
  const std::vector<index>& token_offsets() const { return token_offsets_; }
  index first_token(index b) const { return token_offsets_[static_cast<std::size_t>(b)]; }
  index response_length(index b) const { return first_token(b + 1) - first_token(b); }
  ragged layout() const { return ragged(token_offsets_); }

  id_column prompt(index b) const {
    const index begin = offsets_[static_cast<std::size_t>(b)];
    return {ids_.data() + begin, response_begin(b) - begin};
  }
  id_column response(index b) const { return {targets_.data() + first_token(b), response_length(b)}; }

  /// Some of the sequences, in the order given. Throws std::invalid_argument if one is not there.
  token_batch select(id_column sequences_wanted) const {
    token_batch chosen;
    for (index k = 0; k < sequences_wanted.size(); ++k) {
      detail::require_position("sequences", k, sequences_wanted[k], sequences());
      chosen.add(prompt(sequences_wanted[k]), response(sequences_wanted[k]));
    }
    return chosen;
  }

 private:
  std::vector<index> ids_, offsets_{0}, response_begin_, targets_, token_offsets_{0};
};

/// The response tokens of some sequences, in the order of `token_batch::select`. Throws std::invalid_argument on a
/// sequence that is not in the batch.
inline std::vector<index> tokens_of(const token_batch& batch, id_column sequences) {
  std::vector<index> tokens;
  for (index k = 0; k < sequences.size(); ++k) {
    const index b = sequences[k];
    detail::require_position("sequences", k, b, batch.sequences());
    for (index t = batch.first_token(b); t < batch.first_token(b + 1); ++t) tokens.push_back(t);
  }
  return tokens;
}

/// The entries of a column at some tokens; empty if the column is. Throws std::invalid_argument on a token outside the
/// column.
inline std::vector<double> gather(column values, id_column tokens) {
  std::vector<double> chosen;
  if (values.empty()) return chosen;
  chosen.reserve(static_cast<std::size_t>(tokens.size()));
  for (index k = 0; k < tokens.size(); ++k) {
    detail::require_position("tokens", k, tokens[k], values.size());
    chosen.push_back(values[tokens[k]]);
  }
  return chosen;
}

}  // namespace emend
