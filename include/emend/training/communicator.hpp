#pragma once

#include <emend/core/moments.hpp>
#include <emend/losses/aggregation.hpp>

#include <concepts>
#include <span>
#include <vector>

namespace emend {

/// A group of processes, its ranks, that work on parts of one batch.
///
/// Valid expressions, with `c` a C:
///   c.rank(), c.size()               this process's number, 0 .. size-1, and how many there are
///   c.all_reduce_sum(span<double>)   every entry becomes its sum over the ranks, in place, with the same bits on each
///   c.all_reduce_sum(span<float>)    likewise; gradients
///   c.all_gather(span<const double>) -> vector<double>   the entries of rank 0, then those of rank 1, ...; as many on
///   each rank
/// Each is entered by all ranks, in the same order and with the same length. A model: `single_process`; adapters for
/// engines that exist: <emend/c10d.hpp> (Gloo, NCCL), <emend/mpi.hpp>.
///   static_assert(emend::communicator<emend::single_process>);
/// What the compiler cannot check: that ranks agree on order and length, and that a failure of one reaches the others.
template <class C>
concept communicator = requires(std::remove_cvref_t<C>& c, std::span<double> numbers, std::span<float> parameters,
                                std::span<const double> own) {
  { c.rank() } -> std::convertible_to<index>;
  { c.size() } -> std::convertible_to<index>;
  c.all_reduce_sum(numbers);
  c.all_reduce_sum(parameters);
  { c.all_gather(own) } -> std::convertible_to<std::vector<double>>;
};

/// The group of one: everything stays as it is.
struct single_process {
  static index rank() { return 0; }
  static index size() { return 1; }
  static void all_reduce_sum(std::span<double>) {}
  static void all_reduce_sum(std::span<float>) {}
  static std::vector<double> all_gather(std::span<const double> own) { return {own.begin(), own.end()}; }
};
static_assert(communicator<single_process>);

/// sum over ranks of x.
template <communicator C>
double sum_over_ranks(C& ranks, double x) {
  ranks.all_reduce_sum(std::span<double>(&x, 1));
  return x;
}

/// Largest x of the ranks; NaN, on every rank, if one of them is.
template <communicator C>
double maximum_over_ranks(C& ranks, double x) {
  const std::vector<double> all = ranks.all_gather(std::span<const double>(&x, 1));
  // In the order of ranks, and not from the own number on, so that each comes to the same.
  x = all.front();
  for (const double other : all) x = other > x || other != other ? other : x;
  return x;
}

/// The counts of the whole batch, which make losses over its parts add up to the loss over all of it.
template <communicator C>
batch_counts sum_over_ranks(C& ranks, batch_counts own) {
  double both[] = {own.tokens, own.sequences};
  ranks.all_reduce_sum(std::span<double>(both));
  return {both[0], both[1]};
}

/// The moments of the numbers of all ranks, merged in the order of ranks: the same bits on each. For
/// `whiten_options::given`, `running_moments::update` and group normalisers; their mean, weighted by counts, is what a
/// KL controller takes.
template <communicator C>
moments merge_over_ranks(C& ranks, const moments& own) {
  const double parts[] = {own.count, own.mean, own.squares};
  const std::vector<double> all = ranks.all_gather(std::span<const double>(parts));
  moments whole;
  for (std::size_t r = 0; r + 2 < all.size(); r += 3) whole.merge({all[r], all[r + 1], all[r + 2]});
  return whole;
}

}  // namespace emend
