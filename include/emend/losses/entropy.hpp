#pragma once

#include <emend/core/token.hpp>

namespace emend {

/// Entropy bonus: the negative entropy of the row, to be minimised.
///   loss_i = -coefficient * entropy_i                                                                  [nats]
/// Rows with one possible id, and ids with score -inf, contribute 0. Williams and Peng 1991.
struct entropy_bonus {
  double coefficient = 1;
  template <class R>
  constexpr R operator()(const token<R>& t) const {
    return coefficient == 0 ? R(0) : R(-coefficient * t.entropy);
  }
};

}  // namespace emend
