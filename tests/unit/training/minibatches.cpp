#include <emend/training/minibatches.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

TEST_CASE("minibatches: every sequence once, shuffled by seed and epoch, the last one short") {
  const auto parts = minibatches(10, 4, 1, 0);
  CHECK(parts.size() == 3);
  CHECK(parts[2].size() == 2);
  std::vector<int> seen(10, 0);
  for (const auto& part : parts)
    for (const index b : part) ++seen[static_cast<std::size_t>(b)];
  CHECK(seen == std::vector<int>(10, 1));
  CHECK(minibatches(10, 4, 1, 0) == parts);
  CHECK(minibatches(10, 4, 1, 1) != parts);
  CHECK(minibatches(10, 4, 2, 0) != parts);
  CHECK(minibatches(10, 0, 1, 0).size() == 1);
  CHECK(minibatches(0, 4, 1, 0).empty());
  CHECK_THROWS_NAMING(minibatches(-1, 4, 1, 0), "n");
}

TEST_CASE("every order of a minibatch is as frequent as any other") {
  std::vector<int> count(6, 0);
  const int epochs = 6000;
  for (std::uint64_t epoch = 0; epoch < epochs; ++epoch) {
    const std::vector<index> order = minibatches(3, 0, 5, epoch)[0];
    const index number = 2 * order[0] + (order[1] > order[2] ? 1 : 0);
    ++count[static_cast<std::size_t>(number)];
  }
  for (const int c : count) CHECK(std::abs(c - epochs / 6) < 150);  // five standard deviations
  std::vector<int> first(8, 0);
  for (std::uint64_t epoch = 0; epoch < 8000; ++epoch)
    ++first[static_cast<std::size_t>(minibatches(8, 3, 1, epoch)[0][0])];
  for (const int c : first) CHECK(std::abs(c - 1000) < 150);
}

}  // namespace
