#pragma once

#include <emend/base/index.hpp>

namespace emend {

/// Something that runs independent work, in parallel or not.
///
/// Valid expressions, with `e` of type E and `f` callable as `f(index begin, index end)`:
///   e.for_each_chunk(n, f)   calls f on disjoint ranges that together cover [0, n), possibly at the same time on
///                            several threads, and returns when all calls have returned; n = 0 calls nothing
/// What the compiler cannot check: that the ranges are disjoint and cover [0, n), and that an exception thrown by f
/// reaches the caller. Results never depend on how the ranges are cut.
/// Models: `sequential`, `thread_pool`.
template <class E>
concept executor = requires(E& e, void (*f)(index, index)) { e.for_each_chunk(index{}, f); };

/// Runs everything on the calling thread; the default everywhere.
struct sequential {
  template <class F>
  void for_each_chunk(index n, F&& f) const {
    if (n > 0) f(index{0}, n);
  }
};

static_assert(executor<sequential> && executor<const sequential>);

}  // namespace emend
