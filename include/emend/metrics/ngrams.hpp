#pragma once

#include <emend/core/layout.hpp>

#include <map>
#include <vector>

namespace emend {

/// How varied the n-grams of some sequences are.
struct ngram_measures {
  double entropy = 0;  ///< of the pooled frequencies, -sum f log f                                          [nats]
  double distinct_pooled = 0;    ///< distinct / all n-grams of the pool
  std::vector<double> distinct;  ///< [sequences] the same within each sequence
  double repetition_mean = 0;    ///< mean over sequences of 1 - distinct
};

/// Measures of the n-grams of every sequence; n-grams never cross sequences, and uncounted tokens are left out before.
/// tokens: [layout.tokens()]; n at least 1. A sequence shorter than n has no n-gram, and nothing repeated: distinct 1;
/// a pool without n-grams likewise, entropy 0. Throws std::invalid_argument on a length that does not fit. Cost: N log
/// N comparisons of n. Su et al. 2022 (arXiv 2202.06417), section 4; Welleck et al. 2020.
template <layout_argument L>
ngram_measures measure_ngrams(id_column tokens, const L& layout, index n) {
  detail::require_length("tokens", tokens.size(), layout.tokens());
  if (n < 1) detail::fail("n", "at least 1", std::to_string(n));
  std::map<std::vector<index>, double> pool;
  ngram_measures result;
  double all = 0;
  for (index b = 0; b < layout.sequences(); ++b) {
    std::vector<index> own;
    layout.for_each_token(b, [&](index t) { own.push_back(tokens[t]); });
    std::map<std::vector<index>, double> seen;
    double count = 0;
    for (index i = 0; n <= static_cast<index>(own.size()) - i; ++i) {
      const std::vector<index> gram(own.begin() + i, own.begin() + i + n);
      ++seen[gram];
      ++pool[gram];
      ++count;
    }
    all += count;
    result.distinct.push_back(count > 0 ? static_cast<double>(seen.size()) / count : 1);
    result.repetition_mean += 1 - result.distinct.back();
  }
  if (layout.sequences() > 0) result.repetition_mean /= static_cast<double>(layout.sequences());
  result.distinct_pooled = all > 0 ? static_cast<double>(pool.size()) / all : 1;
  for (const auto& [gram, count] : pool) result.entropy -= count / all * __builtin_log(count / all);
  return result;
}

/// Diversity of each sequence, of the mean sequence, and of the pool.
///   diversity = product over n = 2..4 of (1 - rep_n),   rep_n = 1 - distinct_n       in [0, 1]
struct diversity_measures {
  std::vector<double> per_sequence;
  double mean = 0, pooled = 1;
};

/// Cost and errors as `measure_ngrams`, three times. Su et al. 2022, section 4; the SequenceMatch paper's "diversity".
template <layout_argument L>
diversity_measures measure_diversity(id_column tokens, const L& layout) {
  diversity_measures result;
  result.per_sequence.assign(static_cast<std::size_t>(layout.sequences()), 1);
  for (index n = 2; n <= 4; ++n) {
    const ngram_measures of = measure_ngrams(tokens, layout, n);
    result.pooled *= of.distinct_pooled;
    for (std::size_t b = 0; b < result.per_sequence.size(); ++b) result.per_sequence[b] *= of.distinct[b];
  }
  for (const double d : result.per_sequence) result.mean += d / static_cast<double>(result.per_sequence.size());
  return result;
}

}  // namespace emend
