// log_z and entropy of a row in long double, and the rows on which sums in float lose the most.
#pragma once

#include <emend/base/index.hpp>
#include <emend/core/random.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

struct exact_statistics {
  long double log_z = 0, entropy = 0;
};

/// score(j), j in [0, vocab): the scores as they are stored.
template <class Score>
exact_statistics exact_statistics_of(emend::index vocab, const Score& score) {
  long double maximum = score(0), sum = 0, weighted = 0;
  for (emend::index j = 1; j < vocab; ++j) maximum = std::max<long double>(maximum, score(j));
  for (emend::index j = 0; j < vocab; ++j) {
    const long double difference = score(j) - maximum;
    if (std::isinf(difference)) continue;  // probability 0
    const long double power = std::exp(difference);
    sum += power;
    weighted += power * difference;
  }
  return {maximum + std::log(sum), std::log(sum) - weighted / sum};
}

/// Error over the larger of 1 and the value; infinite for NaN.
inline double error_of(double found, long double expected) {
  const double error = static_cast<double>(std::abs(found - expected) / std::max(1.0L, std::abs(expected)));
  return std::isnan(error) ? HUGE_VAL : error;
}

/// Standard normal numbers, a function of both arguments.
inline double normal(std::uint64_t row, std::uint64_t place) {
  const emend::counter_random random{11};
  return std::sqrt(-2 * std::log(1 - random.uniform(2 * row, place))) *
         std::cos(2 * std::numbers::pi * random.uniform(2 * row + 1, place));
}

/// Rows of normal scores, rows of one dominating score, and rows of 16 large scores that are equal, next to many whose
/// powers are near half a unit in the last place of theirs.
inline std::vector<std::vector<double>> hard_rows(emend::index vocab) {
  std::vector<std::vector<double>> rows;
  for (std::uint64_t i = 0; i < 12; ++i) {
    std::vector<double> row;
    for (emend::index j = 0; j < vocab; ++j) {
      const double z = normal(i, static_cast<std::uint64_t>(j));
      const bool is_peak = j == vocab / 4 * static_cast<emend::index>(i % 4);
      if (i < 2)
        row.push_back(z);
      else if (i < 4)
        row.push_back(4 * z);
      else if (i < 8)
        row.push_back(is_peak ? 4.0 * static_cast<double>(i - 3) : 0.3 * z);
      else
        row.push_back(j % (vocab / 16 + 1) == 0 ? 0 : -13.5 - 1.1 * static_cast<double>(i - 7));
    }
    rows.push_back(row);
  }
  return rows;
}
