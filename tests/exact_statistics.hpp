// log_z and entropy of a row beyond double, and the rows on which sums in float lose the most.
#pragma once

#include <emend/base/index.hpp>
#include <emend/core/random.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <type_traits>
#include <vector>

/// Long double where the processor has it; else double, for software of 128 bits takes a hundred times longer.
using exact = std::conditional_t<std::numeric_limits<long double>::digits == 64, long double, double>;

/// A sum that keeps what rounding takes from it (Neumaier).
class exact_sum {
 public:
  void add(exact x) {
    const exact next = sum_ + x;
    lost_ += std::abs(sum_) >= std::abs(x) ? (sum_ - next) + x : (x - next) + sum_;
    sum_ = next;
  }
  exact value() const { return sum_ + lost_; }

 private:
  exact sum_ = 0, lost_ = 0;
};

struct exact_statistics {
  exact log_z = 0, entropy = 0;
};

/// score(j), j in [0, vocab): the scores as they are stored.
template <class Score>
exact_statistics exact_statistics_of(emend::index vocab, const Score& score) {
  exact maximum = score(0);
  for (emend::index j = 1; j < vocab; ++j) maximum = std::max<exact>(maximum, score(j));
  exact_sum sum, weighted;
  for (emend::index j = 0; j < vocab; ++j) {
    const exact difference = score(j) - maximum;
    if (std::isinf(difference)) continue;  // probability 0
    const exact power = std::exp(difference);
    sum.add(power);
    weighted.add(power * difference);
  }
  const exact log_sum = std::log(sum.value());
  return {maximum + log_sum, log_sum - weighted.value() / sum.value()};
}

/// Error over the larger of 1 and the value; infinite for NaN.
inline double error_of(double found, exact expected) {
  const double error = static_cast<double>(std::abs(found - expected) / std::max<exact>(1, std::abs(expected)));
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
