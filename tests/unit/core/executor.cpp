#include <emend/core/executor.hpp>

#include <doctest/doctest.h>

#include <vector>

using namespace emend;

namespace {

struct one_by_one {
  template <class F>
  void for_each_chunk(emend::index n, F&& f) const {
    for (emend::index i = n; i > 0; --i) f(i - 1, i);
  }
};
struct no_executor {};

}  // namespace

static_assert(executor<sequential> && executor<const sequential> && executor<one_by_one> && !executor<no_executor>);

TEST_CASE("sequential: one chunk of everything, and none of nothing") {
  std::vector<emend::index> calls;
  const auto note = [&](emend::index begin, emend::index end) {
    calls.push_back(begin);
    calls.push_back(end);
  };
  sequential{}.for_each_chunk(7, note);
  CHECK(calls == std::vector<emend::index>{0, 7});
  sequential{}.for_each_chunk(0, note);
  CHECK(calls.size() == 2);
}
