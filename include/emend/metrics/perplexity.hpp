#pragma once

#include <emend/core/layout.hpp>

#include <vector>

namespace emend {

/// What `perplexity` returns.
struct perplexities {
  double value = 1;                  ///< over all counted tokens
  std::vector<double> per_sequence;  ///< [sequences]; 1 for a sequence without a counted token
};

/// Perplexity of some tokens: exp of the mean of -log_prob.
/// log_prob: [layout.tokens()] [nats]. No counted token gives 1. Throws std::invalid_argument on a length that does not
/// fit.
template <layout_argument L>
perplexities perplexity(column log_prob, const L& layout) {
  detail::require_length("log_prob", log_prob.size(), layout.tokens());
  perplexities result;
  double all = 0, tokens = 0;
  for (index b = 0; b < layout.sequences(); ++b) {
    double sum = 0, count = 0;
    layout.for_each_token(b, [&](index t) { sum -= log_prob[t], ++count; });
    result.per_sequence.push_back(count > 0 ? __builtin_exp(sum / count) : 1);
    all += sum;
    tokens += count;
  }
  if (tokens > 0) result.value = __builtin_exp(all / tokens);
  return result;
}

}  // namespace emend
