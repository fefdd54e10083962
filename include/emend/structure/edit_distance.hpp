#pragma once

#include <emend/core/column.hpp>
#include <emend/core/id_column.hpp>
#include <emend/core/executor.hpp>
#include <emend/core/layout.hpp>
#include <emend/core/scratch_lease.hpp>
#include <emend/simd/dispatch.hpp>
#include <emend/structure/position_words.hpp>

#include <vector>

namespace emend {

/// Costs of the edits that turn one sequence into another.
struct edit_costs {
  double insertion = 1, deletion = 1, substitution = 1;
};

/// Smallest total cost of insertions, deletions and substitutions that turn source into target.
///   d(i, j) = min(d(i-1, j) + deletion, d(i, j-1) + insertion, d(i-1, j-1) + [s_i != t_j] substitution)
/// Costs not below 0. Throws std::invalid_argument otherwise. Cost: source.size() * target.size(), one row of memory.
/// Wagner and Fischer 1974.
inline double weighted_edit_distance(id_column source, id_column target, const edit_costs& costs) {
  for (const double cost : {costs.insertion, costs.deletion, costs.substitution})
    if (!(cost >= 0)) detail::fail("costs", "numbers not below 0", std::to_string(cost));
  std::vector<double> row(static_cast<std::size_t>(target.size()) + 1);
  std::vector<index> target_ids;
  detail::read_ids(target, 0, target.size(), target_ids);
  for (std::size_t j = 0; j < row.size(); ++j) row[j] = static_cast<double>(j) * costs.insertion;
  for (index i = 0; i < source.size(); ++i) {
    const index id = source[i];
    double diagonal = row[0];
    row[0] += costs.deletion;
    for (std::size_t j = 1; j < row.size(); ++j) {
      double best = row[j] + costs.deletion;
      if (row[j - 1] + costs.insertion < best) best = row[j - 1] + costs.insertion;
      const double other = diagonal + (id == target_ids[j - 1] ? 0 : costs.substitution);
      if (other < best) best = other;
      diagonal = row[j];
      row[j] = best;
    }
  }
  return row.back();
}

namespace detail {

/// Memory of the bit-parallel distances.
struct edit_distance_scratch {
  std::vector<index> source, target;
  position_words positions;
  std::vector<std::uint64_t> up, down;  ///< vertical differences +1 and -1 of the present column
};

/// One word of a column: what enters horizontally from the word above, and leaves to the word below.
template <class W>
[[gnu::always_inline]] inline void edit_word(const W& match, W& up, W& down, W& carry_up, W& carry_down) {
  const W equal = match | carry_down, vertical = match | down;
  const W diagonal = (((equal & up) + up) ^ up) | equal;
  const W horizontal_up = down | ~(diagonal | up), horizontal_down = up & diagonal;
  const W shifted_up = (horizontal_up << 1) | carry_up, shifted_down = (horizontal_down << 1) | carry_down;
  carry_up = horizontal_up >> 63;
  carry_down = horizontal_down >> 63;
  up = shifted_down | ~(vertical | shifted_up);
  down = shifted_up & vertical;
}

/// Eight columns at once, each a word behind the one before it: the words of one column wait for one another, those of
/// the eight do not. match, up and down: readable `edit_columns - 1` words before and behind a column's own.
inline constexpr std::size_t edit_columns = position_words::rows_at_once;
[[gnu::always_inline]] inline void edit_columns_loop(const std::uint64_t* const* match, std::uint64_t* up,
                                                     std::uint64_t* down, index words) {
  typedef std::uint64_t lanes_of __attribute__((vector_size(32)));
  typedef long long order __attribute__((vector_size(32)));
  constexpr order behind[2] = {{0, 1, 2, 3}, {4, 5, 6, 7}};
  lanes_of u[2] = {}, d[2] = {}, carry_up[2] = {lanes_of{} + 1, lanes_of{} + 1}, carry_down[2] = {};
  for (index s = 0; s < words + 7; ++s) {
    lanes_of turned_up[2], turned_down[2];
    for (int h = 0; h < 2; ++h) {
      turned_up[h] = __builtin_shufflevector(u[h], u[h], 3, 0, 1, 2);
      turned_down[h] = __builtin_shufflevector(d[h], d[h], 3, 0, 1, 2);
    }
    u[0] = turned_up[0];
    u[0][0] = up[s];
    d[0] = turned_down[0];
    d[0][0] = down[s];
    u[1] = __builtin_shufflevector(turned_up[1], turned_up[0], 4, 1, 2, 3);
    d[1] = __builtin_shufflevector(turned_down[1], turned_down[0], 4, 1, 2, 3);
    for (int h = 0; h < 2; ++h) {
      const std::uint64_t* const* of = match + 4 * h;
      const index word = s - 4 * h;
      const lanes_of m{of[0][word], of[1][word - 1], of[2][word - 2], of[3][word - 3]};
      edit_word(m, u[h], d[h], carry_up[h], carry_down[h]);
      if (s < 7) {  // columns that have not begun
        const lanes_of is_begun = (lanes_of)(behind[h] <= (order{} + s));
        carry_up[h] = (carry_up[h] & is_begun) | (~is_begun & 1);
        carry_down[h] &= is_begun;
      }
    }
    if (s >= 7) {
      up[s - 7] = u[1][3];
      down[s - 7] = d[1][3];
    }
  }
}
inline void eight_edit_columns(const std::uint64_t* const* match, std::uint64_t* up, std::uint64_t* down, index words) {
  simd::with_fixed_lanes([=]() __attribute__((always_inline)) { edit_columns_loop(match, up, down, words); });
}

/// The distance of scratch.source and scratch.target, which are not empty.
inline index bit_parallel_distance(edit_distance_scratch& scratch) {
  position_words& positions = scratch.positions;
  positions.assign(scratch.source);
  const std::size_t words = positions.words(), n = scratch.source.size(), m = scratch.target.size();
  scratch.up.assign(words + position_words::margin, ~std::uint64_t{0});
  scratch.down.assign(words + position_words::margin, 0);
  std::size_t j = 0;
  // Of few words most of the eight would wait.
  for (; words >= 4 && j + edit_columns <= m; j += edit_columns) {
    const std::uint64_t* match[edit_columns];
    for (std::size_t k = 0; k < edit_columns; ++k) match[k] = positions.of(scratch.target[j + k], k);
    eight_edit_columns(match, scratch.up.data(), scratch.down.data(), static_cast<index>(words));
  }
  for (; j < m; ++j) {
    const std::uint64_t* match = positions.of(scratch.target[j]);
    std::uint64_t carry_up = 1, carry_down = 0;
    for (std::size_t w = 0; w < words; ++w) edit_word(match[w], scratch.up[w], scratch.down[w], carry_up, carry_down);
  }
  // Down the last column: from m on, by the vertical differences.
  index distance = static_cast<index>(m);
  for (std::size_t w = 0; w < words; ++w) {
    const std::uint64_t inside = w + 1 < words || n % 64 == 0 ? ~std::uint64_t{0} : (std::uint64_t{1} << (n % 64)) - 1;
    distance += __builtin_popcountll(scratch.up[w] & inside) - __builtin_popcountll(scratch.down[w] & inside);
  }
  return distance;
}

}  // namespace detail

/// Number of insertions, deletions and substitutions of a minimal edit script (Levenshtein 1966).
/// Any ids. Cost: source.size() * target.size() / 64 words, without what the two have in common at both ends,
/// bit-parallel, eight columns at once; allocates nothing after a thread's first call of a size. Myers 1999; in blocks
/// as Hyyro 2003.
inline index levenshtein_distance(id_column source, id_column target) {
  index first = 0, n = source.size(), m = target.size();
  while (first < n && first < m && source[first] == target[first]) ++first;
  while (n > first && m > first && source[n - 1] == target[m - 1]) --n, --m;
  if (first == n) return m - first;
  if (first == m) return n - first;
  const detail::scratch_lease<detail::edit_distance_scratch> lease;
  detail::edit_distance_scratch& scratch = *lease;
  detail::read_ids(source, first, n, scratch.source);
  detail::read_ids(target, first, m, scratch.target);
  return detail::bit_parallel_distance(scratch);
}

namespace detail {

/// f(source, target) of every pair of sequences of two ragged batches.
template <class R, class E, class F>
std::vector<R> of_pairs(id_column sources, id_column source_offsets, id_column targets, id_column target_offsets,
                        E& executor, F&& f) {
  const ragged source_layout(source_offsets), target_layout(target_offsets);
  require_length("sources", sources.size(), source_layout.tokens());
  require_length("targets", targets.size(), target_layout.tokens());
  require_length("target_offsets", target_layout.sequences(), source_layout.sequences());
  std::vector<R> result(static_cast<std::size_t>(source_layout.sequences()));
  executor.for_each_chunk(source_layout.sequences(), [&](index begin, index end) {
    std::vector<index> source, target;
    for (index b = begin; b < end; ++b) {
      source.clear();
      target.clear();
      source_layout.for_each_token(b, [&](index t) { source.push_back(sources[t]); });
      target_layout.for_each_token(b, [&](index t) { target.push_back(targets[t]); });
      result[static_cast<std::size_t>(b)] = f(source, target);
    }
  });
  return result;
}

}  // namespace detail

/// `levenshtein_distance` of every pair of two batches of B sequences, one after the other.
/// sources, targets: ids; source_offsets, target_offsets: [B + 1]. Throws std::invalid_argument on a length that does
/// not fit. Cost: those of the pairs, shared among the executor's threads.
template <executor E = const sequential>
std::vector<index> levenshtein_distances(id_column sources, id_column source_offsets, id_column targets,
                                         id_column target_offsets, E&& executor = sequential{}) {
  return detail::of_pairs<index>(
      sources, source_offsets, targets, target_offsets, executor,
      [](const std::vector<index>& a, const std::vector<index>& b) { return levenshtein_distance(a, b); });
}

/// `weighted_edit_distance` of every pair; otherwise as `levenshtein_distances`.
template <executor E = const sequential>
std::vector<double> weighted_edit_distances(id_column sources, id_column source_offsets, id_column targets,
                                            id_column target_offsets, const edit_costs& costs,
                                            E&& executor = sequential{}) {
  return detail::of_pairs<double>(
      sources, source_offsets, targets, target_offsets, executor,
      [&](const std::vector<index>& a, const std::vector<index>& b) { return weighted_edit_distance(a, b, costs); });
}

/// Length of the longest common subsequence.
/// Any ids. Cost: source.size() * target.size() / 64, bit-parallel. Hyyro 2004.
inline index longest_common_subsequence(id_column source, id_column target) {
  if (source.empty() || target.empty()) return 0;
  const detail::scratch_lease<detail::edit_distance_scratch> lease;
  detail::position_words& positions = (*lease).positions;
  std::vector<index>& ids = (*lease).source;
  detail::read_ids(source, 0, source.size(), ids);
  positions.assign(ids);
  std::vector<std::uint64_t>& open = (*lease).up;
  open.assign(positions.words(), ~std::uint64_t{0});
  for (index j = 0; j < target.size(); ++j) {
    const std::uint64_t* match = positions.of(target[j]);
    std::uint64_t carry = 0;
    for (std::size_t w = 0; w < open.size(); ++w) {
      const std::uint64_t taken = open[w] & match[w], sum = open[w] + taken, with_carry = sum + carry;
      carry = (sum < taken) | (with_carry < sum);
      open[w] = with_carry | (open[w] & ~match[w]);
    }
  }
  index length = 0;
  for (index i = 0; i < source.size(); ++i) length += (open[static_cast<std::size_t>(i) / 64] >> (i % 64) & 1) == 0;
  return length;
}

/// Number of insertions and deletions that turn source into target: what a diff without substitutions counts.
///   source.size() + target.size() - 2 longest_common_subsequence
inline index indel_distance(id_column source, id_column target) {
  return source.size() + target.size() - 2 * longest_common_subsequence(source, target);
}

}  // namespace emend
