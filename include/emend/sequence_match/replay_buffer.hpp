#pragma once

#include <emend/core/random.hpp>
#include <emend/sequence_match/trajectory.hpp>

#include <utility>

namespace emend {

/// The model's last trajectories, first in, first out.
/// capacity: at least 1 trajectory. What is drawn depends on the trajectories and their order alone: a buffer filled
/// again from a checkpoint, the oldest first, goes on as it would have. Throws std::invalid_argument on a bad capacity.
/// Cundy and Ermon 2024, algorithm 1.
class replay_buffer {
 public:
  explicit replay_buffer(index capacity) : capacity_(capacity) {
    if (capacity < 1) detail::fail("capacity", "at least 1", std::to_string(capacity));
  }

  index capacity() const { return capacity_; }
  index size() const { return static_cast<index>(items_.size()); }
  /// The i-th oldest. Throws std::invalid_argument if there is none.
  const trajectory& operator[](index i) const {
    detail::require_position("i", i, i, size());
    return items_[static_cast<std::size_t>((oldest_ + i) % size())];
  }

  /// Adds one; where the buffer is full, the oldest goes.
  void push(trajectory t) {
    if (size() < capacity_) {
      items_.push_back(std::move(t));
      return;
    }
    items_[static_cast<std::size_t>(oldest_)] = std::move(t);
    oldest_ = (oldest_ + 1) % capacity_;
  }

  /// `count` different ones, all as likely, or all there are if they are fewer; a function of (seed, step).
  /// Throws std::invalid_argument if count is below 0. Cost: linear in the buffer's size.
  std::vector<trajectory> draw(index count, std::uint64_t seed, std::uint64_t step) const {
    if (count < 0) detail::fail("count", "a number not below 0", std::to_string(count));
    std::vector<index> order(items_.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<index>(i);
    const counter_random random{seed};
    std::vector<trajectory> drawn;
    for (index k = 0; k < count && k < size(); ++k) {
      const index chosen = k + random.below(size() - k, step, static_cast<std::uint64_t>(k));
      std::swap(order[static_cast<std::size_t>(k)], order[static_cast<std::size_t>(chosen)]);
      drawn.push_back((*this)[order[static_cast<std::size_t>(k)]]);
    }
    return drawn;
  }

 private:
  index capacity_, oldest_ = 0;
  std::vector<trajectory> items_;
};

}  // namespace emend
