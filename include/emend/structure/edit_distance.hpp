#pragma once

#include <emend/core/column.hpp>

#include <unordered_map>
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
  for (std::size_t j = 0; j < row.size(); ++j) row[j] = static_cast<double>(j) * costs.insertion;
  for (index i = 0; i < source.size(); ++i) {
    double diagonal = row[0];
    row[0] += costs.deletion;
    for (std::size_t j = 1; j < row.size(); ++j) {
      double best = row[j] + costs.deletion;
      if (row[j - 1] + costs.insertion < best) best = row[j - 1] + costs.insertion;
      const double other = diagonal + (source[i] == target[static_cast<index>(j) - 1] ? 0 : costs.substitution);
      if (other < best) best = other;
      diagonal = row[j];
      row[j] = best;
    }
  }
  return row.back();
}

namespace detail {

/// Where each token of a sequence stands, 64 positions a word; words of a token that is not there are 0.
class position_words {
 public:
  explicit position_words(id_column sequence) : words_((static_cast<std::size_t>(sequence.size()) + 63) / 64), none_(words_, 0) {
    for (index i = 0; i < sequence.size(); ++i) {
      const auto found = slot_.try_emplace(sequence[i], slot_.size()).first;
      if (bits_.size() < slot_.size() * words_) bits_.resize(slot_.size() * words_, 0);
      bits_[found->second * words_ + static_cast<std::size_t>(i) / 64] |= std::uint64_t{1} << (i % 64);
    }
  }
  std::size_t words() const { return words_; }
  const std::uint64_t* of(index token) const {
    const auto found = slot_.find(token);
    return found == slot_.end() ? none_.data() : bits_.data() + found->second * words_;
  }

 private:
  std::size_t words_;
  std::unordered_map<index, std::size_t> slot_;
  std::vector<std::uint64_t> bits_, none_;
};

}  // namespace detail

/// Number of insertions, deletions and substitutions of a minimal edit script (Levenshtein 1966).
/// Any ids. Cost: source.size() * target.size() / 64, bit-parallel. Myers 1999; in blocks as Hyyro 2003.
inline index levenshtein_distance(id_column source, id_column target) {
  if (source.empty()) return target.size();
  const detail::position_words positions(source);
  const std::size_t words = positions.words();
  std::vector<std::uint64_t> up(words, ~std::uint64_t{0}), down(words, 0);  // vertical differences +1, -1
  const std::uint64_t last = std::uint64_t{1} << ((source.size() - 1) % 64);
  index distance = source.size();
  for (index j = 0; j < target.size(); ++j) {
    const std::uint64_t* match = positions.of(target[j]);
    std::uint64_t carry_up = 1, carry_down = 0;  // horizontal differences entering a word from above
    for (std::size_t w = 0; w < words; ++w) {
      const std::uint64_t equal = match[w] | carry_down, vertical = match[w] | down[w];
      const std::uint64_t diagonal = (((equal & up[w]) + up[w]) ^ up[w]) | equal;
      std::uint64_t horizontal_up = down[w] | ~(diagonal | up[w]), horizontal_down = up[w] & diagonal;
      if (w + 1 == words) distance += ((horizontal_up & last) != 0) - ((horizontal_down & last) != 0);
      const std::uint64_t next_up = horizontal_up >> 63, next_down = horizontal_down >> 63;
      horizontal_up = (horizontal_up << 1) | carry_up;
      horizontal_down = (horizontal_down << 1) | carry_down;
      up[w] = horizontal_down | ~(vertical | horizontal_up);
      down[w] = horizontal_up & vertical;
      carry_up = next_up;
      carry_down = next_down;
    }
  }
  return distance;
}

/// Length of the longest common subsequence.
/// Any ids. Cost: source.size() * target.size() / 64, bit-parallel. Hyyro 2004.
inline index longest_common_subsequence(id_column source, id_column target) {
  if (source.empty() || target.empty()) return 0;
  const detail::position_words positions(source);
  std::vector<std::uint64_t> open(positions.words(), ~std::uint64_t{0});
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
