#pragma once

#include <emend/core/layout.hpp>
#include <emend/core/token.hpp>

#include <vector>

namespace emend {

/// Negative log-likelihood of the target: sequence likelihood, token by token.
///   loss_i = -log_prob_i                                                                               [nats]
/// Every column of the token is defined for it; how tokens are weighed is `token_weights`.
struct cross_entropy {
  static constexpr bool uses_log_sum_squares = false;
  template <class R>
  constexpr R operator()(const token<R>& t) const {
    return -t.log_prob;
  }
};

/// How a loss over a batch of sequences is normalised, with N counted tokens in B sequences.
///   token_mean        sum over tokens / N                    (default everywhere; each token the same)
///   sequence_sum      sum over tokens / B                    (the likelihood of whole sequences)
///   per_example_mean  mean over sequences of token means     (weighs short sequences more; not a proper scoring rule
///                     for the end of sequence: Cundy and Ermon, and the peers that use it, know it as "sample average")
enum class normalisation { token_mean, sequence_sum, per_example_mean };

/// Explicit counts behind a normalisation, so that the sum over parts of a batch is the whole batch. 0: count this batch.
struct batch_counts {
  double tokens = 0, sequences = 0;
};

/// Weight of each token, [layout.tokens()], so that sum_i weight_i loss_i is the normalised loss; 0 where not counted.
/// Sequences without a counted token weigh nothing, and count as sequences only in `counts.sequences` given by the caller.
template <sequence_layout L>
std::vector<double> token_weights(const L& layout, normalisation how, batch_counts counts = {}) {
  std::vector<double> weight(static_cast<std::size_t>(layout.tokens()), 0);
  double tokens = 0, sequences = 0;
  for (index b = 0; b < layout.sequences(); ++b) {
    const index length = length_of(layout, b);
    tokens += static_cast<double>(length);
    sequences += length > 0;
  }
  if (counts.tokens > 0) tokens = counts.tokens;
  if (counts.sequences > 0) sequences = counts.sequences;
  for (index b = 0; b < layout.sequences(); ++b) {
    const double length = static_cast<double>(length_of(layout, b));
    const double each = how == normalisation::token_mean     ? 1 / tokens
                        : how == normalisation::sequence_sum ? 1 / sequences
                                                             : 1 / (length * sequences);
    layout.for_each_token(b, [&](index t) { weight[static_cast<std::size_t>(t)] = each; });
  }
  return weight;
}

}  // namespace emend
