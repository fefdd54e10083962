#pragma once

#include <emend/core/column.hpp>
#include <emend/core/id_column.hpp>
#include <emend/core/scratch_lease.hpp>
#include <emend/simd/streaming.hpp>

#include <vector>

namespace emend {

// What the nodes of a forest attend to, given as a list of parents (`state_tree`, `state_slots`, `trajectory_forest`):
// each node to its ancestors and itself. The list is the compact form; dense masks and bits are for models that take
// nothing else.

namespace detail {

/// The parents of all nodes, read once. Throws std::invalid_argument on one that is not earlier.
class parent_list {
 public:
  const index* read(const id_column& parent) {
    read_ids(parent, 0, parent.size(), parents_);
    const auto nodes = static_cast<index>(parents_.size());
    const index* const of = parents_.data();
    for (index i = 0; i < nodes; ++i)
      if (of[i] < -1 || of[i] >= i)
        fail("parent", "entry " + std::to_string(i) + " -1 or an earlier node", std::to_string(of[i]));
    return of;
  }

 private:
  std::vector<index> parents_;
};

/// The row of one node after the other, kept in cache: from node to node only what differs is changed.
template <class T>
class mask_row {
 public:
  void start(index nodes, T allowed, T forbidden) {
    row_.assign(static_cast<std::size_t>(nodes), forbidden);
    allowed_ = allowed;
    forbidden_ = forbidden;
    last_ = -1;
  }
  /// Nodes ascending, or any others.
  const T* move_to(index node, const index* parent) {
    // Parents come earlier, so of two nodes the later one is no ancestor of the other.
    for (index from = last_, to = node; from != to;) {
      index& later = from > to ? from : to;
      row_[static_cast<std::size_t>(later)] = from > to ? forbidden_ : allowed_;
      later = parent[later];
    }
    last_ = node;
    return row_.data();
  }

 private:
  std::vector<T> row_;
  T allowed_{}, forbidden_{};
  index last_ = -1;
};

}  // namespace detail

/// The attention mask as one number a pair: out(i, j) = allowed where node i attends to node j, else forbidden.
/// parent: [N], -1 or an earlier node; out: [N, N], row i begins at out + i * row_stride (0: N), any trivially copyable
/// type. Throws std::invalid_argument on a parent that is not earlier, or a stride below N. Cost: writes N^2 numbers,
/// past the cache where they are many.
template <class T>
  requires std::is_trivially_copyable_v<T>
void write_attention_mask(id_column parent, T* out, T allowed, T forbidden, index row_stride = 0) {
  const index n = parent.size(), stride = row_stride == 0 ? n : row_stride;
  if (stride < n) detail::fail("row_stride", "0 or at least " + std::to_string(n), std::to_string(row_stride));
  const detail::scratch_lease<detail::parent_list> parents;
  const index* const parent_of = parents->read(parent);
  const detail::scratch_lease<detail::mask_row<T>> lease;
  (*lease).start(n, allowed, forbidden);
  const auto bytes = static_cast<std::size_t>(n) * sizeof(T);
  constexpr std::size_t cached_bytes = std::size_t{8} << 20;
  const bool is_streaming = bytes * static_cast<std::size_t>(n) > cached_bytes;
  for (index i = 0; i < n; ++i) {
    const auto* row = reinterpret_cast<const char*>((*lease).move_to(i, parent_of));
    if (is_streaming)
      simd::copy_past_cache(reinterpret_cast<char*>(out + i * stride), row, bytes);
    else if (bytes > 0)
      __builtin_memcpy(out + i * stride, row, bytes);
  }
  if (is_streaming) simd::finish_streaming();
}
/// As above, 1 where a node is attended to, else 0.
template <class T>
  requires std::is_trivially_copyable_v<T>
void write_attention_mask(id_column parent, T* out) {
  write_attention_mask(parent, out, T(1), T(0));
}

/// Words of 64 bits that a row of an attention mask takes.
constexpr index mask_words(index nodes) { return (nodes + 63) / 64; }

/// The attention mask as bits: bit j % 64 of word out[i * mask_words(N) + j / 64] is set where node i attends to node
/// j. parent: [N]; out: [N * mask_words(N)]. Throws std::invalid_argument on a parent that is not earlier. Cost: writes
/// N mask_words(N) words.
inline void write_attention_bits(id_column parent, std::uint64_t* out) {
  const index n = parent.size(), words = mask_words(n);
  const detail::scratch_lease<detail::parent_list> parents;
  const index* const parent_of = parents->read(parent);
  for (index i = 0; i < n; ++i) {
    std::uint64_t* row = out + i * words;
    const index p = parent_of[i], known = p < 0 ? 0 : p / 64 + 1;
    if (p >= 0) __builtin_memcpy(row, out + p * words, static_cast<std::size_t>(known) * sizeof(std::uint64_t));
    for (index w = known; w < words; ++w) row[w] = 0;
    row[i / 64] |= std::uint64_t{1} << (i % 64);
  }
}

/// The nodes that each node attends to, ascending, itself last: attended[offsets[i] .. offsets[i + 1] - 1].
struct attended_nodes {
  std::vector<index> attended, offsets;
};

/// Lists of ancestors; their length is the sum of all positions, so only for short texts or sparse kernels.
/// parent: [N]. Throws std::invalid_argument on a parent that is not earlier. Cost: that sum.
inline attended_nodes list_attended(id_column parent) {
  const detail::scratch_lease<detail::parent_list> parents;
  const index* const parent_of = parents->read(parent);
  attended_nodes lists{{}, {0}};
  for (index i = 0; i < parent.size(); ++i) {
    if (parent_of[i] >= 0) {
      const auto begin = static_cast<std::size_t>(lists.offsets[static_cast<std::size_t>(parent_of[i])]);
      const auto end = static_cast<std::size_t>(lists.offsets[static_cast<std::size_t>(parent_of[i]) + 1]);
      for (std::size_t k = begin; k < end; ++k) {
        const index ancestor = lists.attended[k];
        lists.attended.push_back(ancestor);
      }
    }
    lists.attended.push_back(i);
    lists.offsets.push_back(static_cast<index>(lists.attended.size()));
  }
  return lists;
}

}  // namespace emend
