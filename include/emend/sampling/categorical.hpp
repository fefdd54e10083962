#pragma once

#include <emend/base/errors.hpp>
#include <emend/carriers/real.hpp>
#include <emend/core/random.hpp>

#include <string>

namespace emend {

/// One id drawn from softmax(scores / temperature): the smallest id at which the running sum of probabilities exceeds
/// u.
///   id = min{j : sum_{k<=j} p_k > u},   p = softmax(x / temperature)
/// row: V scores with any stride; temperature >= 0, at 0 the highest score, lowest id first, at infinity all scores
/// above -inf alike; u in [0, 1), one number of a `counter_random`, so that a draw is a function of (seed, stream,
/// counter) and of nothing else. Scores of -inf are never drawn. Throws std::invalid_argument on an empty row, a
/// temperature below 0, another u, or a row without a finite maximum (all -inf, or NaN or +inf in it). Cost: reads the
/// row three times; allocates nothing.
template <class T>
index draw_categorical(const T* row, index vocab, double u, double temperature = 1, index stride = 1) {
  if (vocab < 1) detail::fail("row", "at least one score", "none");
  detail::require_not_negative("temperature", temperature);
  if (!(u >= 0 && u < 1)) detail::fail("u", "a number in [0, 1)", std::to_string(u));
  const auto at = [&](index j) { return static_cast<double>(row[j * stride]); };
  index best = 0;
  for (index j = 0; j < vocab; ++j) {
    if (!(at(j) < detail::infinity))
      detail::fail("row", "scores that are finite or -inf", std::to_string(at(j)) + " at id " + std::to_string(j));
    if (at(j) > at(best)) best = j;
  }
  const double largest = at(best);
  if (largest == -detail::infinity) detail::fail("row", "a score above -inf", "none");
  if (temperature == 0) return best;
  // Of -inf the quotient may be NaN; a distance of finite scores may overflow, and that of their quotients not.
  const auto power = [&](index j) {
    const double x = at(j), distance = x - largest;
    if (x == -detail::infinity) return 0.0;
    return emend::exp(distance > -detail::infinity || temperature < 1 ? distance / temperature
                                                                      : x / temperature - largest / temperature);
  };
  double total = 0;
  for (index j = 0; j < vocab; ++j) total += power(j);
  double sum = 0;
  index last = best;
  for (index j = 0; j < vocab; ++j) {
    const double p = power(j);
    if (p == 0) continue;
    sum += p;
    last = j;
    if (sum > u * total) return j;
  }
  return last;  // rounding left the sum below the total
}

}  // namespace emend
