#pragma once

#include <emend/core/executor.hpp>
#include <emend/evaluation/evaluate.hpp>
#include <emend/evaluation/refusals.hpp>

namespace emend {

/// Columns over the rows of a score block; what was not asked for is empty. [nats]
struct statistics_columns {
  std::vector<double> log_prob, log_z, score, entropy;  ///< [N]; 0 in masked rows
  std::vector<double> log_sum_squares, mean_score;      ///< [N]
  std::vector<index> arg_max;                           ///< [N]; lowest id at ties, -1 in a masked row or one with NaN
  std::vector<double> max_log_prob;                     ///< [N]; log-probability of arg_max
  std::vector<std::uint8_t> is_arg_max;                 ///< [N]; 1 where the target is arg_max
  std::vector<double> chosen_log_prob;                  ///< [N, K]
};

/// Options of `statistics`. The optional outputs cost only when asked for.
struct statistics_options {
  column mask = {};  ///< [N]; 0: the row is not read
  /// A target that stands for "none": its row is as a masked one. The field's -100; by default no id is one.
  std::optional<index> ignore_id = {};
  score_transform transform = {};
  kept_ids kept = {};
  bool with_log_sum_squares = false;
  bool with_mean_score = false;
  bool with_arg_max = false;
  id_column chosen = {};     ///< [N, K] ids whose log-probabilities are wanted beside the target's
  index chosen_per_row = 0;  ///< K
  instruction_set instructions = instruction_set::best;
};

namespace detail {

/// The rows of one call of `statistics`: which count, which ids are asked of them, and what is written of each.
class statistics_rows {
 public:
  /// Throws std::invalid_argument on a length that does not fit n rows.
  statistics_rows(const id_column& targets, const statistics_options& options, index n)
      : targets_(targets), options_(options), n_(n) {
    if (targets.is_given()) require_length("targets", targets.size(), n);
    if (options.mask.is_given()) require_length("mask", options.mask.size(), n);
    require_length("chosen", options.chosen.size(), n * options.chosen_per_row);
    if (options.chosen_per_row > 0 || !targets.is_given()) list_terms();
  }

  /// The options of the terms, which are the rows themselves, or the ids of each row: its target, then the chosen ones.
  evaluation_options terms(evaluation_options common) const {
    if (ids_.empty()) return common;
    common.rows = rows_;
    common.mask = mask_;
    common.ignore_id = {};
    return common;
  }
  id_column ids() const { return ids_.empty() ? targets_ : id_column(ids_); }

  statistics_columns columns() const {
    const auto size = static_cast<std::size_t>(n_);
    statistics_columns result;
    result.log_z.assign(size, 0);
    result.entropy.assign(size, 0);
    if (targets_.is_given()) result.log_prob.assign(size, 0), result.score.assign(size, 0);
    if (options_.with_log_sum_squares) result.log_sum_squares.assign(size, 0);
    if (options_.with_mean_score) result.mean_score.assign(size, 0);
    if (options_.with_arg_max) result.max_log_prob.assign(size, 0), result.arg_max.assign(size, -1);
    if (options_.with_arg_max && targets_.is_given()) result.is_arg_max.assign(size, 0);
    result.chosen_log_prob.assign(size * static_cast<std::size_t>(options_.chosen_per_row), 0);
    return result;
  }

  /// What is known of one row. scores: of all terms.
  void write(index at, const row_statistics& row, const double* all_scores, statistics_columns& result) const {
    const auto i = static_cast<std::size_t>(at), chosen = static_cast<std::size_t>(options_.chosen_per_row);
    const double* scores = all_scores + i * (chosen + 1);
    result.log_z[i] = row.log_z;
    result.entropy[i] = row.entropy;
    if (targets_.is_given()) result.score[i] = scores[0], result.log_prob[i] = log_prob_of(scores[0], row);
    if (options_.with_log_sum_squares) result.log_sum_squares[i] = row.log_sum_squares;
    if (options_.with_mean_score) result.mean_score[i] = row.mean_score;
    if (options_.with_arg_max)
      result.max_log_prob[i] = log_prob_of(row.max_score, row), result.arg_max[i] = row.arg_max;
    if (options_.with_arg_max && targets_.is_given()) result.is_arg_max[i] = row.arg_max == targets_[at];
    for (std::size_t k = 0; k < chosen; ++k) result.chosen_log_prob[i * chosen + k] = log_prob_of(scores[k + 1], row);
  }

 private:
  bool is_counted(index row) const {
    if (options_.mask.is_given() && options_.mask[row] == 0) return false;
    return !options_.ignore_id || !targets_.is_given() || targets_[row] != *options_.ignore_id;
  }
  void list_terms() {
    const index chosen = options_.chosen_per_row;
    for (index row = 0; row < n_; ++row)
      for (index k = 0; k <= chosen; ++k) {
        index id = 0;
        if (is_counted(row) && k > 0) id = options_.chosen[row * chosen + k - 1];
        if (is_counted(row) && k == 0 && targets_.is_given()) id = targets_[row];
        ids_.push_back(id);
        rows_.push_back(row);
        mask_.push_back(is_counted(row));
      }
  }

  const id_column& targets_;
  const statistics_options& options_;
  index n_;
  std::vector<index> ids_, rows_;
  std::vector<std::uint8_t> mask_;
};

}  // namespace detail

/// Statistics of every row, without gradient.
///   log_z = log sum_j exp(z_j);  score = z[target];  log_prob = score - log_z;  entropy = log_z - sum_j p_j z_j;
///   log_sum_squares = log sum_j p_j^2;  mean_score = sum_j z_j / V;  arg_max = argmax_j z_j
/// x: [N, V] or [B, T, V]; targets: [N], or empty: then log_prob, score and is_arg_max stay empty.
/// Throws std::invalid_argument on a wrong length, an id out of range or a bad option. Cost: reads each row once.
template <scores X, executor E = const sequential>
statistics_columns statistics(const X& x, id_column targets, const statistics_options& options = {},
                              E&& executor = sequential{}) {
  if (options.chosen_per_row < 0)
    detail::fail("chosen_per_row", "a number not below 0", std::to_string(options.chosen_per_row));
  const bool with_extras = options.with_log_sum_squares || options.with_mean_score || options.with_arg_max;
  const evaluation_options common{.mask = options.mask,
                                  .ignore_id = options.ignore_id,
                                  .transform = options.transform,
                                  .kept = options.kept,
                                  .instructions = options.instructions};
  statistics_columns result;
  detail::buffer_lease lease;
  detail::evaluation_buffers& buffers = *lease;
  detail::with_source(x, static_cast<gradient_type<X>*>(nullptr), detail::head_part(common, with_extras),
                      [&](auto& source, index n, index vocab) {
                        const detail::statistics_rows rows(targets, options, n);
                        const evaluation_options terms = rows.terms(common);
                        const detail::term_plan plan(n, vocab, rows.ids(), terms, buffers);
                        result = rows.columns();
                        // While what is known of the row is at hand.
                        source.forward(executor, plan, buffers, [&](index row) {
                          rows.write(row, buffers.statistics[static_cast<std::size_t>(row)], buffers.scores.data(),
                                     result);
                        });
                      });
  return result;
}

/// Last resort of `statistics`: says the remedy.
template <class X, class... Rest>
  requires(!scores<X>)
void statistics(const X&, id_column, const statistics_options& = {}, Rest&&...) {
  evaluation_refusals::refuse_scores<X>();
}

}  // namespace emend
