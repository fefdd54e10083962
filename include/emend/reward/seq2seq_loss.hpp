#pragma once

#include <emend/evaluation/evaluate.hpp>
#include <emend/losses/aggregation.hpp>
#include <emend/losses/cross_entropy.hpp>

namespace emend {

/// Options of `seq2seq_loss`.
struct seq2seq_loss_options {
  double lambda_identity = 1;                       ///< weight of the identity mapping; it does not enter the divisors
  aggregation normalise = aggregation::token_mean;  ///< token_mean, sequence_sum or per_example_mean
  /// Explicit counts, so that micro-batches add up: scored tokens of both kinds; for sequence_sum the number of pairs
  /// (correction examples), for per_example_mean that of examples. 0: count this batch.
  batch_counts counts = {};
  score_transform transform = {};
  instruction_set instructions = instruction_set::best;
};

/// What `seq2seq_loss` returns; value = correction + lambda_identity identity.
template <class G>
struct seq2seq_loss_result {
  double value = 0, correction = 0, identity = 0;
  G gradient;
  index scored_tokens = 0;
};

/// Weight of every token of E examples for the training loss of a sequence-to-sequence reward model.
///   token_mean        1 / scored tokens of the whole batch, both kinds
///   sequence_sum      1 / number of pairs (= correction examples)
///   per_example_mean  1 / (scored tokens of the example * E)
/// label: [N], -1 where not scored; offsets: [E+1]; is_identity: [E]. Identity tokens are also weighed by
/// lambda_identity. Throws std::invalid_argument on a length that does not fit, a count below 0, or sequence_sum over
/// scored examples without a pair among them, as a micro-batch of identity examples, unless counts.sequences is set.
inline std::vector<double> seq2seq_weights(id_column label, id_column offsets, column is_identity,
                                           const seq2seq_loss_options& options = {}) {
  const ragged examples(offsets);
  detail::require_length("label", label.size(), examples.tokens());
  detail::require_length("is_identity", is_identity.size(), examples.sequences());
  if (options.normalise == aggregation::token_sum || options.normalise == aggregation::sequence_sum_per_length)
    detail::fail("normalise", "token_mean, sequence_sum or per_example_mean", "another aggregation");
  detail::require_not_negative("counts.tokens", options.counts.tokens);
  detail::require_not_negative("counts.sequences", options.counts.sequences);
  std::vector<double> weight(static_cast<std::size_t>(label.size()), 0);
  std::vector<index> scored(static_cast<std::size_t>(examples.sequences()), 0);
  double tokens = 0, pairs = 0;
  for (index e = 0; e < examples.sequences(); ++e) {
    examples.for_each_token(e, [&](index t) { scored[static_cast<std::size_t>(e)] += label[t] != -1; });
    tokens += static_cast<double>(scored[static_cast<std::size_t>(e)]);
    pairs += is_identity[e] == 0;
  }
  if (options.normalise == aggregation::sequence_sum && options.counts.sequences == 0 && pairs == 0 && tokens > 0)
    detail::fail("counts.sequences", "the number of pairs of the whole batch, because this batch has none", "0");
  double examples_count = static_cast<double>(examples.sequences());
  if (options.counts.tokens > 0) tokens = options.counts.tokens;
  if (options.counts.sequences > 0) pairs = examples_count = options.counts.sequences;
  for (index e = 0; e < examples.sequences(); ++e) {
    const double kind = is_identity[e] == 0 ? 1 : options.lambda_identity;
    const double own = static_cast<double>(scored[static_cast<std::size_t>(e)]);
    const double divisor = options.normalise == aggregation::token_mean     ? tokens
                           : options.normalise == aggregation::sequence_sum ? pairs
                                                                            : own * examples_count;
    examples.for_each_token(e, [&](index t) {
      if (label[t] != -1) weight[static_cast<std::size_t>(t)] = kind / divisor;
    });
  }
  return weight;
}

/// Training loss of a sequence-to-sequence reward model: sequence likelihood of both mappings.
///   L = L_correction + lambda_identity L_identity,   each  sum over its examples of -log p(label) / normaliser [nats]
/// x: scores of every position of E examples one after the other, [N, V]; label: [N], -1 where not scored;
/// offsets: [E+1]; is_identity: [E]. Rows without a label are not read, and their gradient is zero.
/// Throws std::invalid_argument on a length or id that does not fit. Cost: reads scored rows once, writes the gradient
/// once. arXiv 2409.00162, figure 2: "by sequence maximum loglikelihood estimation".
template <scores X, executor E = const sequential>
seq2seq_loss_result<gradient_type<X>> seq2seq_loss(const X& x, id_column label, id_column offsets, column is_identity,
                                                   const seq2seq_loss_options& options = {},
                                                   E&& executor = sequential{}) {
  const std::vector<double> weight = seq2seq_weights(label, offsets, is_identity, options);
  std::vector<double> per_token;
  auto all = evaluate(cross_entropy{}, x, label,
                      evaluation_options{.mask = {},
                                         .weight = weight,
                                         .transform = options.transform,
                                         .per_token = &per_token,
                                         .instructions = options.instructions},
                      executor);
  seq2seq_loss_result<gradient_type<X>> result{
      .value = all.value, .gradient = std::move(all.gradient), .scored_tokens = all.evaluated};
  const ragged examples(offsets);
  for (index e = 0; e < examples.sequences(); ++e) {
    double& part = is_identity[e] == 0 ? result.correction : result.identity;
    const double kind = is_identity[e] == 0 ? 1 : options.lambda_identity;
    examples.for_each_token(e, [&](index t) {
      const auto i = static_cast<std::size_t>(t);
      if (weight[i] != 0) part += weight[i] / kind * per_token[i];
    });
  }
  return result;
}

}  // namespace emend
