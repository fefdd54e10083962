#pragma once

#include <emend/core/layout.hpp>

#include <vector>

namespace emend {

/// How the losses of N counted tokens in B sequences become one number.
///   token_mean               sum over tokens / N         each token the same; the default everywhere (DAPO; verl,
///   OpenRLHF
///                            "token-mean", TRL "bnpo" and "dapo", NeMo token_level_loss)
///   token_sum                sum over tokens             (verl "token-sum")
///   sequence_sum             sum over tokens / B         likelihood of whole sequences (verl "seq-mean-token-sum", TRL
///   "luspo") per_example_mean         mean over sequences of token means   (verl, OpenRLHF "seq-mean-token-mean", TRL
///   "grpo",
///                            align-anything). Weighs the tokens of short sequences more: not a proper scoring rule for
///                            the end of sequence (Cundy and Ermon)
///   sequence_sum_per_length  sequence_sum / a fixed length   (Dr.GRPO; verl "seq-mean-token-sum-norm", TRL "dr_grpo")
enum class aggregation { token_mean, token_sum, sequence_sum, per_example_mean, sequence_sum_per_length };

/// Explicit counts behind an aggregation, so that the sum over parts of a batch is the whole batch. 0: count this
/// batch.
struct batch_counts {
  double tokens = 0;     ///< counted tokens of the whole batch
  double sequences = 0;  ///< sequences of the whole batch
};

/// Options of `token_weights`.
struct aggregation_options {
  batch_counts counts = {};
  double length = 0;  ///< of sequence_sum_per_length: the longest response that the batch may hold, above 0
  /// Whether a sequence without a counted token enters B: no in verl and OpenRLHF; yes in TRL, ROLL and GMPO's code.
  bool counts_empty_sequences = false;
  double token_epsilon = 0;     ///< added to N of token_mean: 1e-8 in NeMo
  double length_epsilon = 0;    ///< added to the length under a sequence's own mean: 1e-8 in verl, OpenRLHF, NeMo, ROLL
  double sequence_epsilon = 0;  ///< added to B: 1e-8 in NeMo, ROLL
};

namespace detail {

inline void check(const aggregation_options& options, aggregation how) {
  require_not_negative("counts.tokens", options.counts.tokens);
  require_not_negative("counts.sequences", options.counts.sequences);
  require_not_negative("token_epsilon", options.token_epsilon);
  require_not_negative("length_epsilon", options.length_epsilon);
  require_not_negative("sequence_epsilon", options.sequence_epsilon);
  if (how == aggregation::sequence_sum_per_length) require_positive("length", options.length);
}

}  // namespace detail

/// Weight of each token, [layout.tokens()], so that sum_i weight_i loss_i is the aggregated loss; 0 where not counted.
///   token_mean 1/N;  token_sum 1;  sequence_sum 1/B;  per_example_mean 1/(n_b B);  sequence_sum_per_length 1/(B
///   length)
/// A batch without a counted token has no weights but 0: its loss is 0 (peers: NaN, or 0). The sum over parts of a
/// batch, over ranks included, is the whole if `counts` are those of the whole. Throws std::invalid_argument if a count
/// or an epsilon is below 0, or length is missing where it is needed.
template <layout_argument L>
std::vector<double> token_weights(const L& layout, aggregation how = aggregation::token_mean,
                                  const aggregation_options& options = {}) {
  detail::check(options, how);
  const auto count = static_cast<std::size_t>(layout.sequences());
  std::vector<double> length(count);
  double tokens = 0, sequences = 0;
  for (std::size_t b = 0; b < count; ++b) {
    length[b] = static_cast<double>(length_of(layout, static_cast<index>(b)));
    tokens += length[b];
    sequences += length[b] > 0 || options.counts_empty_sequences;
  }
  if (options.counts.tokens > 0) tokens = options.counts.tokens;
  if (options.counts.sequences > 0) sequences = options.counts.sequences;
  tokens += options.token_epsilon;
  sequences += options.sequence_epsilon;

  std::vector<double> weight(static_cast<std::size_t>(layout.tokens()), 0);
  for (std::size_t b = 0; b < count; ++b) {
    double each = 1;
    switch (how) {
      case aggregation::token_mean:
        each = 1 / tokens;
        break;
      case aggregation::token_sum:
        break;
      case aggregation::sequence_sum:
        each = 1 / sequences;
        break;
      case aggregation::per_example_mean:
        each = 1 / (length[b] + options.length_epsilon) / sequences;
        break;
      case aggregation::sequence_sum_per_length:
        each = 1 / sequences / options.length;
        break;
    }
    layout.for_each_token(static_cast<index>(b), [&](index t) { weight[static_cast<std::size_t>(t)] = each; });
  }
  return weight;
}

}  // namespace emend
