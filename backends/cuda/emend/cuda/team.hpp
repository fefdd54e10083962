#pragma once

#include <emend/base/index.hpp>

namespace emend::cuda {

// Several threads that work on one row together, as the algorithms of this folder are written for. A team `t` has
//   t.rank(), t.size()              this thread's number, and how many there are: a power of 2
//   t.lanes()                       threads of a group that step together (32 on a device); size() is a multiple of it,
//   `most_groups` times at most t.sync()                        waits for all; what was written to memory before is
//   seen after t.sum_lanes(x), t.max_lanes(x)  over the group's lanes, known to each; x an unsigned integer
//   t.take(memory)                  what memory, a std::uint32_t, was before it is raised by 1, undivided
//   t.for_each_score(x, n, stride, f)   f(numbers, first) for runs of neighbours of x[0 .. n - 1], an array of them in
//   float or double and the place of its
//                                   first: each by one thread, the runs of a thread in ascending order
// `device_team` is a block of a device (token_kernels.cuh); tests run the same text by threads of the host. Memory that
// a team shares is a struct given beside it. Sums of floating-point numbers are formed in an order that depends on
// size() alone. The algorithms are constexpr templates, which nvcc compiles for the device as they stand.
inline constexpr index most_groups = 32;

/// Memory of `team_sum` and `team_max`.
struct team_memory {
  std::uint64_t of_group[most_groups];
};

namespace detail {

template <class Team, class N, class OfLanes, class Join>
constexpr N joined(Team& team, team_memory& memory, N x, OfLanes of_lanes, Join join) {
  x = of_lanes(x);
  if (team.rank() % team.lanes() == 0) memory.of_group[team.rank() / team.lanes()] = x;
  team.sync();
  N result = static_cast<N>(memory.of_group[0]);
  for (index g = 1; g < team.size() / team.lanes(); ++g) result = join(result, static_cast<N>(memory.of_group[g]));
  team.sync();
  return result;
}

}  // namespace detail

/// Sum and largest of an unsigned number over the team; each thread gets it.
template <class Team, class N>
constexpr N team_sum(Team& team, team_memory& memory, N x) {
  return detail::joined(team, memory, x, [&](N of) { return team.sum_lanes(of); }, [](N a, N b) { return a + b; });
}
template <class Team, class N>
constexpr N team_max(Team& team, team_memory& memory, N x) {
  return detail::joined(
      team, memory, x, [&](N of) { return team.max_lanes(of); }, [](N a, N b) { return a < b ? b : a; });
}

/// slots[0] becomes the join of slots[0 .. size() - 1], by halving distances: join(a, b), a before b. Each thread has
/// written its own.
template <class Team, class T, class Join>
constexpr void team_reduce(Team& team, T* slots, Join join) {
  team.sync();
  for (index distance = team.size() / 2; distance > 0; distance /= 2) {
    if (team.rank() < distance) slots[team.rank()] = join(slots[team.rank()], slots[team.rank() + distance]);
    team.sync();
  }
}

}  // namespace emend::cuda
