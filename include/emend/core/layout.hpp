#pragma once

#include <emend/core/column.hpp>
#include <emend/core/id_column.hpp>

#include <limits>
#include <ranges>
#include <type_traits>
#include <vector>

namespace emend {

/// How the tokens of a flat batch fall into sequences.
///
/// Valid expressions, with `l` a const L:
///   l.tokens()                 number of token positions of the batch, counted ones or not
///   l.sequences()              number of sequences
///   l.for_each_token(b, f)     f(index position) for every counted token of sequence b, in order
/// Positions lie in [0, tokens()); no position is given twice. A sequence may have no counted token.
/// Models: `padded` (a mask on either side, or with holes), `ragged` (offsets), `packed` (a sequence id per token).
/// What the compiler cannot check: that positions are in range, in order, and not given twice.
template <class L>
concept sequence_layout = requires(const L& l, void (*f)(index)) {
  { l.tokens() } -> std::convertible_to<index>;
  { l.sequences() } -> std::convertible_to<index>;
  l.for_each_token(index{}, f);
};

namespace detail {

/// False, and where L is a range or a number, which nobody means as a layout of his own, an error with the remedy.
template <class L>
consteval bool refuse_layout() {
  static_assert(!std::ranges::range<L> && !std::is_arithmetic_v<L>,
                "emend: this does not say how the tokens fall into sequences; give padded(rows, length, mask), "
                "ragged(offsets) or packed(ids), whichever the batch is");
  return false;
}

}  // namespace detail

/// `sequence_layout` as functions ask for it, which says the remedy where a container or a number is given.
template <class L>
concept layout_argument = sequence_layout<L> || detail::refuse_layout<L>();

/// Rows of equal length, [sequences, length] flattened; a position counts where the mask is not 0. Padding may stand on
/// either side, and holes anywhere. An empty mask counts everything.
/// Throws std::invalid_argument if the mask has not sequences * length entries, and if these are more than an index
/// counts.
class padded {
 public:
  padded(index sequences, index length, column mask = {}) : sequences_(sequences), length_(length), mask_(mask) {
    if (sequences < 0 || length < 0)
      detail::fail("padded extents", "numbers not below 0", std::to_string(sequences) + " x " + std::to_string(length));
    if (length > 0 && sequences > std::numeric_limits<index>::max() / length)
      detail::fail("padded extents", "a product that is an index",
                   std::to_string(sequences) + " x " + std::to_string(length));
    if (mask.is_given()) detail::require_length("padded mask", mask.size(), sequences * length);
  }
  index tokens() const { return sequences_ * length_; }
  index sequences() const { return sequences_; }
  /// Sequence b stands at positions first(b) .. last(b)-1, counted or not.
  index first(index b) const { return b * length_; }
  index last(index b) const { return (b + 1) * length_; }
  const column& mask() const { return mask_; }
  template <class F>
  void for_each_token(index b, F&& f) const {
    for (index t = b * length_; t < (b + 1) * length_; ++t)
      if (!mask_.is_given() || mask_[t] != 0) f(t);
  }

 private:
  index sequences_, length_;
  column mask_;
};

/// Sequences one after the other: sequence b is positions offsets[b] .. offsets[b+1]-1; a mask may leave holes.
/// Throws std::invalid_argument unless the offsets start at 0 and never fall, and the mask, if any, covers them.
class ragged {
 public:
  explicit ragged(id_column offsets, column mask = {}) : offsets_(offsets), mask_(mask) {
    if (offsets.empty()) detail::fail("ragged offsets", "at least one entry, the first 0", "none");
    if (offsets[0] != 0) detail::fail("ragged offsets", "a first entry of 0", std::to_string(offsets[0]));
    for (index b = 0; b + 1 < offsets.size(); ++b)
      if (offsets[b + 1] < offsets[b])
        detail::fail("ragged offsets", "entry " + std::to_string(b + 1) + " not below " + std::to_string(offsets[b]),
                     std::to_string(offsets[b + 1]));
    if (mask.is_given()) detail::require_length("ragged mask", mask.size(), tokens());
  }
  index tokens() const { return offsets_[offsets_.size() - 1]; }
  index sequences() const { return offsets_.size() - 1; }
  /// Sequence b stands at positions first(b) .. last(b)-1, counted or not.
  index first(index b) const { return offsets_[b]; }
  index last(index b) const { return offsets_[b + 1]; }
  const column& mask() const { return mask_; }
  template <class F>
  void for_each_token(index b, F&& f) const {
    for (index t = offsets_[b]; t < offsets_[b + 1]; ++t)
      if (!mask_.is_given() || mask_[t] != 0) f(t);
  }

