#pragma once

#include <emend/base/errors.hpp>
#include <emend/base/storage.hpp>
#include <emend/carriers/real.hpp>
#include <emend/core/id_column.hpp>
#include <emend/sampling/row_passes.hpp>
#include <emend/sampling/weighted_cut.hpp>
#include <emend/simd/compaction.hpp>

#include <string>
#include <vector>

namespace emend::detail {

/// What `candidates` are kept in: the scores of one row, dense or compacted, with their powers, the maxima and sums of
/// their blocks, each found when it is first asked for. A is float or double.
///   dense: entry i has the id i, and `source` may be the caller's own row;  else ids ascend, and `source` is `own`
///   score of entry i = source[i] factor, or -inf where source[i] < forbidden_below
template <class A>
struct candidate_row {
  /// Takes up a row of at least one score.
  template <score_type T>
  void assign(const T* row, index extent, index stride, id_column text) {
    previous = text;
    vocab = size = extent;
    factor = 1;
    is_dense = true;
    forbidden_below = -static_cast<A>(infinity);
    forget_powers();
    source = nullptr;
    if constexpr (std::same_as<T, A>)
      if (stride == 1) source = row;
    if (!source) {
      reserve(own);
      for (index j = 0; j < extent; ++j) own[at(j)] = static_cast<A>(row[j * stride]);
      source = own.data();
    }
    find_largest();
  }

  /// Entry i of those left.
  index id(index i) const { return is_dense ? i : ids[at(i)]; }

  /// By how much of the whole a sum of probabilities may miss a share and yet count as equal to it: what the rounding
  /// of scores, powers and sums amounts to. log_rounding: the same of a logarithm of a probability.
  static constexpr double rounding = sizeof(A) == 4 ? 0x1p-21 : 0x1p-46, log_rounding = 2 * rounding;
  /// From here down, distances between scores that overflow A count, and the factor itself may be 0 in A.
  static constexpr double huge_temperature_factor = 1e-30;
  static constexpr A least_score = sizeof(A) == 4 ? A(-3.4028234663852886e38) : A(-1.7976931348623157e308);
  static constexpr std::size_t at(index i) { return static_cast<std::size_t>(i); }
  template <class E>
  void reserve(std::vector<E>& of) {
    if (of.size() < at(vocab)) of.resize(at(vocab));
  }
  void forget_powers() { has_powers = has_sums = false; }
  /// score_i - maximum, also where the distance of two scores is above the largest double.
  double above_maximum(index i) const {
    auto x = static_cast<double>(source[i]);
    scale_distance<A>(x, static_cast<double>(largest), factor);
    return x;
  }
  /// A number that may be outside the range of A, as the nearest finite one.
  static constexpr A narrowed(double x) {
    constexpr auto least = static_cast<double>(least_score);
    return static_cast<A>(x < least ? least : x > -least ? -least : x);
  }
  /// Leaves what reaches a score before the factor, and the `minimum` best.
  void keep_from(double bound, index minimum) {
    if (minimum > 1) {
      const double least = static_cast<double>(nth_largest(minimum));
      bound = bound < least ? bound : least;
    }
    collect(bound < static_cast<double>(largest) ? narrowed(bound) : largest);
  }

  /// After scores have changed, or the largest may be gone.
  void find_largest() {
    has_maxima = false;
    const A before = largest;
    find_maxima();
    A lowest;
    key_range(maxima.data(), score_blocks(size), lowest, largest);
    if (!(largest > -infinity)) fail("row", "a score above -inf", "none");
    if (largest != before) forget_powers();
  }
  void find_maxima() {
    if (has_maxima) return;
    const index blocks = score_blocks(size);
    if (maxima.size() < at(blocks)) maxima.resize(at(blocks));
    if (!block_maxima(source, size, maxima.data())) {
      for (index j = 0; j < size; ++j)
        if (!(source[j] < static_cast<A>(infinity)))
          fail("row", "scores that are finite or -inf", std::to_string(source[j]) + " at id " + std::to_string(id(j)));
    }
    has_maxima = true;
  }

  /// powers = exp((x - largest) factor), their sums over blocks, and over all.
  void find_powers() {
    if (has_powers && has_sums) return;
    const index blocks = score_blocks(size);
    if (sums.size() < at(blocks)) sums.resize(at(blocks));
    reserve(powers);
    if (has_powers)
      block_sums(powers.data(), size, sums.data());
    else if (factor > huge_temperature_factor)
      row_powers(source, size, largest, narrowed(factor * 1.44269504088896340736), powers.data(), sums.data());
    else {
      for (index i = 0; i < size; ++i) powers[at(i)] = static_cast<A>(emend::exp(above_maximum(i)));
      block_sums(powers.data(), size, sums.data());
    }
    total = 0;
    for (index b = 0; b < blocks; ++b) total += sums[at(b)];
    has_powers = has_sums = true;
  }

