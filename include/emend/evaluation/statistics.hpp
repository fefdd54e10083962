#pragma once

#include <emend/evaluation/evaluate.hpp>

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
  score_transform transform = {};
  kept_ids kept = {};
  bool with_log_sum_squares = false;
  bool with_mean_score = false;
  bool with_arg_max = false;
  id_column chosen = {};   ///< [N, K] ids whose log-probabilities are wanted beside the target's
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
  const evaluation_options common{.mask = options.mask, .transform = options.transform, .kept = options.kept,
                                  .instructions = options.instructions};
  if (options.chosen_per_row < 0)
    detail::fail("chosen_per_row", "a number not below 0", std::to_string(options.chosen_per_row));
  detail::buffer_lease lease;
  detail::evaluation_buffers& buffers = *lease;
  // The targets, then the chosen ids, are all terms that point at their row.
  std::vector<index> ids, rows;
  std::vector<std::uint8_t> mask;
  detail::with_source(x, static_cast<gradient_type<X>*>(nullptr), targets, common, with_extras, [&](auto& source, index n, index vocab) {
    if (!targets.empty()) detail::require_length("targets", targets.size(), n);
    if (!options.mask.empty()) detail::require_length("mask", options.mask.size(), n);
    const index chosen = options.chosen.empty() ? 0 : options.chosen_per_row;
    detail::require_length("chosen", options.chosen.size(), n * chosen);
    const auto is_counted = [&](index row) { return options.mask.empty() || options.mask[row] != 0; };
    evaluation_options terms = common;
    if (chosen > 0 || targets.empty()) {
      for (index row = 0; row < n; ++row)
        for (index k = 0; k <= chosen; ++k) {
          ids.push_back(!is_counted(row) ? 0 : k > 0 ? options.chosen[row * chosen + k - 1] : targets.empty() ? 0 : targets[row]);
          rows.push_back(row);
          mask.push_back(is_counted(row));
        }
      terms.rows = rows;
      terms.mask = mask;
    }
    const detail::term_plan plan(n, vocab, ids.empty() ? targets : id_column(ids), terms, buffers);
    source.forward(executor, plan, buffers, [](index) {});
    const auto size = static_cast<std::size_t>(n);
    const auto fill = [&](std::vector<double>& column, bool is_wanted, auto&& of) {
      if (!is_wanted) return;
      column.assign(size, 0);
      for (std::size_t row = 0; row < size; ++row)
        if (is_counted(static_cast<index>(row))) column[row] = of(buffers.statistics[row], buffers.scores[row * static_cast<std::size_t>(chosen + 1)]);
    };
    const bool has_targets = !targets.empty();
    using row_t = const row_statistics&;
    fill(result.log_z, true, [](row_t row, double) { return row.log_z; });
    fill(result.entropy, true, [](row_t row, double) { return row.entropy; });
    fill(result.score, has_targets, [](row_t, double score) { return score; });
    fill(result.log_prob, has_targets, [](row_t row, double score) { return detail::log_prob_of(score, row); });
    fill(result.log_sum_squares, options.with_log_sum_squares, [](row_t row, double) { return row.log_sum_squares; });
    fill(result.mean_score, options.with_mean_score, [](row_t row, double) { return row.mean_score; });
    fill(result.max_log_prob, options.with_arg_max, [](row_t row, double) { return detail::log_prob_of(row.max_score, row); });
    if (options.with_arg_max) {
      result.arg_max.assign(size, -1);
      if (has_targets) result.is_arg_max.assign(size, 0);
      for (std::size_t row = 0; row < size; ++row) {
        if (!is_counted(static_cast<index>(row))) continue;
        result.arg_max[row] = buffers.statistics[row].arg_max;
        if (has_targets) result.is_arg_max[row] = result.arg_max[row] == targets[static_cast<index>(row)];
      }
    }
    if (chosen > 0) {
      result.chosen_log_prob.assign(size * static_cast<std::size_t>(chosen), 0);
      for (std::size_t row = 0; row < size; ++row)
        for (std::size_t k = 0; k < static_cast<std::size_t>(chosen); ++k)
          if (is_counted(static_cast<index>(row)))
            result.chosen_log_prob[row * static_cast<std::size_t>(chosen) + k] =
                detail::log_prob_of(buffers.scores[row * static_cast<std::size_t>(chosen + 1) + k + 1], buffers.statistics[row]);
    }
  });
  return result;
}

}  // namespace emend
