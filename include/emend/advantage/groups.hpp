#pragma once

#include <emend/core/layout.hpp>

#include <initializer_list>

namespace emend {

namespace detail {

/// Throws std::invalid_argument if a reward is infinite: its group would have no mean. NaN is an absent reward.
inline void require_finite_rewards(const column& reward) {
  for (index b = 0; b < reward.size(); ++b)
    if (const double x = reward[b]; x == x && x - x != 0)
      fail("reward", "entry " + std::to_string(b) + " finite, or NaN where there is none", std::to_string(x));
}

/// The number itself. Throws std::invalid_argument if it is below 0.
inline index checked_sequences(index sequences) {
  if (sequences < 0) fail("sequences", "a number not below 0", std::to_string(sequences));
  return sequences;
}

}  // namespace detail

/// Which sequences answer the same prompt.
///
/// Made from one id per sequence (any integers, equal for equal prompts, in any order) in linear time. Groups are
/// numbered in the order of their first member.
class groups {
 public:
  /// group: [B]; not given: all `sequences` are one group. Throws std::invalid_argument if the length does not fit, or
  /// sequences is below 0.
  groups(id_column group, index sequences)
      : of_(static_cast<std::size_t>(detail::checked_sequences(sequences)), 0), offsets_(sequences > 0 ? 2 : 1, 0) {
    if (group.is_given()) {
      detail::require_length("group", group.size(), sequences);
      number(group);
    }
    std::vector<index> sizes(static_cast<std::size_t>(count()), 0);
    for (index g : of_) ++sizes[static_cast<std::size_t>(g)];
    for (std::size_t g = 0; g < sizes.size(); ++g) offsets_[g + 1] = offsets_[g] + sizes[g];
    members_.resize(of_.size());
    std::vector<index> next(offsets_.begin(), offsets_.end() - 1);
    for (std::size_t b = 0; b < of_.size(); ++b)
      members_[static_cast<std::size_t>(next[static_cast<std::size_t>(of_[b])]++)] = static_cast<index>(b);
  }
  /// Consecutive blocks of `size` sequences; the last may be short. Throws std::invalid_argument if size is below 1,
  /// or sequences below 0.
  static groups of_size(index size, index sequences) {
    if (size < 1) detail::fail("group size", "a number above 0", std::to_string(size));
    std::vector<index> ids(static_cast<std::size_t>(detail::checked_sequences(sequences)));
    for (std::size_t b = 0; b < ids.size(); ++b) ids[b] = static_cast<index>(b) / size;
    return groups(ids, sequences);
  }

  index count() const { return static_cast<index>(offsets_.size()) - 1; }
  index sequences() const { return static_cast<index>(of_.size()); }
  index size(index g) const {
    return offsets_[static_cast<std::size_t>(g) + 1] - offsets_[static_cast<std::size_t>(g)];
  }
  /// The k-th member of group g, in the order of the batch.
  index member(index g, index k) const {
    return members_[static_cast<std::size_t>(offsets_[static_cast<std::size_t>(g)] + k)];
  }
  index group_of(index sequence) const { return of_[static_cast<std::size_t>(sequence)]; }

 private:
  // Open addressing: the ids are arbitrary, and <unordered_map> would cost every user of the header more than this.
  void number(id_column ids) {
    std::size_t capacity = 2;
    while (capacity < 2 * of_.size()) capacity *= 2;
    std::vector<index> first_member(capacity, -1);
    index next = 0;
    for (index b = 0; b < ids.size(); ++b) {
      // The high bits of the product depend on all of the id: ids that differ by powers of two do not collide.
      std::size_t slot = (static_cast<std::uint64_t>(ids[b]) * 0x9E3779B97F4A7C15U >> 32) % capacity;
      while (first_member[slot] >= 0 && ids[first_member[slot]] != ids[b]) slot = (slot + 1) % capacity;
      if (first_member[slot] < 0) {
        first_member[slot] = b;
        of_[static_cast<std::size_t>(b)] = next++;
      } else {
        of_[static_cast<std::size_t>(b)] = of_[static_cast<std::size_t>(first_member[slot])];
      }
    }
    offsets_.assign(static_cast<std::size_t>(next) + 1, 0);
  }

  std::vector<index> of_, offsets_, members_;
};

}  // namespace emend