  /// A score that the k-th largest one reaches: the k-th largest maximum of a block, since k blocks hold k scores that
  /// reach it. Where fewer blocks have a score above -inf, their maxima bound nothing.
  A bound_of_largest(index k) {
    const index blocks = score_blocks(size);
    index possible = 0;
    for (index block = 0; block < blocks; ++block) possible += maxima[at(block)] >= least_score;
    return k <= possible ? find_cut(maxima.data(), nullptr, blocks, static_cast<double>(k)) : least_score;
  }

  /// The k-th largest score before the factor; the lowest above -inf where there are fewer than k.
  A nth_largest(index k) {
    find_maxima();
    reserve(keys);
    const index count = compact_from(bound_of_largest(k), {.out_keys = keys.data()});
    return find_cut(keys.data(), nullptr, count, static_cast<double>(k));
  }

  /// Compacts the entries of score at least `bound`; blocks below are not read.
  index compact_from(A bound, const compaction<A>& to) {
    find_maxima();
    index kept = 0;
    const index blocks = score_blocks(size);
    for (index block = 0; block < blocks;) {
      if (!(maxima[at(block)] >= bound)) {
        ++block;
        continue;
      }
      const index first = block * score_block;
      while (block < blocks && maxima[at(block)] >= bound) ++block;
      const index last = block * score_block < size ? block * score_block : size;
      kept = compact(source, first, last, bound, static_cast<A>(infinity), to, kept);
    }
    return kept;
  }

  /// Whether compaction would move much.
  bool is_in_most_blocks(A bound) {
    find_maxima();
    const index blocks = score_blocks(size);
    index reaching = 0;
    for (index b = 0; b < blocks; ++b) reaching += maxima[at(b)] >= bound;
    return reaching > blocks / 2;
  }

  /// As `collect`, of a dense row whose powers are there, and which stays dense: what is below counts as -inf. Of the
  /// scores that is only noted, for a draw asks for powers alone.
  void forbid(A bound) {
    clear_below(source, size, bound, powers.data(), sums.data());
    forbidden_below = bound;
    total = 0;
    for (index b = 0; b < score_blocks(size); ++b) total += sums[at(b)];
  }
  /// Makes -inf of what was forbidden, before anything looks at the scores again.
  void settle() {
    if (!(forbidden_below > -static_cast<A>(infinity))) return;
    reserve(own);
    for (index i = 0; i < size; ++i) own[at(i)] = source[i] < forbidden_below ? -static_cast<A>(infinity) : source[i];
    source = own.data();
    forbidden_below = -static_cast<A>(infinity);
    has_maxima = false;
  }

  /// Leaves what has a score of at least `bound`, before the factor, and above -inf.
  void collect(A bound) {
    if (!(bound > least_score)) bound = least_score;
    if (!is_dense) {
      keep_where([&](index i) { return source[i] >= bound; });
      return;
    }
    reserve(ids);
    reserve(own);
    compaction<A> to{.out_keys = own.data(), .out_ids = ids.data()};
    if (has_powers) to.weights = to.out_weights = powers.data();
    close(compact_from(bound, to));
  }
  template <class F>
  void keep_where(F&& keep) {
    index kept = 0;
    // Every entry is written, and written over where it is not kept: no branch for the processor to guess.
    for (index i = 0; i < size; ++i) {
      const bool is_kept = keep(i);
      ids[at(kept)] = ids[at(i)];
      own[at(kept)] = own[at(i)];
      if (has_powers) powers[at(kept)] = powers[at(i)];
      kept += is_kept;
    }
    close(kept);
  }
  void close(index kept) {
    if (kept == 0) fail("processors", "at least one id left", "none");
    source = own.data();
    forbidden_below = -static_cast<A>(infinity);
    size = kept;
    is_dense = false;
    has_sums = has_maxima = false;
  }

  /// Makes the scores this object's own, with the factor in them.
  void own_scores() {
    reserve(own);
    // A score that becomes +inf is refused by find_largest.
    if (factor != 1) {
      for (index i = 0; i < size; ++i) own[at(i)] = static_cast<A>(static_cast<double>(source[i]) * factor);
    } else if (source != own.data()) {
      for (index i = 0; i < size; ++i) own[at(i)] = source[i];
    }
    source = own.data();
    factor = 1;
  }

  /// Where an id stands, -1 if it is not left.
  index place_of(index id) const {
    if (is_dense) return id;
    index low = 0, high = size;
    while (low < high) {
      const index middle = (low + high) / 2;
      if (ids[at(middle)] < id)
        low = middle + 1;
      else
        high = middle;
    }
    return low < size && ids[at(low)] == id ? low : -1;
  }

  const A* source = nullptr;
  index vocab = 0, size = 0;
  double factor = 1, total = 0;
  A largest = 0, forbidden_below = -static_cast<A>(infinity);
  bool is_dense = true, has_powers = false, has_sums = false, has_maxima = false;
  id_column previous;
  std::vector<A> own, powers, maxima, keys;
  std::vector<double> sums;
  std::vector<std::int32_t> ids;
  std::vector<index> slot;
  cut_finder<A> find_cut;
};

}  // namespace emend::detail
