#pragma once

#include <emend/base/storage.hpp>
#include <emend/core/score_view.hpp>

#include <concepts>
#include <vector>

namespace emend {

namespace detail {

template <class S>
inline constexpr bool is_score_block = false;
template <class T>
  requires score_type<std::remove_const_t<T>>
inline constexpr bool is_score_block<score_view<T>> = true;

}  // namespace detail

/// A language model that writes several sequences, one token at a time, and takes tokens back.
///
/// Valid expressions, with `m` of type M, `prompts` a const std::vector<std::vector<index>>, `sequences`, `tokens`
/// const std::vector<index> of equal length, `b`, `length` of type index:
///   m.vocab()                       number of actions that a row of scores has: tokens and erasing actions
///   m.longest()                     tokens that a sequence can hold at most, its prompt included
///   m.open(prompts)                 forgets everything, reads the prompts; gives the scores after each: [prompts,
///   vocab] m.advance(sequences, tokens)    writes tokens[k] at the end of sequence sequences[k]; gives the scores
///   after it: [k, vocab] m.roll_back(b, length)          sequence b holds its first `length` tokens again; gives
///   nothing
/// The scores, a `score_view` of a type of scores, stay readable until the next call of `open` or `advance`.
/// What the compiler cannot check: that a state's scores depend on its tokens alone, however it came about, and that
/// rolling back costs no forward pass (a key-value cache drops its last entries). Models: `lm::backtracking_model` of
/// examples/lm.
template <class M>
concept backtracking_model =
    requires(M& m, const std::vector<std::vector<index>>& prompts, const std::vector<index>& ids, index length) {
      { m.vocab() } -> std::convertible_to<index>;
      { m.longest() } -> std::convertible_to<index>;
      requires detail::is_score_block<std::remove_cvref_t<decltype(m.open(prompts))>>;
      requires std::same_as<decltype(m.open(prompts)), decltype(m.advance(ids, ids))>;
      m.roll_back(length, length);
    };

}  // namespace emend
