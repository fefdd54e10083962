#pragma once

#include <emend/base/errors.hpp>
#include <emend/core/random.hpp>

#include <string>
#include <utility>
#include <vector>

namespace emend {

/// The sequences 0 .. n-1 in a shuffled order, cut into minibatches of `size`, the last one shorter if need be.
/// The order is a function of (seed, epoch) alone; size 0: all in one. Throws std::invalid_argument if n or size is
/// below 0. Fisher and Yates.
inline std::vector<std::vector<index>> minibatches(index n, index size, std::uint64_t seed, std::uint64_t epoch) {
  if (n < 0) detail::fail("n", "a number not below 0", std::to_string(n));
  if (size < 0) detail::fail("size", "a number not below 0", std::to_string(size));
  std::vector<index> order(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<index>(i);
  const counter_random random{seed};
  for (std::size_t i = order.size(); i > 1; --i)
    std::swap(order[i - 1], order[static_cast<std::size_t>(random.below(static_cast<index>(i), epoch, i))]);
  const auto step = static_cast<std::size_t>(size == 0 ? n : size);
  std::vector<std::vector<index>> parts;
  for (std::size_t begin = 0; begin < order.size(); begin += step)
    parts.emplace_back(
        order.begin() + static_cast<std::ptrdiff_t>(begin),
        order.begin() + static_cast<std::ptrdiff_t>(begin + step < order.size() ? begin + step : order.size()));
  return parts;
}

}  // namespace emend
