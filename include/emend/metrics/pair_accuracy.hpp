#pragma once

#include <emend/core/column.hpp>
#include <emend/metrics/wilson.hpp>

namespace emend {

/// Share of pairs whose chosen response scores higher, ties counting a half, with its Wilson interval.
///   accuracy = (#{chosen > rejected} + #{chosen == rejected} / 2) / n
/// chosen_score, rejected_score: [n]. Throws std::invalid_argument if the lengths differ, or a score is NaN. methods:
/// reward/README, A2.2.
inline share pair_accuracy(column chosen_score, column rejected_score, double z = 1.959963984540054) {
  detail::require_length("rejected_score", rejected_score.size(), chosen_score.size());
  double wins = 0;
  const auto require_number = [](const char* argument, const column& score, index i) {
    if (score[i] != score[i]) detail::fail(argument, "entry " + std::to_string(i) + " a number", "NaN");
  };
  for (index i = 0; i < chosen_score.size(); ++i) {
    require_number("chosen_score", chosen_score, i);
    require_number("rejected_score", rejected_score, i);
    wins += chosen_score[i] > rejected_score[i] ? 1 : chosen_score[i] == rejected_score[i] ? 0.5 : 0;
  }
  return wilson_interval(wins, static_cast<double>(chosen_score.size()), z);
}

}  // namespace emend
