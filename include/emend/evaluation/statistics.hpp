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

/// Statistics of every row, without gradient.
///   log_z = log sum_j exp(z_j);  score = z[target];  log_prob = score - log_z;  entropy = log_z - sum_j p_j z_j;
///   log_sum_squares = log sum_j p_j^2;  mean_score = sum_j z_j / V;  arg_max = argmax_j z_j
/// x: [N, V] or [B, T, V]; targets: [N], or empty: then log_prob, score and is_arg_max stay empty.
/// Throws std::invalid_argument on a wrong length, an id out of range or a bad option. Cost: reads each row once.
template <scores X, executor E = const sequential>
statistics_columns statistics(const X& x, id_column targets, const statistics_options& options = {},
                              E&& executor = sequential{}) {
  statistics_columns result;
  const bool with_extras = options.with_log_sum_squares || options.with_mean_score || options.with_arg_max;
  const evaluation_options common{.mask = options.mask,
                                  .ignore_id = options.ignore_id,
                                  .transform = options.transform,
                                  .kept = options.kept,
                                  .instructions = options.instructions};
  if (options.chosen_per_row < 0)
    detail::fail("chosen_per_row", "a number not below 0", std::to_string(options.chosen_per_row));
  detail::buffer_lease lease;
  detail::evaluation_buffers& buffers = *lease;
  // The targets, then the chosen ids, are all terms that point at their row.
  std::vector<index> ids, rows;
  std::vector<std::uint8_t> mask;
  detail::with_source(x, static_cast<gradient_type<X>*>(nullptr), detail::head_part(common, with_extras),
                      [&](auto& source, index n, index vocab) {
                        if (targets.is_given()) detail::require_length("targets", targets.size(), n);
                        if (options.mask.is_given()) detail::require_length("mask", options.mask.size(), n);
                        const index chosen = options.chosen_per_row;
                        detail::require_length("chosen", options.chosen.size(), n * chosen);
                        const auto is_counted = [&](index row) {
                          if (options.mask.is_given() && options.mask[row] == 0) return false;
                          return !options.ignore_id || !targets.is_given() || targets[row] != *options.ignore_id;
                        };
                        evaluation_options terms = common;
                        if (chosen > 0 || !targets.is_given()) {
                          for (index row = 0; row < n; ++row)
                            for (index k = 0; k <= chosen; ++k) {
                              index id = 0;
                              if (is_counted(row) && k > 0) id = options.chosen[row * chosen + k - 1];
                              if (is_counted(row) && k == 0 && targets.is_given()) id = targets[row];
                              ids.push_back(id);
                              rows.push_back(row);
                              mask.push_back(is_counted(row));
                            }
                          terms.rows = rows;
                          terms.mask = mask;
                          terms.ignore_id = {};
                        }
                        const detail::term_plan plan(n, vocab, ids.empty() ? targets : id_column(ids), terms, buffers);
                        const auto size = static_cast<std::size_t>(n);
                        const bool has_targets = targets.is_given();
                        result.log_z.assign(size, 0);
                        result.entropy.assign(size, 0);
                        if (has_targets) result.log_prob.assign(size, 0), result.score.assign(size, 0);
                        if (options.with_log_sum_squares) result.log_sum_squares.assign(size, 0);
                        if (options.with_mean_score) result.mean_score.assign(size, 0);
                        if (options.with_arg_max) result.max_log_prob.assign(size, 0), result.arg_max.assign(size, -1);
                        if (options.with_arg_max && has_targets) result.is_arg_max.assign(size, 0);
                        result.chosen_log_prob.assign(size * static_cast<std::size_t>(chosen), 0);
                        // While what is known of the row is at hand.
                        source.forward(executor, plan, buffers, [&](index at) {
                          const auto i = static_cast<std::size_t>(at);
                          const row_statistics& row = buffers.statistics[i];
                          const double* scores = buffers.scores.data() + i * static_cast<std::size_t>(chosen + 1);
                          result.log_z[i] = row.log_z;
                          result.entropy[i] = row.entropy;
                          if (has_targets)
                            result.score[i] = scores[0], result.log_prob[i] = detail::log_prob_of(scores[0], row);
                          if (options.with_log_sum_squares) result.log_sum_squares[i] = row.log_sum_squares;
                          if (options.with_mean_score) result.mean_score[i] = row.mean_score;
                          if (options.with_arg_max)
                            result.max_log_prob[i] = detail::log_prob_of(row.max_score, row),
                            result.arg_max[i] = row.arg_max;
                          if (options.with_arg_max && has_targets) result.is_arg_max[i] = row.arg_max == targets[at];
                          for (index k = 0; k < chosen; ++k)
                            result.chosen_log_prob[i * static_cast<std::size_t>(chosen) + static_cast<std::size_t>(k)] =
                                detail::log_prob_of(scores[k + 1], row);
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
