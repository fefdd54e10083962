#pragma once

#include <emend/core/token.hpp>
#include <emend/evaluation/scores.hpp>

namespace emend::evaluation_refusals {

// The sentences of the entries' last resorts: overloads that are chosen where an argument is of no use, and fail to
// compile with the remedy.

template <class X>
constexpr void refuse_scores() {
  static_assert(
      scores<X>,
      "emend: this type is not known to hold scores. Include its backend (for Eigen: <emend/eigen.hpp>; evaluate "
      "an expression with .eval() first) or specialise emend::backend<X>; see backends/README.md");
}

template <bool IsLoss>
constexpr void refuse_token_loss() {
  static_assert(
      IsLoss,
      "emend: a loss must be callable on token<double> and on token<token_dual>; write it as a generic lambda, "
      "[](const auto& t) { return -t.log_prob; }, and call emend::exp, emend::min, emend::clamp in it, not the "
      "functions of std, which know no derivatives");
}

template <bool IsLoss>
constexpr void refuse_sequence_loss() {
  static_assert(
      IsLoss,
      "emend: a sequence loss has summand(t) and is callable as loss(t, summary, length), both on token<double> "
      "and on token<sequence_dual>; write them as templates, and call emend::exp, emend::min, emend::clamp in "
      "them, not the functions of std, which know no derivatives");
}

}  // namespace emend::evaluation_refusals
