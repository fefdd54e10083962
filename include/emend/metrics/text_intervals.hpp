#pragma once

#include <emend/metrics/bootstrap.hpp>
#include <emend/metrics/ngrams.hpp>
#include <emend/metrics/perplexity.hpp>

namespace emend {

namespace detail {

/// The n-grams of every sequence by number: a resample counts numbers instead of comparing n-grams.
class numbered_ngrams {
 public:
  template <layout_argument L>
  numbered_ngrams(id_column tokens, const L& layout, index n) {
    std::map<std::vector<index>, index> number;
    for (index b = 0; b < layout.sequences(); ++b) {
      std::vector<index> own, grams;
      layout.for_each_token(b, [&](index t) { own.push_back(tokens[t]); });
      for (index i = 0; n <= static_cast<index>(own.size()) - i; ++i)
        grams.push_back(number
                            .try_emplace(std::vector<index>(own.begin() + i, own.begin() + i + n),
                                         static_cast<index>(number.size()))
                            .first->second);
      of_.push_back(std::move(grams));
    }
    distinct_ = number.size();
  }

  /// Entropy of the pooled frequencies, and distinct / all.
  std::pair<double, double> pooled(const std::vector<index>& sequences) const {
    std::vector<double> count(distinct_, 0);
    double all = 0, distinct = 0, entropy = 0;
    for (const index b : sequences)
      for (const index gram : of_[static_cast<std::size_t>(b)]) ++count[static_cast<std::size_t>(gram)], ++all;
    for (const double c : count)
      if (c > 0) entropy -= c / all * __builtin_log(c / all), ++distinct;
    return {entropy, all > 0 ? distinct / all : 1};
  }

 private:
  std::vector<std::vector<index>> of_;
  std::size_t distinct_ = 0;
};

inline double mean_of(const std::vector<double>& values, const std::vector<index>& which) {
  double sum = 0;
  for (const index i : which) sum += values[static_cast<std::size_t>(i)];
  return sum / static_cast<double>(which.size());
}

}  // namespace detail

/// The measures of `measure_ngrams`, each with its interval over sequences.
struct ngram_intervals {
  interval entropy;  ///< of the pooled frequencies [nats]
  interval
      distinct_pooled;  ///< a resample holds some sequences twice, so that this falls below the value: read its width
  interval distinct;    ///< mean over sequences
  interval repetition;  ///< mean over sequences of 1 - distinct
};

/// Bootstrap intervals of n-gram measures. Arguments and errors as `measure_ngrams` and `bootstrap`; one sequence a
/// prompt. Cost: resamples times the n-grams.
template <layout_argument L, executor E = const sequential>
ngram_intervals measure_ngram_intervals(id_column tokens, const L& layout, index n,
                                        const bootstrap_options& options = {}, E&& executor = sequential{}) {
  const ngram_measures measures = measure_ngrams(tokens, layout, n);
  const detail::numbered_ngrams grams(tokens, layout, n);
  const index count = layout.sequences();
  using chosen = const std::vector<index>&;
  ngram_intervals result;
  result.entropy = bootstrap(count, [&](chosen c) { return grams.pooled(c).first; }, options, executor);
  result.distinct_pooled = bootstrap(count, [&](chosen c) { return grams.pooled(c).second; }, options, executor);
  result.distinct =
      bootstrap(count, [&](chosen c) { return detail::mean_of(measures.distinct, c); }, options, executor);
  result.repetition = {1 - result.distinct.value, 1 - result.distinct.high, 1 - result.distinct.low};
  return result;
}

/// Bootstrap interval of the mean diversity over sequences (`measure_diversity`). Cost: resamples times the sequences.
template <layout_argument L, executor E = const sequential>
interval diversity_interval(id_column tokens, const L& layout, const bootstrap_options& options = {},
                            E&& executor = sequential{}) {
  const diversity_measures measures = measure_diversity(tokens, layout);
  return bootstrap(
      layout.sequences(), [&](const std::vector<index>& c) { return detail::mean_of(measures.per_sequence, c); },
      options, executor);
}

/// Bootstrap interval over sequences of the perplexity of all their tokens (`perplexity`). Cost: resamples times the
/// sequences.
template <layout_argument L, executor E = const sequential>
interval perplexity_interval(column log_prob, const L& layout, const bootstrap_options& options = {},
                             E&& executor = sequential{}) {
  detail::require_length("log_prob", log_prob.size(), layout.tokens());
  std::vector<double> sum, count;
  for (index b = 0; b < layout.sequences(); ++b) {
    sum.push_back(0);
    count.push_back(0);
    layout.for_each_token(b, [&](index t) { sum.back() -= log_prob[t], ++count.back(); });
  }
  return bootstrap(
      layout.sequences(),
      [&](const std::vector<index>& c) {
        double all = 0, tokens = 0;
        for (const index b : c) all += sum[static_cast<std::size_t>(b)], tokens += count[static_cast<std::size_t>(b)];
        return tokens > 0 ? __builtin_exp(all / tokens) : 1.0;
      },
      options, executor);
}

}  // namespace emend
