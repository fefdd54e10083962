#include <emend/core/layout.hpp>

#include <doctest/doctest.h>

#include <limits>
#include <string>

#include "throws.hpp"

using namespace emend;
using emend::index;  // not the one of <strings.h>

namespace {

template <class L>
std::vector<std::vector<index>> positions(const L& layout) {
  std::vector<std::vector<index>> all;
  for (index b = 0; b < layout.sequences(); ++b) {
    all.emplace_back();
    layout.for_each_token(b, [&](index t) { all.back().push_back(t); });
    CHECK(length_of(layout, b) == static_cast<index>(all.back().size()));
  }
  return all;
}
using lists = std::vector<std::vector<index>>;

}  // namespace

TEST_CASE("padded: everything, padding on either side, holes, a sequence of nothing") {
  CHECK(positions(padded(2, 3)) == lists{{0, 1, 2}, {3, 4, 5}});
  const std::vector<int> right{1, 1, 0, 1, 0, 0}, left{0, 1, 1, 0, 0, 1}, holes{1, 0, 1, 0, 0, 0};
  CHECK(positions(padded(2, 3, right)) == lists{{0, 1}, {3}});
  CHECK(positions(padded(2, 3, left)) == lists{{1, 2}, {5}});
  CHECK(positions(padded(2, 3, holes)) == lists{{0, 2}, {}});
  const double weights[] = {0.5, 0, -1};
  CHECK(positions(padded(1, 3, column(weights, 3))) == lists{{0, 2}});
  CHECK(padded(2, 3).tokens() == 6);
  CHECK(padded(0, 3).tokens() == 0);
  CHECK(positions(padded(0, 3)).empty());
  CHECK(positions(padded(2, 0)) == lists{{}, {}});
}

TEST_CASE("padded: errors name the argument") {
  const std::vector<int> mask{1, 1};
  CHECK_THROWS_NAMING(padded(2, 3, mask), "padded mask");
  CHECK_THROWS_NAMING(padded(-1, 3), "padded extents");
  CHECK_THROWS_NAMING(padded(1, -3), "padded extents");
  constexpr emend::index half = emend::index{1} << 32, most = std::numeric_limits<emend::index>::max();
  CHECK_THROWS_NAMING(padded(half, half), "padded extents");
  CHECK_THROWS_NAMING(padded(2, most / 2 + 1), "padded extents");
  CHECK(padded(1, most).tokens() == most);
  CHECK(padded(most, 0).tokens() == 0);
}

TEST_CASE("ragged: offsets, empty sequences, a mask") {
  const std::vector<int> offsets{0, 2, 2, 5};
  CHECK(positions(ragged(offsets)) == lists{{0, 1}, {}, {2, 3, 4}});
  CHECK(ragged(offsets).tokens() == 5);
  const std::vector<char> mask{0, 1, 1, 0, 1};
  CHECK(positions(ragged(offsets, mask)) == lists{{1}, {}, {2, 4}});
  const std::vector<long> none{0};
  CHECK(ragged(none).sequences() == 0);
  CHECK(ragged(none).tokens() == 0);
}

TEST_CASE("ragged: errors name the argument") {
  const std::vector<int> empty, late{1, 2}, falling{0, 3, 2}, good{0, 2};
  const std::vector<int> mask{1};
  CHECK_THROWS_NAMING(ragged{empty}, "ragged offsets");
  CHECK_THROWS_NAMING(ragged{late}, "ragged offsets");
  CHECK_THROWS_NAMING(ragged{falling}, "ragged offsets");
  CHECK_THROWS_NAMING(ragged(good, mask), "ragged mask");
}

TEST_CASE("packed: order within a sequence, -1 outside, sequences need not be neighbours") {
  const std::vector<int> ids{1, 0, 1, -1, 3, 0};
  const packed layout(ids);
  CHECK(positions(layout) == lists{{1, 5}, {0, 2}, {}, {4}});
  CHECK(layout.tokens() == 6);
  const std::vector<int> none, outside{-1, -1};
  CHECK(packed(none).sequences() == 0);
  CHECK(packed(outside).sequences() == 0);
  CHECK(packed(outside).tokens() == 2);
}

TEST_CASE("packed copies its ids; errors name the argument") {
  std::vector<int> ids{0, 1, 0};
  const packed layout(ids);
  ids = {5, 5, 5};
  CHECK(positions(layout) == lists{{0, 2}, {1}});
  const std::vector<int> low{0, -2};
  CHECK_THROWS_NAMING(packed{low}, "packed sequence ids");
  CHECK_THROWS_NAMING((packed{ids, emend::index{1} << 60}), "packed sequences");
}
