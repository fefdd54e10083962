#pragma once

#include <emend/core/backend.hpp>
#include <emend/core/executor.hpp>
#include <emend/core/layout.hpp>
#include <emend/core/random.hpp>
#include <emend/core/scratch_lease.hpp>
#include <emend/sampling/processors.hpp>

#include <tuple>

namespace emend {

/// Processors in the order in which they are applied, each to what the one before left; itself a processor.
///   const sampler nucleus{temperature_scaling{0.8}, top_k_filter{50}, top_p_filter{.p = 0.95}};
/// Without a processor it draws from the softmax of the scores.
template <score_processor... P>
class sampler {
 public:
  constexpr sampler() = default;
  constexpr sampler(P... processors)
    requires(sizeof...(P) > 0)
      : processors_(std::move(processors)...) {}

  template <class A>
  void operator()(candidates<A>& c) const {
    std::apply([&](const P&... p) { (p(c), ...); }, processors_);
  }

  /// One id of one row: the smallest at which the running sum of the probabilities that the processors leave exceeds u.
  /// row: V scores with any stride; u in [0, 1), one number of a `counter_random`, so that the draw is a function of
  /// (seed, stream, counter) and the row alone; previous: ids of the text so far. Throws std::invalid_argument as
  /// `candidates` and the processors. Cost: reads the row once from memory; allocates nothing after a thread's first
  /// row.
  template <score_type T>
  drawn_id draw(const T* row, index vocab, double u, id_column previous = {}, index stride = 1) const {
    const detail::scratch_lease<candidates<arithmetic<T>>> lease;
    candidates<arithmetic<T>>& c = *lease;
    c.assign(row, vocab, stride, previous);
    (*this)(c);
    return c.draw(u);
  }

 private:
  std::tuple<P...> processors_;
};

/// Options of `sample_rows`.
struct sample_rows_options {
  id_column streams =
      {};  ///< [N] number of each row's stream, so that it does not depend on the batch; the row's own number if empty
  id_column previous = {};  ///< text of each row so far, one after the other
  id_column offsets = {};   ///< [N+1] where each row's text stands in `previous`; empty: no text
};

/// One id for every row of scores.
///   id_i = sampler drawn with u = random.uniform(stream_i, step)
/// x: [N, V]; step: the number of the draw within each stream. The same ids for any number of threads and any order of
/// rows. Throws std::invalid_argument on a length that does not fit, and as `sampler::draw`. Cost: as `sampler::draw`
/// for each row.
template <host_scores X, score_processor... P, executor E = const sequential>
std::vector<drawn_id> sample_rows(const X& x, const sampler<P...>& how, const counter_random& random,
                                  std::uint64_t step, const sample_rows_options& options = {},
                                  E&& executor = sequential{}) {
  std::vector<drawn_id> result;
  detail::visit_scores("scores", x, [&](const auto& scores) {
    const index n = scores.rows();
    if (options.streams.is_given()) detail::require_length("streams", options.streams.size(), n);
    if (!options.offsets.is_given() && options.previous.is_given())
      detail::fail("offsets", std::to_string(n + 1) + " entries, since previous is given", "none");
    std::vector<index> text;
    if (options.offsets.is_given()) {
      const ragged rows(options.offsets);
      detail::require_length("offsets", rows.sequences(), n);
      detail::require_length("previous", options.previous.size(), rows.tokens());
      for (index k = 0; k < options.previous.size(); ++k) text.push_back(options.previous[k]);
    }
    result.resize(static_cast<std::size_t>(n));
    executor.for_each_chunk(n, [&](index begin, index end) {
      for (index i = begin; i < end; ++i) {
        const auto stream = static_cast<std::uint64_t>(options.streams.is_given() ? options.streams[i] : i);
        id_column previous;
        if (options.offsets.is_given())
          previous = id_column(text.data() + options.offsets[i], options.offsets[i + 1] - options.offsets[i]);
        result[static_cast<std::size_t>(i)] =
            how.draw(scores.row(i), scores.vocab, random.uniform(stream, step), previous, scores.vocab_stride);
      }
    });
  });
  return result;
}

}  // namespace emend
