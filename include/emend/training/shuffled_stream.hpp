#pragma once

#include <emend/training/minibatches.hpp>

namespace emend {

/// An endless stream of items 0 .. n-1: epoch after epoch, each in an order of its own.
///   stream(position) = the (position mod n)-th item in the order of epoch position / n
/// A function of (n, seed, position) alone: training that is taken up again goes on where it was. Throws
/// std::invalid_argument if n is below 1 or position below 0. Cost: a shuffle whenever the epoch is another than the
/// last call's.
class shuffled_stream {
 public:
  shuffled_stream(index n, std::uint64_t seed) : n_(n), seed_(seed) {
    if (n < 1) detail::fail("n", "at least 1", std::to_string(n));
  }
  index operator()(index position) {
    if (position < 0) detail::fail("position", "a number not below 0", std::to_string(position));
    if (position / n_ != epoch_) {
      epoch_ = position / n_;
      order_ = minibatches(n_, 0, seed_, static_cast<std::uint64_t>(epoch_)).front();
    }
    return order_[static_cast<std::size_t>(position % n_)];
  }

 private:
  index n_, epoch_ = -1;
  std::uint64_t seed_;
  std::vector<index> order_;
};

}  // namespace emend
