#pragma once

#include <emend/core/sequence_values.hpp>
#include <emend/evaluation/statistics.hpp>
#include <emend/reward/divergence_reward.hpp>

namespace emend {

/// What becomes of the scores of a batch.
///   none; per_length: s / T; whiten: s / sqrt(variance + epsilon) over all tokens of the batch, the mean not
///   subtracted
enum class reward_normalisation { none, per_length, whiten };

/// Options of `extract_rewards`. The paper gives neither magnitudes nor normalisation; defaults are the literal
/// reading.
struct seq2seq_reward_options {
  reward_mode mode = reward_mode::sign;
  double positive = 1;               ///< multiplies the positive values of every mode but dense
  double negative = 1;               ///< multiplies the negative ones
  double clip = 5;                   ///< of logratio, above 0; infinity: none
  double neutral = 0;                ///< score of a matching token after the divergence
  bool is_neutral_positive = false;  ///< such a token earns what it would have before the divergence; neutral is unused
  bool has_truncation_penalty = false;  ///< a response without an end id gets -negative added to its last score
  id_column end_ids = {};               ///< the ids that end a response
  reward_normalisation normalise = reward_normalisation::none;
  bool is_unbiased = true;  ///< whiten: divide the variance by n - 1, else by n
  double whiten_epsilon = 1e-8;
  column reference_log_prob = {};  ///< [N], for dense
  score_transform transform = {};
  instruction_set instructions = instruction_set::best;
};

/// What `extract_rewards` returns; entries of uncounted tokens are 0, their arg_max -1.
struct seq2seq_rewards {
  std::vector<double> score;                ///< [N] the token-level rewards
  std::vector<index> arg_max;               ///< [N] the reward model's choice at each position, lowest id at ties
  std::vector<double> log_prob;             ///< [N] log q_t
  std::vector<index> divergence;            ///< [B] counted tokens before the first that is not the model's choice
  std::vector<double> sequence_score;       ///< [B] mean of the response's scores, 0 if it has no token
  std::vector<double> copy_log_likelihood;  ///< [B] mean of log q_t, 0 if it has no token
};

namespace detail {

inline void check(const seq2seq_reward_options& options, index tokens) {
  if (options.mode == reward_mode::dense)
    require_length("reference_log_prob", options.reference_log_prob.size(), tokens);
  require_bound("clip", options.clip);
  require_not_negative("whiten_epsilon", options.whiten_epsilon);
  if (options.has_truncation_penalty && options.end_ids.empty())
    fail("end_ids", "at least one id, since has_truncation_penalty is set", "none");
}

/// Every score over the deviation of those that count; the mean is not subtracted.
inline void scale_by_deviation(std::vector<double>& score, const std::vector<std::uint8_t>& counted, bool is_unbiased,
                               double epsilon) {
  double count = 0, mean = 0, squares = 0;
  for (std::size_t t = 0; t < counted.size(); ++t)
    if (counted[t]) count += 1, mean += score[t];
  mean /= count > 0 ? count : 1;
  for (std::size_t t = 0; t < counted.size(); ++t)
    if (counted[t]) squares += square(score[t] - mean);
  const double divisor = is_unbiased ? count - 1 : count;
  // One token has no spread; it keeps its sign and is scaled by the epsilon alone.
  const double variance = divisor > 0 ? squares / divisor : 0, deviation = sqrt(variance + epsilon);
  if (deviation > 0)
    for (std::size_t t = 0; t < counted.size(); ++t) score[t] /= deviation;
}

/// [B] mean over the tokens of each sequence, 0 if it has none.
template <class L>
std::vector<double> means_of_scores(const std::vector<double>& score, const L& layout) {
  std::vector<double> mean = sequence_sums(score, layout);
  for (std::size_t b = 0; b < mean.size(); ++b) {
    const index length = length_of(layout, static_cast<index>(b));
    if (length > 0) mean[b] /= static_cast<double>(length);
  }
  return mean;
}

}  // namespace detail

/// Token-level rewards of responses from one teacher-forced pass of a sequence-to-sequence reward model.
///
///   g_t = argmax_v R(v | x, y, y_<t),   tau = min{t : g_t != y_t}
///   s_t = positive value if t < tau;  negative value if t >= tau and g_t != y_t;  neutral if t >= tau and g_t == y_t
///
/// Up to tau the model's own greedy rewriting is the response itself, so this equals comparing the response with that
/// rewriting and then feeding it token by token; no decoding is needed. The end of sequence takes part like any token.
/// x: [N, V], row t the reward model's scores before token t (see `extraction_example`); response: [N] the tokens;
/// layout: which rows belong to which response. Throws std::invalid_argument on a length or id that does not fit.
/// q_t = 0 (score -inf) gives prob -1, logratio -clip. Cost: reads each counted row once.
/// arXiv 2409.00162, figure 2 (2): reward "until it diverges", then negative scores to diverging tokens.
template <scores X, layout_argument L, executor E = const sequential>
seq2seq_rewards extract_rewards(const X& x, id_column response, const L& layout,
                                const seq2seq_reward_options& options = {}, E&& executor = sequential{}) {
  const index tokens = layout.tokens();
  detail::require_length("response", response.size(), tokens);
  detail::check(options, tokens);

  std::vector<std::uint8_t> counted(static_cast<std::size_t>(tokens), 0);
  for (index b = 0; b < layout.sequences(); ++b)
    layout.for_each_token(b, [&](index t) { counted[static_cast<std::size_t>(t)] = 1; });
  statistics_columns rows = statistics(
      x, response,
      statistics_options{
          .mask = counted, .transform = options.transform, .with_arg_max = true, .instructions = options.instructions},
      executor);

  seq2seq_rewards result;
  result.score.assign(static_cast<std::size_t>(tokens), 0);
  const auto sequences = static_cast<std::size_t>(layout.sequences());
  result.divergence.resize(sequences);
  result.copy_log_likelihood.assign(sequences, 0);

  const divergence_reward reward{options.mode, options.positive, options.negative,
                                 options.clip, options.neutral,  options.is_neutral_positive};
  for (std::size_t b = 0; b < sequences; ++b) {
    index length = 0, last = -1;
    bool has_diverged = false;
    result.divergence[b] = 0;
    layout.for_each_token(static_cast<index>(b), [&](index position) {
      const auto t = static_cast<std::size_t>(position);
      const bool is_match = rows.arg_max[t] == response[position];
      has_diverged |= !is_match;
      if (!has_diverged) ++result.divergence[b];
      const double reference = options.mode == reward_mode::dense ? options.reference_log_prob[position] : 0;
      result.score[t] = reward(is_match, has_diverged, rows.log_prob[t], rows.max_log_prob[t], reference);
      result.copy_log_likelihood[b] += rows.log_prob[t];
      ++length;
      last = position;
    });
    if (length == 0) continue;
    result.copy_log_likelihood[b] /= static_cast<double>(length);
    if (options.has_truncation_penalty) {
      bool has_end = false;
      for (index k = 0; k < options.end_ids.size(); ++k) has_end |= options.end_ids[k] == response[last];
      if (!has_end) result.score[static_cast<std::size_t>(last)] -= options.negative;
    }
    if (options.normalise == reward_normalisation::per_length)
      layout.for_each_token(static_cast<index>(b),
                            [&](index t) { result.score[static_cast<std::size_t>(t)] /= static_cast<double>(length); });
  }

  if (options.normalise == reward_normalisation::whiten)
    detail::scale_by_deviation(result.score, counted, options.is_unbiased, options.whiten_epsilon);
  result.sequence_score = detail::means_of_scores(result.score, layout);
  result.arg_max = std::move(rows.arg_max);
  result.log_prob = std::move(rows.log_prob);
  return result;
}

}  // namespace emend
