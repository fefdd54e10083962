#pragma once

#include <emend/carriers/real.hpp>
#include <emend/core/id_column.hpp>
#include <emend/sampling/row_passes.hpp>
#include <emend/sampling/weighted_cut.hpp>
#include <emend/simd/compaction.hpp>

#include <vector>

namespace emend {

/// An id that was drawn, and its log-probability under the distribution that it was drawn from [nats].
struct drawn_id {
  index id = 0;
  double log_prob = 0;
};

/// What is left of one row of scores while it is made into a distribution: ids in ascending order, with their scores.
///   p_i = exp(score_i) / sum_j exp(score_j) over the ids that are left
/// A processor (see `score_processor`) removes ids or changes scores; a score of -inf is a probability of 0. An object
/// keeps its memory from row to row: after the first row of a vocabulary nothing is allocated. A is float (also for
/// 16-bit scores) or double.
template <class A>
class candidates {
 public:
  /// Takes up a row. row: V scores with any stride; where they are contiguous and of type A they are read in place and
  /// must outlive the draw. previous: ids of the text so far, which penalties ask for. Throws std::invalid_argument on
  /// an empty row, on NaN or +inf in it, or if it is all -inf. Cost: reads the row once.
  template <score_type T>
    requires std::same_as<arithmetic<T>, A>
  void assign(const T* row, index vocab, index stride = 1, id_column previous = {}) {
    if (vocab < 1) detail::fail("row", "at least one score", "none");
    previous_ = previous;
    vocab_ = size_ = vocab;
    factor_ = 1;
    is_dense_ = true;
    forbidden_below_ = -static_cast<A>(detail::infinity);
    forget_powers();
    source_ = nullptr;
    if constexpr (std::same_as<T, A>)
      if (stride == 1) source_ = row;
    if (!source_) {
      reserve(own_);
      for (index j = 0; j < vocab; ++j) own_[at(j)] = static_cast<A>(row[j * stride]);
      source_ = own_.data();
    }
    find_largest();
  }

  /// Extent of the row, ids left, and the ids of the text so far.
  index vocab() const { return vocab_; }
  index size() const { return size_; }
  const id_column& previous() const { return previous_; }

  /// Entry i of those left, in ascending order of ids; ids of score -inf may be among them.
  index id(index i) const { return is_dense_ ? i : ids_[at(i)]; }
  double score(index i) const {
    return source_[i] < forbidden_below_ ? -detail::infinity : static_cast<double>(source_[i]) * factor_;
  }
  double probability(index i) {
    find_powers();
    return static_cast<double>(powers_[at(i)]) / total_;
  }

  /// max_i score_i,   log sum_i exp(score_i),   log sum_i exp(score_i - maximum),   -sum_i p_i log p_i
  double maximum() const { return static_cast<double>(largest_) * factor_; }
  double log_z() { return maximum() + log_z_above_maximum(); }
  double log_z_above_maximum() {
    find_powers();
    return emend::log(total_);
  }
  double entropy() {
    find_powers();
    const double sum = detail::weighted_distances(source_, powers_.data(), size_, largest_, factor_);
    return emend::log(total_) - sum / total_;
  }

  /// Every score times a number that is not below 0; at 0 all scores above -inf become equal.
  /// Throws std::invalid_argument on another number, or if the product of all factors so far is infinite.
  /// Cost: none but behind a nucleus, whose rest is then written.
  void scale(double factor) {
    detail::require_not_negative("factor", factor);
    if (!(factor_ * factor < detail::infinity)) detail::fail("factor", "a finite product of all factors", "infinity");
    settle();
    // The smallest number above 0 makes all finite scores equal, too, and leaves -inf what it is.
    constexpr double least_factor = 4.9406564584124654e-324;
    factor_ = factor_ * factor > least_factor ? factor_ * factor : least_factor;
    forget_powers();
  }

