#include <emend/core/random.hpp>
#include <emend/core/thread_pool.hpp>
#include <emend/structure/edit_distance.hpp>
#include <emend/structure/edit_script.hpp>

#include <doctest/doctest.h>

#include "throws.hpp"

#include <algorithm>

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using ids = std::vector<index>;

ids drawn(std::uint64_t seed, index length, index alphabet) {
  ids result;
  for (index i = 0; i < length; ++i)
    result.push_back(counter_random{seed}.below(alphabet, 0, static_cast<std::uint64_t>(i)) * 1000003 - 5);
  return result;
}

TEST_CASE("bit-parallel distances are those of the table, over word borders and any alphabet") {
  for (std::uint64_t seed = 0; seed < 60; ++seed)
    for (const index alphabet : {1, 2, 5, 400})
      for (const index length : {0, 1, 63, 64, 65, 130}) {
        const ids a = drawn(2 * seed, length, alphabet),
                  b = drawn(2 * seed + 1, length + static_cast<index>(seed % 7), alphabet);
        const double plain = weighted_edit_distance(a, b, {});
        REQUIRE(static_cast<double>(levenshtein_distance(a, b)) == plain);
        REQUIRE(static_cast<double>(levenshtein_distance(b, a)) == plain);
        REQUIRE(static_cast<double>(indel_distance(a, b)) == weighted_edit_distance(a, b, {1, 1, 2}));
        if (seed < 10) REQUIRE(static_cast<double>(edit_script(a, b).size()) == plain);
      }
}

TEST_CASE("lengths at every border of words, without common ends") {
  for (const index n : {1, 2, 63, 64, 65, 127, 128, 129, 191, 192, 193, 255, 256, 257, 319, 320, 321, 384})
    for (const index m : {1, 5, 64, 67, 200, 321}) {
      CAPTURE(n);
      CAPTURE(m);
      // Different ids at both ends, and inside either nothing in common, or some.
      ids a(static_cast<std::size_t>(n), 1), b(static_cast<std::size_t>(m), 2);
      CHECK(levenshtein_distance(a, b) == std::max(n, m));
      CHECK(indel_distance(a, b) == n + m);
      for (std::size_t i = 1; i + 1 < a.size(); ++i) a[i] = static_cast<index>(10 + i * i % 11);
      for (std::size_t j = 1; j + 1 < b.size(); ++j) b[j] = static_cast<index>(10 + j * j % 13);
      CHECK(static_cast<double>(levenshtein_distance(a, b)) == weighted_edit_distance(a, b, {}));
      CHECK(static_cast<double>(indel_distance(a, b)) == weighted_edit_distance(a, b, {1, 1, 2}));
    }
}

TEST_CASE("tokens that stand at many places and at few, common ends, longer texts") {
  for (std::uint64_t seed = 0; seed < 12; ++seed)
    for (const index alphabet : {2, 30, 3000}) {
      ids a = drawn(seed, 400 + static_cast<index>(seed), alphabet), b = a;
      for (std::size_t i = 0; i < b.size(); i += 3 + seed * 5) b[i] = static_cast<index>(seed) - 5;
      b.insert(b.begin() + 100, 7, 12345);
      b.erase(b.begin() + 300, b.begin() + 310);
      const double plain = weighted_edit_distance(a, b, {});
      CHECK(static_cast<double>(levenshtein_distance(a, b)) == plain);
      CHECK(static_cast<double>(levenshtein_distance(b, a)) == plain);
      CHECK(static_cast<double>(indel_distance(a, b)) == weighted_edit_distance(a, b, {1, 1, 2}));
    }
  const ids a{1, 2, 3, 4}, same = a, inside{1, 4}, none;
  CHECK(levenshtein_distance(a, same) == 0);
  CHECK(levenshtein_distance(a, inside) == 2);
  CHECK(levenshtein_distance(inside, a) == 2);
  CHECK(levenshtein_distance(none, a) == 4);
  CHECK(levenshtein_distance(a, none) == 4);
}

TEST_CASE("a batch is its pairs, whatever the number of threads") {
  ids sources, targets, source_offsets{0}, target_offsets{0};
  for (std::uint64_t b = 0; b < 9; ++b) {
    for (const index t : drawn(b, static_cast<index>(b * 17), 5)) sources.push_back(t);
    for (const index t : drawn(b + 100, static_cast<index>(120 - b * 11), 5)) targets.push_back(t);
    source_offsets.push_back(static_cast<index>(sources.size()));
    target_offsets.push_back(static_cast<index>(targets.size()));
  }
  thread_pool pool(3);
  const auto one = levenshtein_distances(sources, source_offsets, targets, target_offsets);
  const auto weighted = weighted_edit_distances(sources, source_offsets, targets, target_offsets, {1, 2, 2.5}, pool);
  CHECK(one == levenshtein_distances(sources, source_offsets, targets, target_offsets, pool));
  for (std::size_t b = 0; b < 9; ++b) {
    const ids a = drawn(b, static_cast<index>(b * 17), 5), c = drawn(b + 100, static_cast<index>(120 - b * 11), 5);
    CHECK(one[b] == levenshtein_distance(a, c));
    CHECK(weighted[b] == weighted_edit_distance(a, c, {1, 2, 2.5}));
  }
  CHECK_THROWS_NAMING(levenshtein_distances(sources, target_offsets, targets, target_offsets), "sources");
  CHECK_THROWS_NAMING(levenshtein_distances(sources, source_offsets, targets, ids{0}), "targets");
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
