#include <emend/core/id_column.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "throws.hpp"

using namespace emend;

TEST_CASE("ids of every integer type, with strides") {
  const std::vector<std::int16_t> small{-1, 7};
  const std::vector<std::uint32_t> large{0xffffffffu};
  const std::int64_t pairs[] = {0, 10, 1, 11, 2, 12};
  CHECK(id_column(small)[0] == -1);
  CHECK(id_column(large)[0] == 0xffffffffll);
  CHECK(id_column(pairs + 1, 3, 2)[2] == 12);
  CHECK(id_column(pairs + 4, 3, -2)[2] == 0);
}

TEST_CASE("an unsigned id above the largest index is refused, and never -1 or another id") {
  constexpr auto largest = std::numeric_limits<emend::index>::max();
  const std::vector<std::uint64_t> ids{3, ~std::uint64_t{0}, static_cast<std::uint64_t>(largest) + 1,
                                       static_cast<std::uint64_t>(largest)};
  const id_column column = ids;
  emend::index run[4];
  column.read(3, 1, run);
  CHECK(column[0] == 3);
  CHECK(column[3] == largest);
  CHECK(run[0] == largest);
  for (emend::index i = 1; i < 3; ++i) {
    CHECK_THROWS_NAMING(column[i], "ids");
    CHECK_THROWS_NAMING(column.read(i, 1, run), "ids");
  }
}

TEST_CASE("ids in runs are the ids one by one, of any type, stride and rows") {
  const std::vector<std::int64_t> wide{5, -1, 7, 8, 9, 10, 11, 12};
  const std::vector<std::int16_t> narrow{5, -1, 7, 8, 9, 10, 11, 12};
  const auto check = [](const id_column& ids) {
    for (emend::index first = 0; first <= ids.size(); ++first)
      for (emend::index count = 0; first + count <= ids.size(); ++count) {
        std::vector<emend::index> run;
        detail::read_ids(ids, first, first + count, run);
        REQUIRE(static_cast<emend::index>(run.size()) == count);
        for (emend::index i = 0; i < count; ++i) CHECK(run[static_cast<std::size_t>(i)] == ids[first + i]);
      }
  };
  check({});
  check(wide);
  check(narrow);
  check(id_column(wide.data() + 7, 4, -2));
  check(id_column(narrow.data(), 4, 2));
}