  /// Leaves the highest score alone, of equals the lowest id.
  void keep_highest() {
    find_maxima();
    index block = 0;
    while (maxima_[at(block)] != largest_) ++block;
    index best = block * detail::score_block;
    while (source_[best] != largest_) ++best;
    const index its_id = id(best);
    reserve(ids_);
    reserve(own_);
    ids_[0] = static_cast<std::int32_t>(its_id);
    own_[0] = largest_;
    forget_powers();
    close(1);
  }

  /// Removes what is below a score, but not the `minimum` best, nor what equals the last of these.
  void keep_at_least(double threshold, index minimum = 1) {
    settle();
    keep_from(threshold / factor_, minimum);
  }

  /// Removes what is more than a distance [nats] below the highest score, but not the `minimum` best, nor what equals
  /// the last of these. A distance that a score exceeds by no more than `rounding` counts as reached.
  void keep_within(double distance, index minimum = 1) {
    settle();
    keep_from(static_cast<double>(largest_) - (distance + log_rounding) / factor_, minimum);
  }

  /// Leaves the k highest scores, and what equals the last of them; if `is_exact`, of equals the lowest ids, so that
  /// exactly k are left, or all if there are fewer above -inf. k at least 1.
  void keep_largest(index k, bool is_exact = false) {
    settle();
    if (k >= size_) return;
    find_maxima();
    collect(bound_of_largest(k));
    if (k >= size_) return;
    const A cut = cut_(source_, nullptr, size_, static_cast<double>(k));
    collect(cut);
    if (!is_exact || k >= size_) return;
    index above = 0;
    for (index i = 0; i < size_; ++i) above += source_[i] > cut;
    index equals = k - above;
    keep_where([&](index i) { return source_[i] > cut || equals-- > 0; });
  }

  /// Leaves the highest scores that together reach a share of the probability, what equals the last of them, and the
  /// `minimum` best. A sum that is below the share by no more than `rounding` has reached it.
  void keep_share(double share, index minimum = 1) {
    settle();
    find_powers();
    const double rest = total_ * (1 - share + rounding), target = total_ - rest;
    const A least = minimum > 1 ? nth_largest(minimum) : largest_;
    A cut;
    if (!cut_.from_sample(source_, powers_.data(), size_, target, total_, cut)) {
      // Ids of less than an even part of the rest are less than the rest together.
      A lowest = least_score;
      if (rest > 0)
        lowest =
            narrowed(static_cast<double>(largest_) + emend::log(0.999 * rest / static_cast<double>(size_)) / factor_);
      collect(lowest < least ? lowest : least);
      cut = cut_(source_, powers_.data(), size_, target);
    }
    if (is_dense_ && size_ > 4096 && is_in_most_blocks(cut))
      forbid(cut < least ? cut : least);
    else
      collect(cut < least ? cut : least);
  }

  /// Leaves the ids of the lowest distance |-log p - entropy| that together reach a share of the probability, what is
  /// as near as the last of them, and the `minimum` nearest. A sum that is below the share by no more than `rounding`
  /// has reached it.
  void keep_typical(double share, index minimum = 1) {
    settle();
    const double center = log_z_above_maximum() - entropy();
    collect(least_score);
    reserve(keys_);
    detail::nearness_keys(source_, size_, largest_, factor_, center, keys_.data());
    A cut = cut_(keys_.data(), powers_.data(), size_, total_ * (share - rounding));
    if (minimum > 1) {
      const A least = cut_(keys_.data(), nullptr, size_, static_cast<double>(minimum));
      cut = cut < least ? cut : least;
    }
    keep_where([&](index i) { return keys_[at(i)] >= cut; });
    find_largest();
  }

  /// Leaves the entries for which keep(id, score) is true.
  template <class F>
  void keep_if(F&& keep) {
    settle();
    collect(least_score);
    keep_where([&](index i) { return keep(ids_[at(i)], score(i)); });
    find_largest();
  }

