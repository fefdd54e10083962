#pragma once

#include <emend/core/backend.hpp>
#include <emend/training/communicator.hpp>
#include <emend/training/token_batch.hpp>

#include <vector>

namespace emend {

namespace detail {

/// A caller of the concepts below, for their checks only.
struct any_visitor {
  template <class... Args>
  void operator()(Args&&...) const {}
};

}  // namespace detail

/// A model that gives scores: a reference policy, or one that is trained.
///
/// Valid expressions, with `p` a P, `batch` a const token_batch:
///   p.score(batch, f)   calls f(const X& scores, const std::vector<index>& tokens) for parts of the batch that cover
///   it:
///                       X is a `scores` type; row k of scores predicts response token tokens[k] of the batch
/// A part holds whole sequences, its tokens ascending; parts may be visited by several threads at once, each once.
/// What the compiler cannot check: the covering, the order, and that scores depend on nothing but ids and parameters.
template <class P>
concept scoring_policy = requires(P& p, const token_batch& batch) { p.score(batch, detail::any_visitor{}); };

/// A policy whose parameters can follow a gradient.
///
/// Valid expressions beside those of `scoring_policy`:
///   p.differentiate(batch, f)   calls f(const X& scores, const std::vector<index>& tokens, X& gradient) likewise; f
///   writes the
///                               derivative of a loss with respect to the scores, and p adds the loss's derivative with
///                               respect to its parameters to what it has gathered
///   p.step()                    moves the parameters along what was gathered (the optimiser is the policy's), and
///   forgets it
/// What the compiler cannot check: that the gathered gradient is that of the scores; the result must not depend on
/// threads.
template <class P>
concept trainable_policy = scoring_policy<P> && requires(P& p, const token_batch& batch) {
  p.differentiate(batch, detail::any_visitor{});
  p.step();
};

/// A policy or a critic that is trained by several processes at once.
///
/// Valid expression, with `m` a M, `ranks` a C:
///   m.sum_gradient(ranks)   ranks.all_reduce_sum(...) over all that it has gathered since its last step
/// What the compiler cannot check: that parameters begin the same on each rank, and that every gradient is in the sum.
template <class M, class C>
concept summing_gradients =
    std::same_as<std::remove_cvref_t<C>, single_process> || requires(M& m, C& ranks) { m.sum_gradient(ranks); };

/// A policy that answers prompts.
///
/// Valid expressions, with `prompts` a const std::vector<std::vector<index>>, seed a std::uint64_t:
///   p.respond(prompts, seed) -> std::vector<std::vector<index>>   one response for each prompt, its end token included
///   if it
///                                                                came to one; a function of the seed, not of threads
/// Sampling (temperature, limits, ends) is the policy's own matter; PPO's ratios ask for temperature 1 and no
/// truncation, or for the scores' transform and kept ids that were used.
template <class P>
concept responding_policy = requires(P& p, const std::vector<std::vector<index>>& prompts, std::uint64_t seed) {
  { p.respond(prompts, seed) } -> std::convertible_to<std::vector<std::vector<index>>>;
};

/// A critic: a value for every response token, V(state before the token).
///
/// Valid expressions, with `c` a C:
///   c.value(batch, f)                calls f(const std::vector<double>& values, const std::vector<index>& tokens) for
///   parts
///                                    that cover the batch
///   c.differentiate_value(batch, f)  calls f(values, tokens, std::vector<double>& gradient) likewise; f writes d loss
///   / d value c.step()                         as a policy's
template <class C>
concept trainable_critic = requires(C& c, const token_batch& batch) {
  c.value(batch, detail::any_visitor{});
  c.differentiate_value(batch, detail::any_visitor{});
  c.step();
};

}  // namespace emend
