#pragma once

#include <emend/advantage/whitening.hpp>
#include <emend/cuda/team.hpp>

namespace emend::cuda {

/// Whitening of n values on a device; pointers there. Options as of `whiten`; `given` moments are of the whole batch.
struct whiten_problem {
  const float* values = nullptr;
  const bool* mask = nullptr;  ///< [n] or null: all counted
  index count = 0;
  whiten_options options = {};
  float* out = nullptr;  ///< [n], may be the values
};

/// Values that one team takes the moments of; their number says how many teams there are, and so the order of the sums.
inline constexpr index whiten_part = 8192, whiten_threads = 256;
constexpr index whiten_parts(index count) { return (count + whiten_part - 1) / whiten_part; }

struct whiten_memory {
  moments of_thread[whiten_threads];
};

/// The moments of what all threads hold, known to each.
template <class Team>
constexpr moments joined_moments(Team& team, whiten_memory& memory, const moments& own) {
  memory.of_thread[team.rank()] = own;
  team_reduce(team, memory.of_thread, [](moments a, const moments& b) {
    a.merge(b);
    return a;
  });
  const moments whole = memory.of_thread[0];
  team.sync();
  return whole;
}

/// The moments of the counted values of one part, about one of them: as many divisions as threads.
template <class Team>
constexpr moments moments_of_part(Team& team, whiten_memory& memory, const whiten_problem& p, index part) {
  const index end = (part + 1) * whiten_part < p.count ? (part + 1) * whiten_part : p.count;
  double count = 0, pivot = 0, sum = 0, squares = 0;
  for (index i = part * whiten_part + team.rank(); i < end; i += team.size()) {
    // Both are read at once: what is not counted costs less than to wait for its flag.
    const double x = static_cast<double>(p.values[i]);
    if (p.mask && !p.mask[i]) continue;
    if (count == 0) pivot = x;
    const double d = x - pivot;
    count += 1;
    sum += d;
    squares += d * d;
  }
  const moments own = count == 0 ? moments{} : moments{count, pivot + sum / count, squares - sum * sum / count};
  return joined_moments(team, memory, own);
}

/// What is done to every value, by the moments of all parts; one team.
template <class Team>
constexpr emend::detail::whitening whitening_of(Team& team, whiten_memory& memory, const whiten_problem& p,
                                                const moments* of_part) {
  if (p.options.given.count != 0) return {p.options.given, p.options};
  moments own;
  const index parts = whiten_parts(p.count), of_each = (parts + team.size() - 1) / team.size();
  for (index k = team.rank() * of_each; k < (team.rank() + 1) * of_each && k < parts; ++k) own.merge(of_part[k]);
  return {joined_moments(team, memory, own), p.options};
}

/// Value i of the result.
constexpr float whitened(const whiten_problem& p, const emend::detail::whitening& f, index i) {
  if (!p.mask || p.mask[i] || p.options.uncounted == uncounted_value::transformed)
    return static_cast<float>(f(static_cast<double>(p.values[i])));
  return static_cast<float>(p.options.uncounted == uncounted_value::zero ? 0.0 : f(0.0));
}

}  // namespace emend::cuda
