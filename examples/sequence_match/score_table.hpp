#pragma once

#include <algorithm>
#include <cmath>

#include <emend/sequence_match/trajectory_objective.hpp>
#include <sequence_match/occupancy.hpp>

namespace sequence_match {

/// A model that can say anything: a score for every action after every text, and the value of every terminal state,
/// which is free because its scores are. The actions are letters, the end, and the backspace where the model has one.
class score_table {
 public:
  score_table(const markov_source& source, bool has_backspace)
      : source_(source),
        texts_(static_cast<std::size_t>(source.texts())),
        actions_(static_cast<std::size_t>(source.letters) + 2),
        is_allowed_(texts_ * actions_, 1),
        values_(texts_ * actions_ + texts_, 0.0) {
    for (std::size_t s = 0; s < texts_; ++s) {
      if (!has_backspace) is_allowed_[s * actions_ + actions_ - 1] = 0;
      if (source.depth(static_cast<int>(s)) >= source.deepest)
        std::fill_n(is_allowed_.begin() + static_cast<std::ptrdiff_t>(s * actions_), source.letters, char(0));
    }
  }

  /// Scores, then values of terminal states: what is solved for.
  std::vector<double>& values() { return values_; }

  /// V of every text.
  std::vector<double> log_z() const {
    std::vector<double> result(texts_);
    for (std::size_t s = 0; s < texts_; ++s) {
      double highest = -emend::detail::infinity, sum = 0;
      for (std::size_t a = 0; a < actions_; ++a)
        if (is_allowed_[s * actions_ + a]) highest = std::max(highest, values_[s * actions_ + a]);
      for (std::size_t a = 0; a < actions_; ++a)
        if (is_allowed_[s * actions_ + a]) sum += std::exp(values_[s * actions_ + a] - highest);
      result[s] = highest + std::log(sum);
    }
    return result;
  }
  /// [texts, actions]
  std::vector<double> policy() const {
    const std::vector<double> v = log_z();
    std::vector<double> result(texts_ * actions_, 0.0);
    for (std::size_t i = 0; i < result.size(); ++i)
      if (is_allowed_[i]) result[i] = std::exp(values_[i] - v[i / actions_]);
    return result;
  }

  /// The objective of all trajectories at once, and its gradient with respect to values().
  ///   sum_steps w step(l(label | s) - gamma V(s')) + sum_ends w tail(V(end)) - V(empty text), and the same of rollouts
  /// rollouts may be null.
  template <emend::trajectory_objective O>
  double evaluate(const O& objective, const occupancy& data, const occupancy* rollouts,
                  std::vector<double>& gradient) const {
    const std::vector<double> v = log_z();
    std::vector<double> d_v(texts_, 0.0);
    gradient.assign(values_.size(), 0.0);
    double value = 0;
    const auto add = [&](const occupancy& of, bool is_rollout) {
      for (const transition& t : of.steps) {
        if (!objective.counts_step(is_rollout)) break;
        const auto s = static_cast<std::size_t>(t.state);
        const std::size_t label = s * actions_ + static_cast<std::size_t>(t.label);
        const bool ends = t.pushed == source_.letters;
        const int next = t.pushed > source_.letters ? source_.parent(t.state)
                         : ends                     ? t.state
                                                    : source_.child(t.state, t.pushed);
        double& next_value_slope = ends ? gradient[texts_ * actions_ + s] : d_v[static_cast<std::size_t>(next)];
        const bool from_value = objective.starts_from_value(is_rollout);
        const double r = (from_value ? v[s] : values_[label]) -
                         objective.gamma * (ends ? values_[texts_ * actions_ + s] : v[static_cast<std::size_t>(next)]);
        const emend::value_and_slope term = objective.step(is_rollout, r);
        value += t.weight * term.value;
        (from_value ? d_v[s] : gradient[label]) += t.weight * term.slope;
        next_value_slope -= t.weight * objective.gamma * term.slope;
      }
      for (std::size_t s = 0; s < texts_; ++s) {
        if (of.ends[s] == 0 || !objective.counts_tail(is_rollout)) continue;
        const emend::value_and_slope term = objective.tail(is_rollout, values_[texts_ * actions_ + s]);
        value += of.ends[s] * term.value;
        gradient[texts_ * actions_ + s] += of.ends[s] * term.slope;
      }
      value -= objective.value_weight(is_rollout) * v[0];
      d_v[0] -= objective.value_weight(is_rollout);
    };
    add(data, false);
    if (rollouts) add(*rollouts, true);
    const std::vector<double> p = policy();
    for (std::size_t i = 0; i < p.size(); ++i) gradient[i] += d_v[i / actions_] * p[i];
    return value;
  }

 private:
  const markov_source& source_;
  std::size_t texts_, actions_;
  std::vector<char> is_allowed_;
  std::vector<double> values_;
};

}  // namespace sequence_match