  /// Gives the k-th of some ids the score change(k, score); -inf forbids an id, ids that are not left stay out, and an
  /// id named twice is changed twice. Throws std::invalid_argument on an id outside the vocabulary. Cost: a copy of a
  /// row that is still dense, and a pass over it.
  template <class F>
  void change(id_column which, F&& change) {
    settle();
    own_scores();
    for (index k = 0; k < which.size(); ++k) {
      detail::require_position("ids", k, which[k], vocab_);
      const index i = place_of(which[k]);
      if (i >= 0) own_[at(i)] = static_cast<A>(change(k, static_cast<double>(own_[at(i)])));
    }
    forget_powers();
    find_largest();
  }

  /// The ids of the text so far, each once, in the order of their first place, and how often each stands there.
  /// Throws std::invalid_argument on an id outside the vocabulary.
  void count_previous(std::vector<index>& ids, std::vector<index>& counts) {
    if (slot_.size() < static_cast<std::size_t>(vocab_)) slot_.resize(static_cast<std::size_t>(vocab_), -1);
    ids.clear();
    counts.clear();
    for (index k = 0; k < previous_.size(); ++k) detail::require_position("previous", k, previous_[k], vocab_);
    for (index k = 0; k < previous_.size(); ++k) {
      index& slot = slot_[at(previous_[k])];
      if (slot < 0) {
        slot = static_cast<index>(ids.size());
        ids.push_back(previous_[k]);
        counts.push_back(0);
      }
      ++counts[at(slot)];
    }
    for (const index id : ids) slot_[at(id)] = -1;
  }

  /// The smallest id at which the running sum of probabilities exceeds u, in [0, 1).
  /// Throws std::invalid_argument on another u.
  drawn_id draw(double u) {
    if (!(u >= 0 && u < 1)) detail::fail("u", "a number in [0, 1)", std::to_string(u));
    find_powers();
    const double wanted = u * total_;
    double sum = 0;
    index block = 0, last = -1;
    const index blocks = detail::score_blocks(size_);
    while (block < blocks && !(sum + sums_[at(block)] > wanted)) sum += sums_[at(block++)];
    if (block == blocks) --block;  // u so near 1 that rounding leaves it outside: the last id that has a probability
    const index end = (block + 1) * detail::score_block < size_ ? (block + 1) * detail::score_block : size_;
    for (index i = block * detail::score_block; i < end && !(sum > wanted); ++i) {
      if (powers_[at(i)] == 0) continue;
      last = i;
      sum += static_cast<double>(powers_[at(i)]);
    }
    // Likewise where a block's sum and that of its entries one by one differ, or the last block has none with a
    // probability.
    if (last < 0)
      for (last = size_ - 1; powers_[at(last)] == 0;) --last;
    return {id(last), above_maximum(last) - emend::log(total_)};
  }

  /// By how much of the whole a sum of probabilities may miss a share and yet count as equal to it: what the rounding
  /// of scores, powers and sums amounts to.
  static constexpr double rounding = sizeof(A) == 4 ? 0x1p-21 : 0x1p-46;

 private:
  /// The same of a logarithm of a probability.
  static constexpr double log_rounding = 2 * rounding;
  /// From here down, distances between scores that overflow A count, and the factor itself may be 0 in A.
  static constexpr double huge_temperature_factor = 1e-30;
  static constexpr A least_score = sizeof(A) == 4 ? A(-3.4028234663852886e38) : A(-1.7976931348623157e308);
  static constexpr std::size_t at(index i) { return static_cast<std::size_t>(i); }
  template <class E>
  void reserve(std::vector<E>& of) {
    if (of.size() < at(vocab_)) of.resize(at(vocab_));
  }
  void forget_powers() { has_powers_ = has_sums_ = false; }
  /// score_i - maximum, also where the distance of two scores is above the largest double.
  double above_maximum(index i) const {
    auto x = static_cast<double>(source_[i]);
    detail::scale_distance<A>(x, static_cast<double>(largest_), factor_);
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
    collect(bound < static_cast<double>(largest_) ? narrowed(bound) : largest_);
  }

