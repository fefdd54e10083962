#pragma once

#include <emend/advantage/gae.hpp>
#include <emend/cuda/team.hpp>

namespace emend::cuda {

/// Advantages of B rows of T tokens on a device; pointers there, rows one after the other.
struct gae_problem {
  const float *reward = nullptr, *value = nullptr;  ///< [B, T]
  const bool* mask = nullptr;                       ///< [B, T] or null: all counted
  const float* bootstrap = nullptr;                 ///< [B] or null: 0
  index rows = 0, tokens = 0;
  double gamma = 1, lambda = 0.95, value_lambda = -1, length_adaptive_alpha = 0;
  hole_rule holes = hole_rule::carry;
  float *advantage = nullptr, *returns = nullptr;  ///< [B, T], written; 0 where a token is not counted
};

/// What a stretch of tokens makes of the advantage and the value behind it:
///   A = offset + slope A' + value_slope V',   V = value;   of an empty stretch A = A', V = V'
/// `other`: the same recursion with the returns' lambda.
struct gae_stretch {
  struct line {
    double offset = 0, slope = 1, value_slope = 0;
    constexpr double operator()(double next_advantage, double next_value) const {
      return offset + slope * next_advantage + value_slope * next_value;
    }
    /// This one before `right`, whose first value is v.
    constexpr line before(const line& right, double v) const {
      return {offset + slope * right.offset + value_slope * v, slope * right.slope, slope * right.value_slope};
    }
  };
  line own, other;
  double value = 0;
  bool is_empty = true;

  /// The stretch, then `right`.
  constexpr gae_stretch before(const gae_stretch& right) const {
    if (is_empty) return right;
    if (right.is_empty) return *this;
    return {own.before(right.own, right.value), other.before(right.other, right.value), value, false};
  }
};

/// Tokens that a thread takes by itself before the threads join what they have.
inline constexpr index gae_run = 8;
inline constexpr index gae_threads = 128;
struct gae_memory {
  team_memory team;
  gae_stretch stretch[gae_threads];
};

/// One row by a team of at most gae_threads: chunks of gae_run tokens a thread, from the end; in each a scan of the
/// threads' stretches.
template <class Team>
constexpr void gae_row(Team& team, gae_memory& memory, const gae_problem& p, index row) {
  const index first = row * p.tokens, threads = team.size();
  const auto is_counted = [&](index t) { return t >= 0 && t < p.tokens && (!p.mask || p.mask[first + t]); };
  std::uint64_t count = 0, end = 0;
  if (p.length_adaptive_alpha > 0 || p.holes == hole_rule::decay) {
    for (index t = team.rank(); t < p.tokens; t += threads)
      if (is_counted(t)) ++count, end = static_cast<std::uint64_t>(t) + 1;
    count = team_sum(team, memory.team, count);
    end = team_max(team, memory.team, end);
  }
  double lambda = p.lambda;
  if (p.length_adaptive_alpha > 0 && count > 0) {
    lambda = 1 - 1 / (p.length_adaptive_alpha * static_cast<double>(count));
    lambda = lambda > 0 ? lambda : 0;
  }
  const double decay = p.gamma * lambda, other_decay = p.gamma * (p.value_lambda < 0 ? p.lambda : p.value_lambda);
  double advantage = 0, other = 0, value = p.bootstrap ? static_cast<double>(p.bootstrap[row]) : 0;
  for (index last = p.tokens; last > 0; last -= threads * gae_run) {
    const index begin = last - (threads - team.rank()) * gae_run;
    bool counts[gae_run], steps[gae_run];
    float v[gae_run], r[gae_run];
    for (index k = 0; k < gae_run; ++k) {
      const index t = begin + k;
      counts[k] = is_counted(t);
      steps[k] = counts[k] || (t >= 0 && p.holes == hole_rule::decay && static_cast<std::uint64_t>(t) < end);
      v[k] = counts[k] ? p.value[first + t] : 0.0f;
      r[k] = counts[k] ? p.reward[first + t] : 0.0f;
    }
    gae_stretch own;
    for (index k = gae_run; k-- > 0;) {
      if (!steps[k]) continue;
      const double of = static_cast<double>(v[k]), delta = static_cast<double>(r[k]) - of;
      own = gae_stretch{{delta, decay, p.gamma}, {delta, other_decay, p.gamma}, of, false}.before(own);
    }
    memory.stretch[team.rank()] = own;
    team.sync();
    for (index distance = 1; distance < threads; distance *= 2) {
      const gae_stretch right =
          team.rank() + distance < threads ? memory.stretch[team.rank() + distance] : gae_stretch{};
      team.sync();
      own = own.before(right);
      memory.stretch[team.rank()] = own;
      team.sync();
    }
    // What stands behind this thread's tokens.
    const gae_stretch right = team.rank() + 1 < threads ? memory.stretch[team.rank() + 1] : gae_stretch{},
                      whole = memory.stretch[0];
    double next_advantage = right.is_empty ? advantage : right.own(advantage, value),
           next_other = right.is_empty ? other : right.other(other, value);
    double next_value = right.is_empty ? value : right.value;
    for (index k = gae_run; k-- > 0;) {
      const index t = begin + k;
      if (steps[k]) {
        const double of = static_cast<double>(v[k]), delta = static_cast<double>(r[k]) - of + p.gamma * next_value;
        next_advantage = delta + decay * next_advantage;
        next_other = delta + other_decay * next_other;
        next_value = of;
      }
      if (t < 0) continue;
      p.advantage[first + t] = counts[k] ? static_cast<float>(next_advantage) : 0.0f;
      p.returns[first + t] = counts[k] ? static_cast<float>(next_other + next_value) : 0.0f;
    }
    if (!whole.is_empty) {
      advantage = whole.own(advantage, value);
      other = whole.other(other, value);
      value = whole.value;
    }
    team.sync();
  }
}

}  // namespace emend::cuda
