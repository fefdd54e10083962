#pragma once

#include <emend/carriers/dual.hpp>
#include <emend/core/token.hpp>

/// A token of which a loss reads the log-probability and the entropy.
template <class R>
emend::token<R> token_of(R log_prob, R entropy = R(0.5), emend::index position = 0) {
  return {log_prob, R(0), log_prob, entropy, R(0), R(0), position};
}
using one_derivative = emend::dual<double, 1>;
