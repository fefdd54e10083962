#include <emend/advantage/groups.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "../random_numbers.hpp"
#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using numbers = std::vector<double>;

TEST_CASE("groups: any ids, in any order, numbered by first member") {
  const std::vector<long> ids{7, -3, 7, 1'000'000'007, -3, 7};
  const groups of(ids, 6);
  CHECK(of.count() == 3);
  CHECK(of.size(0) == 3);
  CHECK(of.member(0, 2) == 5);
  CHECK(of.member(1, 0) == 1);
  CHECK(of.group_of(3) == 2);
  CHECK(groups({}, 4).size(0) == 4);
  CHECK(groups({}, 0).count() == 0);
  const groups blocks = groups::of_size(2, 5);
  CHECK(blocks.count() == 3);
  CHECK(blocks.size(2) == 1);
  random_numbers random;
  const std::vector<int> many = random.ids(500, 60);
  const groups hashed(many, 500);
  for (index g = 0; g < hashed.count(); ++g)
    for (index k = 0; k < hashed.size(g); ++k)
      CHECK(many[static_cast<std::size_t>(hashed.member(g, k))] == many[static_cast<std::size_t>(hashed.member(g, 0))]);
  std::vector<long> far(2000);
  for (std::size_t b = 0; b < far.size(); ++b) far[b] = static_cast<long>(b / 2) << 32;
  CHECK(groups(far, 2000).count() == 1000);
  CHECK_THROWS_NAMING(groups(ids, 5), "group");
  CHECK_THROWS_NAMING(groups::of_size(0, 5), "group size");
}

TEST_CASE("groups: numbers of sequences and sizes that no batch has are refused") {
  CHECK_THROWS_NAMING(groups::of_size(2, -1), "sequences");
  CHECK_THROWS_NAMING(groups({}, -1), "sequences");
}

}  // namespace
