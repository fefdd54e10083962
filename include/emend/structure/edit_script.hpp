#pragma once

#include <emend/core/column.hpp>
#include <emend/core/id_column.hpp>

#include <vector>

namespace emend {

/// One step of an edit script.
enum class edit_kind { insertion, deletion, substitution };

/// The step of an edit script at `source`, a position of the source, and `target`, one of the target: an insertion
/// stands before the source's position, a deletion before the target's.
struct edit {
  edit_kind kind;
  index source, target;
  friend bool operator==(const edit&, const edit&) = default;
};

/// A shortest sequence of insertions, deletions and substitutions that turns one sequence of ids into another, in the
/// order of their positions.
///   D(i, j) = min{ D(i-1, j-1) + [s_i != t_j], D(i-1, j) + 1, D(i, j-1) + 1 },   length = D(n, m)
/// Of several shortest scripts: the one that, read from the end, keeps or substitutes before it deletes before it
/// inserts. Cost: n m time, n m bytes. Levenshtein 1966; Wagner, Fischer 1974.
inline std::vector<edit> edit_script(id_column source, id_column target) {
  const auto n = static_cast<std::size_t>(source.size()), m = static_cast<std::size_t>(target.size());
  enum step : char { keep, substitute, remove, insert };
  std::vector<char> steps((n + 1) * (m + 1), remove);
  std::vector<index> row(m + 1), above(m + 1), target_ids;
  detail::read_ids(target, 0, target.size(), target_ids);
  for (std::size_t j = 0; j <= m; ++j) {
    row[j] = static_cast<index>(j);
    steps[j] = insert;
  }
  for (std::size_t i = 1; i <= n; ++i) {
    row.swap(above);
    row[0] = static_cast<index>(i);
    const index id = source[static_cast<index>(i) - 1];
    for (std::size_t j = 1; j <= m; ++j) {
      const bool is_same = id == target_ids[j - 1];
      index least = above[j - 1] + (is_same ? 0 : 1);
      step how = is_same ? keep : substitute;
      if (above[j] + 1 < least) least = above[j] + 1, how = remove;
      if (row[j - 1] + 1 < least) least = row[j - 1] + 1, how = insert;
      row[j] = least;
      steps[i * (m + 1) + j] = how;
    }
  }
  std::vector<edit> backwards;
  for (std::size_t i = n, j = m; i > 0 || j > 0;) {
    const char how = steps[i * (m + 1) + j];
    i -= how != insert ? 1 : 0;
    j -= how != remove ? 1 : 0;
    const edit_kind kind = how == substitute ? edit_kind::substitution
                           : how == remove   ? edit_kind::deletion
                                             : edit_kind::insertion;
    if (how != keep) backwards.push_back({kind, static_cast<index>(i), static_cast<index>(j)});
  }
  return {backwards.rbegin(), backwards.rend()};
}

/// Which tokens of a target are new: 1 where `edit_script` inserts or substitutes them, 0 where it keeps them. [m]
inline std::vector<char> edited_tokens(id_column source, id_column target) {
  std::vector<char> is_new(static_cast<std::size_t>(target.size()), 0);
  for (const edit& e : edit_script(source, target))
    if (e.kind != edit_kind::deletion) is_new[static_cast<std::size_t>(e.target)] = 1;
  return is_new;
}

}  // namespace emend
