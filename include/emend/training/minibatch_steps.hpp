#pragma once

#include <emend/training/communicator.hpp>
#include <emend/training/minibatches.hpp>
#include <emend/training/trainable.hpp>
#include <emend/training/update_options.hpp>

// What updates of a policy and of a critic share: nothing here is for users.

namespace emend::detail {

/// As many minibatches on each rank: where one has fewer, it takes part in the last steps with nothing.
template <communicator C>
std::vector<std::vector<index>> minibatches_over_ranks(index sequences, const update_options& options, index epoch,
                                                       C& ranks) {
  auto parts = minibatches(sequences, options.minibatch, options.seed, static_cast<std::uint64_t>(epoch));
  parts.resize(static_cast<std::size_t>(maximum_over_ranks(ranks, static_cast<double>(parts.size()))));
  return parts;
}

/// One step along what all ranks have gathered.
template <class M, communicator C>
void step_over_ranks(M& model, C& ranks) {
  static_assert(summing_gradients<M, C>,
                "emend: a model that is trained over ranks needs a member sum_gradient(ranks) that calls "
                "ranks.all_reduce_sum on its gathered gradient; see emend::summing_gradients");
  if constexpr (!std::same_as<C, single_process>) model.sum_gradient(ranks);
  model.step();
}

/// f(tokens, weights of these tokens) for every micro-batch of a minibatch, with the counts of the minibatch over all
/// ranks.
template <communicator C, class F>
void for_each_micro_batch(const token_batch& batch, const std::vector<index>& minibatch, const update_options& options,
                          C& ranks, F&& f) {
  const std::vector<index> all = tokens_of(batch, minibatch);
  aggregation_options whole = options.aggregate;
  whole.counts.tokens = static_cast<double>(all.size());
  whole.counts.sequences = 0;
  for (const index b : minibatch)
    whole.counts.sequences += batch.response_length(b) > 0 || whole.counts_empty_sequences;
  whole.counts = sum_over_ranks(ranks, whole.counts);
  const auto size =
      static_cast<std::size_t>(options.micro_batch == 0 ? static_cast<index>(minibatch.size()) : options.micro_batch);
  for (std::size_t begin = 0; begin < minibatch.size(); begin += size) {
    const std::size_t end = begin + size < minibatch.size() ? begin + size : minibatch.size();
    const std::vector<index> part(minibatch.begin() + static_cast<std::ptrdiff_t>(begin),
                                  minibatch.begin() + static_cast<std::ptrdiff_t>(end));
    const token_batch chosen = batch.select(part);
    if (chosen.tokens() == 0) continue;
    f(chosen, tokens_of(batch, part), token_weights(chosen.layout(), options.how, whole));
  }
}

inline void check_update(const update_options& options) {
  if (options.epochs < 0) fail("epochs", "a number not below 0", std::to_string(options.epochs));
  if (options.micro_batch < 0) fail("micro_batch", "a number not below 0", std::to_string(options.micro_batch));
  if (options.pretraining && options.pretraining->sequences() == 0)
    fail("pretraining", "at least one sequence", "none");
  if (!(options.pretraining_coefficient >= 0))
    fail("pretraining_coefficient", "a number not below 0", std::to_string(options.pretraining_coefficient));
  if (options.aggregate.counts.tokens != 0 || options.aggregate.counts.sequences != 0)
    fail("aggregate.counts", "0, because an update counts each of its minibatches", "other counts");
  if (options.stop_at_kl != options.stop_at_kl) fail("stop_at_kl", "a number, or infinity for none", "NaN");
}

}  // namespace emend::detail
