#pragma once

#include <emend/core/random.hpp>
#include <emend/sampling/backtracking_model.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

/// Scores that are a function of the state, and counts of what was asked.
class tabular_model {
 public:
  tabular_model(emend::index vocab, emend::index longest) : vocab_(vocab), longest_(longest) {}

  emend::index vocab() const { return vocab_; }
  emend::index longest() const { return longest_; }
  emend::score_view<const float> open(const std::vector<std::vector<emend::index>>& prompts) {
    states_ = prompts;
    scores_.clear();
    for (const std::vector<emend::index>& state : states_) add(state);
    return view();
  }
  emend::score_view<const float> advance(const std::vector<emend::index>& sequences,
                                         const std::vector<emend::index>& tokens) {
    scores_.clear();
    for (std::size_t k = 0; k < sequences.size(); ++k) {
      std::vector<emend::index>& state = states_.at(static_cast<std::size_t>(sequences[k]));
      state.push_back(tokens.at(k));
      REQUIRE(static_cast<emend::index>(state.size()) <= longest_);
      add(state);
      ++forwards;
    }
    ++calls;
    return view();
  }
  void roll_back(emend::index b, emend::index length) {
    std::vector<emend::index>& state = states_.at(static_cast<std::size_t>(b));
    REQUIRE(length <= static_cast<emend::index>(state.size()));
    state.resize(static_cast<std::size_t>(length));
  }

  static float score_of(const std::vector<emend::index>& state, emend::index id) {
    std::uint64_t h = 1469598103934665603u + static_cast<std::uint64_t>(id);
    for (const emend::index t : state) h = (h ^ static_cast<std::uint64_t>(t + 1)) * 1099511628211u;
    return static_cast<float>(emend::counter_random{h}.uniform(1, 2) * 3);
  }

  int forwards = 0, calls = 0;

 private:
  void add(const std::vector<emend::index>& state) {
    for (emend::index j = 0; j < vocab_; ++j) scores_.push_back(score_of(state, j));
  }
  emend::score_view<const float> view() const {
    return {scores_.data(), static_cast<emend::index>(scores_.size()) / vocab_, vocab_, vocab_, 1};
  }
  emend::index vocab_, longest_;
  std::vector<std::vector<emend::index>> states_;
  std::vector<float> scores_;
};
static_assert(emend::backtracking_model<tabular_model>);
