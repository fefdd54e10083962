#pragma once

#include <emend/cuda/team.hpp>

namespace emend::cuda {

/// Attention of a packed forest on a device: see `write_attention_mask`. Pointers there.
struct ancestor_problem {
  const std::int64_t* parent =
      nullptr;  ///< [N], -1 or an earlier node; a parent that is not earlier ends the way to the root
  index nodes = 0, row_stride = 0;   ///< row_stride: 0 for N
  std::int64_t* position = nullptr;  ///< [N] or null: number of ancestors
};

/// Row i of the mask: `allowed` at the node and its ancestors. out: [N, N], or null for the positions alone.
template <class Team, class T>
constexpr void ancestor_row(Team& team, const ancestor_problem& p, T* out, T allowed, T forbidden, index i) {
  T* const row = out ? out + i * (p.row_stride == 0 ? p.nodes : p.row_stride) : nullptr;
  for (index j = team.rank(); row && j < p.nodes; j += team.size()) row[j] = forbidden;
  team.sync();
  if (team.rank() == 0) {
    std::int64_t depth = -1;
    for (index node = i; node >= 0; ++depth) {
      if (row) row[node] = allowed;
      const index next = p.parent[node];
      node = next < node ? next : -1;
    }
    if (p.position) p.position[i] = depth;
  }
}

}  // namespace emend::cuda