 private:
  id_column offsets_;
  column mask_;
};

/// Rows into which several sequences are packed: each token names its sequence, -1 where it belongs to none. The tokens
/// of a sequence keep their order; they need not be neighbours. Copies the ids into an index of its own.
/// sequences: their number, where some of the last may have no token; without it, one more than the largest id.
/// Throws std::invalid_argument if an id is below -1, not below `sequences`, or, without that number, not below the
/// number of tokens.
class packed {
 public:
  explicit packed(id_column sequence_of_token) : packed(sequence_of_token, -1) {}
  packed(id_column sequence_of_token, index sequences) : tokens_(sequence_of_token.size()) {
    if (sequences < -1) detail::fail("packed sequences", "a number not below 0", std::to_string(sequences));
    const index end = sequences < 0 ? tokens_ : sequences;
    index count = sequences < 0 ? 0 : sequences;
    for (index t = 0; t < tokens_; ++t) {
      const index id = sequence_of_token[t];
      if (id < -1 || id >= end)
        detail::fail(
            "packed sequence ids",
            "numbers from -1 to " + std::to_string(end - 1) +
                (sequences < 0 ? ", below the number of tokens; if there are more sequences, say how many" : ""),
            std::to_string(id));
      if (id >= count) count = id + 1;
    }
    if (static_cast<std::size_t>(count) >= offsets_.max_size())
      detail::fail("packed sequences", "fewer than " + std::to_string(offsets_.max_size()), std::to_string(count));
    offsets_.assign(static_cast<std::size_t>(count) + 1, 0);
    for (index t = 0; t < tokens_; ++t)
      if (sequence_of_token[t] >= 0) ++offsets_[static_cast<std::size_t>(sequence_of_token[t]) + 1];
    for (std::size_t b = 0; b + 1 < offsets_.size(); ++b) offsets_[b + 1] += offsets_[b];
    positions_.resize(static_cast<std::size_t>(offsets_.back()));
    std::vector<index> next(offsets_.begin(), offsets_.end() - 1);
    for (index t = 0; t < tokens_; ++t)
      if (sequence_of_token[t] >= 0)
        positions_[static_cast<std::size_t>(next[static_cast<std::size_t>(sequence_of_token[t])]++)] = t;
  }
  index tokens() const { return tokens_; }
  index sequences() const { return static_cast<index>(offsets_.size()) - 1; }
  index length(index b) const {
    return offsets_[static_cast<std::size_t>(b) + 1] - offsets_[static_cast<std::size_t>(b)];
  }
  /// Position of the k-th token of sequence b.
  index position(index b, index k) const {
    return positions_[static_cast<std::size_t>(offsets_[static_cast<std::size_t>(b)] + k)];
  }
  template <class F>
  void for_each_token(index b, F&& f) const {
    for (index k = offsets_[static_cast<std::size_t>(b)]; k < offsets_[static_cast<std::size_t>(b) + 1]; ++k)
      f(positions_[static_cast<std::size_t>(k)]);
  }

 private:
  index tokens_;
  std::vector<index> offsets_, positions_;
};

static_assert(sequence_layout<padded> && sequence_layout<ragged> && sequence_layout<packed>);

/// Number of counted tokens of sequence b.
template <layout_argument L>
index length_of(const L& layout, index b) {
  index count = 0;
  layout.for_each_token(b, [&](index) { ++count; });
  return count;
}

/// Offsets, for `ragged`, of sequences that stand one after the other, each closed by a token whose entry is not 0: the
/// `dones` of a packed row. The last token closes its sequence in any case.
inline std::vector<index> offsets_from_ends(column is_end) {
  std::vector<index> offsets{0};
  for (index t = 0; t < is_end.size(); ++t)
    if (is_end[t] != 0 || t + 1 == is_end.size()) offsets.push_back(t + 1);
  return offsets;
}

namespace detail {

/// A layout whose sequences stand each in one run of positions, with a mask over them: it can be scanned run by run.
template <class L>
concept contiguous_layout = sequence_layout<L> && requires(const L& l) {
  { l.first(index{}) } -> std::convertible_to<index>;
  { l.last(index{}) } -> std::convertible_to<index>;
  { l.mask() } -> std::convertible_to<column>;
};

static_assert(contiguous_layout<padded> && contiguous_layout<ragged> && !contiguous_layout<packed>);

/// A mask of the counted positions as a column: the layout's own, or `storage` filled from its tokens.
template <layout_argument L>
column counted_positions(const L& layout, std::vector<char>& storage) {
  if constexpr (contiguous_layout<L>) {
    return layout.mask();
  } else {
    storage.assign(static_cast<std::size_t>(layout.tokens()), 0);
    for (index b = 0; b < layout.sequences(); ++b)
      layout.for_each_token(b, [&](index t) { storage[static_cast<std::size_t>(t)] = 1; });
    return storage;
  }
}

/// Entries of a column that a scan holds at a time: small enough for the first-level cache, large enough to hide the
/// call.
inline constexpr index run_length = 2048;

}  // namespace detail

}  // namespace emend
