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
  float* out = nullptr;        ///< [n], may be the values
};

/// Values that one team takes the moments of; their number says how many teams there are, and so the order of the sums.
inline constexpr index whiten_part = 8192, whiten_threads = 256;
constexpr index whiten_parts(index count) { return (count + whiten_part - 1) / whiten_part; }

struct whiten_memory {
  moments of_thread[whiten_threads];
};

/// The moments of the counted values of one part.
template <class Team>
constexpr moments moments_of_part(Team& team, whiten_memory& memory, const whiten_problem& p, index part) {
  const index end = (part + 1) * whiten_part < p.count ? (part + 1) * whiten_part : p.count;
  moments own;
  for (index i = part * whiten_part + team.rank(); i < end; i += team.size())
    if (!p.mask || p.mask[i]) own.add(static_cast<double>(p.values[i]));
  memory.of_thread[team.rank()] = own;
  team_reduce(team, memory.of_thread, [](moments a, const moments& b) {
    a.merge(b);
    return a;
  });
  const moments whole = memory.of_thread[0];
  team.sync();
  return whole;
}

/// What is done to every value, by the moments of all parts in their order; one thread.
constexpr emend::detail::whitening whitening_of(const whiten_problem& p, const moments* of_part) {
  moments whole = p.options.given;
  if (whole.count == 0)
    for (index k = 0; k < whiten_parts(p.count); ++k) whole.merge(of_part[k]);
  return {whole, p.options};
}

/// Value i of the result.
constexpr float whitened(const whiten_problem& p, const emend::detail::whitening& f, index i) {
  if (!p.mask || p.mask[i] || p.options.uncounted == uncounted_value::transformed) return static_cast<float>(f(static_cast<double>(p.values[i])));
  return static_cast<float>(p.options.uncounted == uncounted_value::zero ? 0.0 : f(0.0));
}

}  // namespace emend::cuda
