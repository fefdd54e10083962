#include <emend/structure/edit_script.hpp>

#include <doctest/doctest.h>

#include <algorithm>

#include "../random_numbers.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using ids = std::vector<int>;

/// What the script makes of the source.
ids apply(const ids& source, const ids& target, const std::vector<edit>& script) {
  ids result;
  std::size_t at = 0;
  for (const edit& e : script) {
    while (at < static_cast<std::size_t>(e.source)) result.push_back(source[at++]);
    if (e.kind != edit_kind::deletion) result.push_back(target[static_cast<std::size_t>(e.target)]);
    if (e.kind != edit_kind::insertion) ++at;
  }
  while (at < source.size()) result.push_back(source[at++]);
  return result;
}

/// The Levenshtein distance by its recursion.
index distance(const ids& a, const ids& b) {
  std::vector<std::vector<index>> d(a.size() + 1, std::vector<index>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i)
    for (std::size_t j = 0; j <= b.size(); ++j)
      d[i][j] = i == 0   ? static_cast<index>(j)
                : j == 0 ? static_cast<index>(i)
                         : std::min({d[i - 1][j - 1] + (a[i - 1] != b[j - 1]), d[i - 1][j] + 1, d[i][j - 1] + 1});
  return d[a.size()][b.size()];
}

TEST_CASE("scripts are shortest, and turn source into target") {
  random_numbers random;
  for (int round = 0; round < 300; ++round) {
    const ids source = random.ids(static_cast<std::size_t>(random.ids(1, 9)[0]), 4),
              target = random.ids(static_cast<std::size_t>(random.ids(1, 9)[0]), 4);
    const auto script = edit_script(source, target);
    CHECK(static_cast<index>(script.size()) == distance(source, target));
    CHECK(apply(source, target, script) == target);
  }
}

TEST_CASE("by hand, and the empty ones") {
  const ids kitten{1, 2, 3, 3, 4, 5}, sitting{6, 2, 3, 3, 2, 5, 7}, two{1, 2};
  CHECK(edit_script(kitten, sitting) == std::vector<edit>{{edit_kind::substitution, 0, 0},
                                                          {edit_kind::substitution, 4, 4},
                                                          {edit_kind::insertion, 6, 6}});
  CHECK(edit_script(two, two).empty());
  CHECK(edit_script({}, {}).empty());
  CHECK(edit_script(two, {}) == std::vector<edit>{{edit_kind::deletion, 0, 0}, {edit_kind::deletion, 1, 0}});
  CHECK(edit_script({}, two) == std::vector<edit>{{edit_kind::insertion, 0, 0}, {edit_kind::insertion, 0, 1}});
  CHECK(edited_tokens(kitten, sitting) == std::vector<char>{1, 0, 0, 0, 1, 0, 1});
}

}  // namespace
