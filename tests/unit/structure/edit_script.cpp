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

/// The documented script: read from the end, it keeps or substitutes before it deletes before it inserts.
std::vector<edit> chosen_script(const ids& a, const ids& b) {
  const auto is_shortest = [&](std::size_t i, std::size_t j, index above) {
    return distance(ids(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(i)),
                    ids(b.begin(), b.begin() + static_cast<std::ptrdiff_t>(j))) == above;
  };
  std::vector<edit> backwards;
  std::size_t i = a.size(), j = b.size();
  index left = distance(a, b);
  while (i > 0 || j > 0) {
    const bool is_same = i > 0 && j > 0 && a[i - 1] == b[j - 1];
    if (i > 0 && j > 0 && is_shortest(i - 1, j - 1, left - (is_same ? 0 : 1))) {
      --i, --j;
      if (is_same) continue;
      backwards.push_back({edit_kind::substitution, static_cast<index>(i), static_cast<index>(j)});
    } else if (i > 0 && is_shortest(i - 1, j, left - 1)) {
      --i;
      backwards.push_back({edit_kind::deletion, static_cast<index>(i), static_cast<index>(j)});
    } else {
      --j;
      backwards.push_back({edit_kind::insertion, static_cast<index>(i), static_cast<index>(j)});
    }
    --left;
  }
  return {backwards.rbegin(), backwards.rend()};
}

TEST_CASE("of the shortest scripts it is the documented one") {
  const ids one{1}, two{1, 2}, other{3}, others{3, 4};
  CHECK(edit_script(two, other) == std::vector<edit>{{edit_kind::deletion, 0, 0}, {edit_kind::substitution, 1, 0}});
  CHECK(edit_script(one, others) == std::vector<edit>{{edit_kind::insertion, 0, 0}, {edit_kind::substitution, 0, 1}});
  random_numbers random;
  for (int round = 0; round < 400; ++round) {
    const ids source = random.ids(static_cast<std::size_t>(random.ids(1, 7)[0]), 3),
              target = random.ids(static_cast<std::size_t>(random.ids(1, 7)[0]), 3);
    CHECK(edit_script(source, target) == chosen_script(source, target));
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