  /// After scores have changed, or the largest may be gone.
  void find_largest() {
    has_maxima_ = false;
    const A before = largest_;
    find_maxima();
    A lowest;
    detail::key_range(maxima_.data(), detail::score_blocks(size_), lowest, largest_);
    if (!(largest_ > -detail::infinity)) detail::fail("row", "a score above -inf", "none");
    if (largest_ != before) forget_powers();
  }
  void find_maxima() {
    if (has_maxima_) return;
    const index blocks = detail::score_blocks(size_);
    if (maxima_.size() < at(blocks)) maxima_.resize(at(blocks));
    if (!detail::block_maxima(source_, size_, maxima_.data())) {
      for (index j = 0; j < size_; ++j)
        if (!(source_[j] < static_cast<A>(detail::infinity)))
          detail::fail("row", "scores that are finite or -inf",
                       std::to_string(source_[j]) + " at id " + std::to_string(id(j)));
    }
    has_maxima_ = true;
  }

  /// powers = exp((x - largest) factor), their sums over blocks, and over all.
  void find_powers() {
    if (has_powers_ && has_sums_) return;
    const index blocks = detail::score_blocks(size_);
    if (sums_.size() < at(blocks)) sums_.resize(at(blocks));
    reserve(powers_);
    if (has_powers_)
      detail::block_sums(powers_.data(), size_, sums_.data());
    else if (factor_ > huge_temperature_factor)
      detail::row_powers(source_, size_, largest_, narrowed(factor_ * 1.44269504088896340736), powers_.data(),
                         sums_.data());
    else {
      for (index i = 0; i < size_; ++i) powers_[at(i)] = static_cast<A>(emend::exp(above_maximum(i)));
      detail::block_sums(powers_.data(), size_, sums_.data());
    }
    total_ = 0;
    for (index b = 0; b < blocks; ++b) total_ += sums_[at(b)];
    has_powers_ = has_sums_ = true;
  }

  /// A score that the k-th largest one reaches: the k-th largest maximum of a block, since k blocks hold k scores that
  /// reach it. Where fewer blocks have a score above -inf, their maxima bound nothing.
  A bound_of_largest(index k) {
    const index blocks = detail::score_blocks(size_);
    index possible = 0;
    for (index block = 0; block < blocks; ++block) possible += maxima_[at(block)] >= least_score;
    return k <= possible ? cut_(maxima_.data(), nullptr, blocks, static_cast<double>(k)) : least_score;
  }

  /// The k-th largest score before the factor; the lowest above -inf where there are fewer than k.
  A nth_largest(index k) {
    find_maxima();
    reserve(keys_);
    const index count = compact_from(bound_of_largest(k), {.out_keys = keys_.data()});
    return cut_(keys_.data(), nullptr, count, static_cast<double>(k));
  }

  /// Compacts the entries of score at least `bound`; blocks below are not read.
  index compact_from(A bound, const detail::compaction<A>& to) {
    find_maxima();
    index kept = 0;
    const index blocks = detail::score_blocks(size_);
    for (index block = 0; block < blocks;) {
      if (!(maxima_[at(block)] >= bound)) {
        ++block;
        continue;
      }
      const index first = block * detail::score_block;
      while (block < blocks && maxima_[at(block)] >= bound) ++block;
      const index last = block * detail::score_block < size_ ? block * detail::score_block : size_;
      kept = detail::compact(source_, first, last, bound, static_cast<A>(detail::infinity), to, kept);
    }
    return kept;
  }

  /// Whether compaction would move much.
  bool is_in_most_blocks(A bound) {
    find_maxima();
    const index blocks = detail::score_blocks(size_);
    index reaching = 0;
    for (index b = 0; b < blocks; ++b) reaching += maxima_[at(b)] >= bound;
    return reaching > blocks / 2;
  }

