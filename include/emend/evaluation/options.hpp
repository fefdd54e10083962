#pragma once

#include <emend/core/column.hpp>
#include <emend/core/id_column.hpp>
#include <emend/core/output_column.hpp>
#include <emend/heads/head_options.hpp>

#include <optional>

namespace emend {

/// Options of `evaluate` and its kin, for M terms over N rows of scores. Every field may be left out.
///
///   value = (1 / normaliser) sum_i weight_i loss(token_i)       over the terms i whose mask is not 0
///
/// Without `rows`, term i reads row i, and M = N. With `rows`, several terms may read one row (prefix trees, several
/// samples that share a prompt, several ids of one row): their gradients add before the one pass over the row.
struct evaluation_options {
  column mask = {};    ///< [M]; 0: the term is not evaluated, and its row, if nobody else reads it, not read
  column weight = {};  ///< [M], default 1; a term of weight 0 is not evaluated
  /// A target that stands for "none": its term is not evaluated. The field's -100; by default no id is one.
  std::optional<index> ignore_id = {};
  id_column rows = {};    ///< [M] row of each term
  id_column links = {};   ///< [M] row whose log_z is next_log_z, -1 for none
  double normaliser = 1;  ///< an explicit count, so that parts of a batch add up to the whole
  score_transform transform = {};
  kept_ids kept = {};
  bool with_log_sum_squares = false;  ///< compute token::log_sum_squares (a loss may ask for it itself)
  output_column per_token = {};       ///< receives loss(token_i), [M], 0 where not evaluated
  instruction_set instructions = instruction_set::best;
};

namespace detail {

/// The part of the options that the head needs. Views of the options.
inline head_options head_part(const evaluation_options& options, bool with_extras) {
  return {options.transform, options.kept, options.instructions, with_extras};
}

}  // namespace detail

}  // namespace emend
