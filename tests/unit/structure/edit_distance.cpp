#include <emend/core/random.hpp>
#include <emend/structure/edit_distance.hpp>
#include <emend/structure/edit_script.hpp>

#include <doctest/doctest.h>

#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using ids = std::vector<index>;

ids drawn(std::uint64_t seed, index length, index alphabet) {
  ids result;
  for (index i = 0; i < length; ++i) result.push_back(counter_random{seed}.below(alphabet, 0, static_cast<std::uint64_t>(i)) * 1000003 - 5);
  return result;
}

TEST_CASE("bit-parallel distances are those of the table, over word borders and any alphabet") {
  for (std::uint64_t seed = 0; seed < 60; ++seed)
    for (const index alphabet : {1, 2, 5, 400})
      for (const index length : {0, 1, 63, 64, 65, 130}) {
        const ids a = drawn(2 * seed, length, alphabet), b = drawn(2 * seed + 1, length + static_cast<index>(seed % 7), alphabet);
        const double plain = weighted_edit_distance(a, b, {});
        REQUIRE(static_cast<double>(levenshtein_distance(a, b)) == plain);
        REQUIRE(static_cast<double>(levenshtein_distance(b, a)) == plain);
        REQUIRE(static_cast<double>(indel_distance(a, b)) == weighted_edit_distance(a, b, {1, 1, 2}));
        if (seed < 10) REQUIRE(static_cast<double>(edit_script(a, b).size()) == plain);
      }
}

TEST_CASE("weighted costs") {
  const ids a{1, 2, 3}, b{1, 4, 3, 5};
  CHECK(weighted_edit_distance(a, b, {1, 1, 1}) == 2);
  CHECK(weighted_edit_distance(a, b, {1, 1, 3}) == 3);
  CHECK(weighted_edit_distance(a, b, {0, 1, 5}) == 1);
  CHECK(weighted_edit_distance(ids{}, b, {2, 1, 1}) == 8);
  CHECK_THROWS_NAMING(weighted_edit_distance(a, b, {-1, 1, 1}), "costs");
}

}  // namespace