  /// As `collect`, of a dense row whose powers are there, and which stays dense: what is below counts as -inf. Of the
  /// scores that is only noted, for a draw asks for powers alone.
  void forbid(A bound) {
    detail::clear_below(source_, size_, bound, powers_.data(), sums_.data());
    forbidden_below_ = bound;
    total_ = 0;
    for (index b = 0; b < detail::score_blocks(size_); ++b) total_ += sums_[at(b)];
  }
  /// Makes -inf of what was forbidden, before anything looks at the scores again.
  void settle() {
    if (!(forbidden_below_ > -static_cast<A>(detail::infinity))) return;
    reserve(own_);
    for (index i = 0; i < size_; ++i)
      own_[at(i)] = source_[i] < forbidden_below_ ? -static_cast<A>(detail::infinity) : source_[i];
    source_ = own_.data();
    forbidden_below_ = -static_cast<A>(detail::infinity);
    has_maxima_ = false;
  }

  /// Leaves what has a score of at least `bound`, before the factor, and above -inf.
  void collect(A bound) {
    if (!(bound > least_score)) bound = least_score;
    if (!is_dense_) {
      keep_where([&](index i) { return source_[i] >= bound; });
      return;
    }
    reserve(ids_);
    reserve(own_);
    detail::compaction<A> to{.out_keys = own_.data(), .out_ids = ids_.data()};
    if (has_powers_) to.weights = to.out_weights = powers_.data();
    close(compact_from(bound, to));
  }
  template <class F>
  void keep_where(F&& keep) {
    index kept = 0;
    // Every entry is written, and written over where it is not kept: no branch for the processor to guess.
    for (index i = 0; i < size_; ++i) {
      const bool is_kept = keep(i);
      ids_[at(kept)] = ids_[at(i)];
      own_[at(kept)] = own_[at(i)];
      if (has_powers_) powers_[at(kept)] = powers_[at(i)];
      kept += is_kept;
    }
    close(kept);
  }
  void close(index kept) {
    if (kept == 0) detail::fail("processors", "at least one id left", "none");
    source_ = own_.data();
    forbidden_below_ = -static_cast<A>(detail::infinity);
    size_ = kept;
    is_dense_ = false;
    has_sums_ = has_maxima_ = false;
  }

  /// Makes the scores this object's own, with the factor in them.
  void own_scores() {
    reserve(own_);
    // A score that becomes +inf is refused by find_largest.
    if (factor_ != 1) {
      for (index i = 0; i < size_; ++i) own_[at(i)] = static_cast<A>(static_cast<double>(source_[i]) * factor_);
    } else if (source_ != own_.data()) {
      for (index i = 0; i < size_; ++i) own_[at(i)] = source_[i];
    }
    source_ = own_.data();
    factor_ = 1;
  }

  /// Where an id stands, -1 if it is not left.
  index place_of(index id) const {
    if (is_dense_) return id;
    index low = 0, high = size_;
    while (low < high) {
      const index middle = (low + high) / 2;
      if (ids_[at(middle)] < id)
        low = middle + 1;
      else
        high = middle;
    }
    return low < size_ && ids_[at(low)] == id ? low : -1;
  }

  const A* source_ = nullptr;
  index vocab_ = 0, size_ = 0;
  double factor_ = 1, total_ = 0;
  A largest_ = 0, forbidden_below_ = -static_cast<A>(detail::infinity);
  bool is_dense_ = true, has_powers_ = false, has_sums_ = false, has_maxima_ = false;
  id_column previous_;
  std::vector<A> own_, powers_, maxima_, keys_;
  std::vector<double> sums_;
  std::vector<std::int32_t> ids_;
  std::vector<index> slot_;
  detail::cut_finder<A> cut_;
};

}  // namespace emend
