#pragma once

#include <emend/sampling/candidate_row.hpp>

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
  using row_type = detail::candidate_row<A>;

 public:
  /// Takes up a row. row: V scores with any stride; where they are contiguous and of type A they are read in place and
  /// must outlive the draw. previous: ids of the text so far, which penalties ask for. Throws std::invalid_argument on
  /// an empty row, on NaN or +inf in it, or if it is all -inf. Cost: reads the row once.
  template <score_type T>
    requires std::same_as<arithmetic<T>, A>
  void assign(const T* row, index vocab, index stride = 1, id_column previous = {}) {
    if (vocab < 1) detail::fail("row", "at least one score", "none");
    row_.assign(row, vocab, stride, previous);
  }

  /// Extent of the row, ids left, and the ids of the text so far.
  index vocab() const { return row_.vocab; }
  index size() const { return row_.size; }
  const id_column& previous() const { return row_.previous; }

  /// Entry i of those left, in ascending order of ids; ids of score -inf may be among them.
  index id(index i) const { return row_.id(i); }
  double score(index i) const {
    return row_.source[i] < row_.forbidden_below ? -detail::infinity
                                                 : static_cast<double>(row_.source[i]) * row_.factor;
  }
  double probability(index i) {
    row_.find_powers();
    return static_cast<double>(row_.powers[row_type::at(i)]) / row_.total;
  }

  /// max_i score_i,   log sum_i exp(score_i),   log sum_i exp(score_i - maximum),   -sum_i p_i log p_i
  double maximum() const { return static_cast<double>(row_.largest) * row_.factor; }
  double log_z() { return maximum() + log_z_above_maximum(); }
  double log_z_above_maximum() {
    row_.find_powers();
    return emend::log(row_.total);
  }
  double entropy() {
    row_.find_powers();
    const double sum =
        detail::weighted_distances(row_.source, row_.powers.data(), row_.size, row_.largest, row_.factor);
    return emend::log(row_.total) - sum / row_.total;
  }

  /// Every score times a number that is not below 0; at 0 all scores above -inf become equal.
  /// Throws std::invalid_argument on another number, or if the product of all factors so far is infinite.
  /// Cost: none but behind a nucleus, whose rest is then written.
  void scale(double factor) {
    detail::require_not_negative("factor", factor);
    if (!(row_.factor * factor < detail::infinity))
      detail::fail("factor", "a finite product of all factors", "infinity");
    row_.settle();
    // The smallest number above 0 makes all finite scores equal, too, and leaves -inf what it is.
    constexpr double least_factor = 4.9406564584124654e-324;
    row_.factor = row_.factor * factor > least_factor ? row_.factor * factor : least_factor;
    row_.forget_powers();
  }

  /// Leaves the highest score alone, of equals the lowest id.
  void keep_highest() {
    row_.find_maxima();
    index block = 0;
    while (row_.maxima[row_type::at(block)] != row_.largest) ++block;
    index best = block * detail::score_block;
    while (row_.source[best] != row_.largest) ++best;
    const index its_id = id(best);
    row_.reserve(row_.ids);
    row_.reserve(row_.own);
    row_.ids[0] = static_cast<std::int32_t>(its_id);
    row_.own[0] = row_.largest;
    row_.forget_powers();
    row_.close(1);
  }

  /// Removes what is below a score, but not the `minimum` best, nor what equals the last of these.
  void keep_at_least(double threshold, index minimum = 1) {
    row_.settle();
    row_.keep_from(threshold / row_.factor, minimum);
  }

  /// Removes what is more than a distance [nats] below the highest score, but not the `minimum` best, nor what equals
  /// the last of these. A distance that a score exceeds by no more than `rounding` counts as reached.
  void keep_within(double distance, index minimum = 1) {
    row_.settle();
    row_.keep_from(static_cast<double>(row_.largest) - (distance + row_type::log_rounding) / row_.factor, minimum);
  }

  /// Leaves the k highest scores, and what equals the last of them; if `is_exact`, of equals the lowest ids, so that
  /// exactly k are left, or all if there are fewer above -inf. k at least 1.
  void keep_largest(index k, bool is_exact = false) {
    row_.settle();
    if (k >= row_.size) return;
    row_.find_maxima();
    row_.collect(row_.bound_of_largest(k));
    if (k >= row_.size) return;
    const A cut = row_.find_cut(row_.source, nullptr, row_.size, static_cast<double>(k));
    row_.collect(cut);
    if (!is_exact || k >= row_.size) return;
    index above = 0;
    for (index i = 0; i < row_.size; ++i) above += row_.source[i] > cut;
    index equals = k - above;
    row_.keep_where([&](index i) { return row_.source[i] > cut || equals-- > 0; });
  }

  /// Leaves the highest scores that together reach a share of the probability, what equals the last of them, and the
  /// `minimum` best. A sum that is below the share by no more than `rounding` has reached it.
  void keep_share(double share, index minimum = 1) {
    row_.settle();
    row_.find_powers();
    const double rest = row_.total * (1 - share + rounding), target = row_.total - rest;
    const A least = minimum > 1 ? row_.nth_largest(minimum) : row_.largest;
    A cut;
    if (!row_.find_cut.from_sample(row_.source, row_.powers.data(), row_.size, target, row_.total, cut)) {
      // Ids of less than an even part of the rest are less than the rest together.
      A lowest = row_type::least_score;
      if (rest > 0)
        lowest = row_type::narrowed(static_cast<double>(row_.largest) +
                                    emend::log(0.999 * rest / static_cast<double>(row_.size)) / row_.factor);
      row_.collect(lowest < least ? lowest : least);
      cut = row_.find_cut(row_.source, row_.powers.data(), row_.size, target);
    }
    if (row_.is_dense && row_.size > 4096 && row_.is_in_most_blocks(cut))
      row_.forbid(cut < least ? cut : least);
    else
      row_.collect(cut < least ? cut : least);
  }

  /// Leaves the ids of the lowest distance |-log p - entropy| that together reach a share of the probability, what is
  /// as near as the last of them, and the `minimum` nearest. A sum that is below the share by no more than `rounding`
  /// has reached it.
  void keep_typical(double share, index minimum = 1) {
    row_.settle();
    const double center = log_z_above_maximum() - entropy();
    row_.collect(row_type::least_score);
    row_.reserve(row_.keys);
    detail::nearness_keys(row_.source, row_.size, row_.largest, row_.factor, center, row_.keys.data());
    A cut = row_.find_cut(row_.keys.data(), row_.powers.data(), row_.size, row_.total * (share - rounding));
    if (minimum > 1) {
      const A least = row_.find_cut(row_.keys.data(), nullptr, row_.size, static_cast<double>(minimum));
      cut = cut < least ? cut : least;
    }
    row_.keep_where([&](index i) { return row_.keys[row_type::at(i)] >= cut; });
    row_.find_largest();
  }

  /// Leaves the entries for which keep(id, score) is true.
  template <class F>
  void keep_if(F&& keep) {
    row_.settle();
    row_.collect(row_type::least_score);
    row_.keep_where([&](index i) { return keep(row_.ids[row_type::at(i)], score(i)); });
    row_.find_largest();
  }

  /// Gives the k-th of some ids the score change(k, score); -inf forbids an id, ids that are not left stay out, and an
  /// id named twice is changed twice. Throws std::invalid_argument on an id outside the vocabulary. Cost: a copy of a
  /// row that is still dense, and a pass over it.
  template <class F>
  void change(id_column which, F&& change) {
    row_.settle();
    row_.own_scores();
    for (index k = 0; k < which.size(); ++k) {
      detail::require_position("ids", k, which[k], row_.vocab);
      const index i = row_.place_of(which[k]);
      if (i >= 0) row_.own[row_type::at(i)] = static_cast<A>(change(k, static_cast<double>(row_.own[row_type::at(i)])));
    }
    row_.forget_powers();
    row_.find_largest();
  }

  /// The ids of the text so far, each once, in the order of their first place, and how often each stands there.
  /// Throws std::invalid_argument on an id outside the vocabulary.
  void count_previous(std::vector<index>& ids, std::vector<index>& counts) {
    if (row_.slot.size() < static_cast<std::size_t>(row_.vocab))
      row_.slot.resize(static_cast<std::size_t>(row_.vocab), -1);
    ids.clear();
    counts.clear();
    for (index k = 0; k < row_.previous.size(); ++k)
      detail::require_position("previous", k, row_.previous[k], row_.vocab);
    for (index k = 0; k < row_.previous.size(); ++k) {
      index& slot = row_.slot[row_type::at(row_.previous[k])];
      if (slot < 0) {
        slot = static_cast<index>(ids.size());
        ids.push_back(row_.previous[k]);
        counts.push_back(0);
      }
      ++counts[row_type::at(slot)];
    }
    for (const index id : ids) row_.slot[row_type::at(id)] = -1;
  }

  /// The smallest id at which the running sum of probabilities exceeds u, in [0, 1).
  /// Throws std::invalid_argument on another u.
  drawn_id draw(double u) {
    if (!(u >= 0 && u < 1)) detail::fail("u", "a number in [0, 1)", std::to_string(u));
    row_.find_powers();
    const double wanted = u * row_.total;
    double sum = 0;
    index block = 0, last = -1;
    const index blocks = detail::score_blocks(row_.size);
    while (block < blocks && !(sum + row_.sums[row_type::at(block)] > wanted)) sum += row_.sums[row_type::at(block++)];
    if (block == blocks) --block;  // u so near 1 that rounding leaves it outside: the last id that has a probability
    const index end = (block + 1) * detail::score_block < row_.size ? (block + 1) * detail::score_block : row_.size;
    for (index i = block * detail::score_block; i < end && !(sum > wanted); ++i) {
      if (row_.powers[row_type::at(i)] == 0) continue;
      last = i;
      sum += static_cast<double>(row_.powers[row_type::at(i)]);
    }
    // Likewise where a block's sum and that of its entries one by one differ, or the last block has none with a
    // probability.
    if (last < 0)
      for (last = row_.size - 1; row_.powers[row_type::at(last)] == 0;) --last;
    return {id(last), row_.above_maximum(last) - emend::log(row_.total)};
  }

  /// By how much of the whole a sum of probabilities may miss a share and yet count as equal to it.
  static constexpr double rounding = row_type::rounding;

 private:
  row_type row_;
};

}  // namespace emend
