#pragma once

#include <emend/base/index.hpp>
#include <emend/sampling/row_passes.hpp>
#include <emend/simd/compaction.hpp>

#include <vector>

namespace emend::detail {

/// The highest key at which the weight of all entries with at least that key reaches a target: a sort would say it too,
/// but one pass into buckets of equal width leaves few to look at. Of equal keys all or none are above the cut.
///   cut = max{ k : sum_{i: key_i >= k} weight_i >= target },   the lowest key above -inf if the target is never
///   reached
/// If all keys are -inf, so is the cut.
template <class A>
class cut_finder {
 public:
  /// keys: [n], finite or -inf, n at least 1; weights: [n], not below 0, or null for 1 each.
  A operator()(const A* keys, const A* weights, index n, double target) {
    double above = 0;
    bool is_own = false;
    for (int level = 0; n > few; ++level) {
      A low, high;
      key_range(keys, n, low, high);
      if (low == high) return low;
      if (!(low > -static_cast<A>(__builtin_inf()))) {
        // No bucket is wide enough for -inf.
        n = move_to_front(keys, weights, n, is_own,
                          [&](index i) { return keys[i] > -static_cast<A>(__builtin_inf()); });
        continue;
      }
      const double width = static_cast<double>(high) - static_cast<double>(low);
      // Keys so far apart that their distance overflows, or so unevenly spread that buckets do not part them.
      if (!(static_cast<A>(width) < static_cast<A>(__builtin_inf())) || level == levels)
        return bisected(keys, weights, n, target - above, low, high);
      const A scale = static_cast<A>(buckets / width);
      if (!(scale < static_cast<A>(__builtin_inf()))) return bisected(keys, weights, n, target - above, low, high);
      add_up(keys, weights, n, high, scale);
      int at = 0;
      while (at + 1 < buckets && !(above + sums_[at] >= target)) above += sums_[at++];
      n = move_to_front(keys, weights, n, is_own, [&](index i) { return bucket_[static_cast<std::size_t>(i)] == at; });
    }
    return sorted(keys, weights, n, target - above);
  }

  /// The same of many entries, of which some may have the key -inf, and whose weights add up to `total`. A sample says
  /// between which keys the cut lies, almost surely; what is above is only added up, and what is between is looked at.
  /// Returns false where the cut is not there after all, or there are too few entries for it to pay.
  bool from_sample(const A* keys, const A* weights, index n, double target, double total, A& cut) {
    constexpr index run = 16, runs = 64;
    if (n < 4 * run * runs) return false;
    between_keys_.resize(static_cast<std::size_t>(n));
    between_weights_.resize(static_cast<std::size_t>(n));
    index count = 0;
    for (index r = 0; r < runs; ++r)
      for (index i = n / runs * r; i < n / runs * r + run; ++i) {
        between_keys_[static_cast<std::size_t>(count)] = keys[i];
        between_weights_[static_cast<std::size_t>(count)] = weights[i];
        count += keys[i] > -static_cast<A>(__builtin_inf());
      }
    // The mass below the cut is many small weights, of which a sample tells more than of the few large ones above.
    const double below = (total - target) * (run * runs) / static_cast<double>(n);
    if (!(below > 0) || count == 0) return false;
    A low, high;
    key_range(between_keys_.data(), count, low, high);
    const double range = static_cast<double>(high) - static_cast<double>(low);
    const A scale = static_cast<A>(buckets / range);
    // Keys that are all one, or so far apart that their distance overflows.
    if (!(static_cast<A>(range) < static_cast<A>(__builtin_inf()) && scale > 0 &&
          scale < static_cast<A>(__builtin_inf())))
      return false;
    add_up(between_keys_.data(), between_weights_.data(), count, high, scale);
    // The edges of buckets do: what is left between them is cut exactly.
    int last = buckets;
    double sum = 0;
    while (last > 0 && sum + sums_[last - 1] <= 0.82 * below) sum += sums_[--last];
    int first = last;
    while (first > 0 && sum <= 1.22 * below) sum += sums_[--first];
    const A top = high;
    low = top - static_cast<A>(last) / scale;
    high = sum > 1.22 * below ? top - static_cast<A>(first) / scale : static_cast<A>(__builtin_inf());
    if (!(low < high)) return false;
    const weight_sums sums = weights_from(keys, weights, n, low, high);
    if (sums.from_high >= target || !(sums.from_low >= target)) return false;
    count = compact(keys, 0, n, low, high, compaction<A>{weights, between_keys_.data(), between_weights_.data()}, 0);
    if (count == 0) return false;
    cut = (*this)(between_keys_.data(), between_weights_.data(), count, target - sums.from_high);
    return true;
  }

 private:
  static constexpr int buckets = 512, levels = 6;
  static constexpr index few = 48;

  /// Moves the entries for which keep(i) is true to the front of this object's own arrays, which a deeper level reads
  /// and writes at once, and points `keys` and `weights` there. Returns how many are kept.
  template <class F>
  index move_to_front(const A*& keys, const A*& weights, index n, bool& is_own, const F& keep) {
    if (!is_own) {
      keys_.resize(static_cast<std::size_t>(n));
      if (weights) weights_.resize(static_cast<std::size_t>(n));
    }
    is_own = true;
    index kept = 0;
    // Every entry is written, and written over where it is not kept: no branch for the processor to guess.
    A *out_keys = keys_.data(), *out_weights = weights_.data();
    for (index i = 0; i < n; ++i) {
      const bool is_kept = keep(i);
      out_keys[kept] = keys[i];
      if (weights) out_weights[kept] = weights[i];
      kept += is_kept;
    }
    keys = keys_.data();
    if (weights) weights = weights_.data();
    return kept;
  }

  /// Buckets of all entries, and the sums of their weights.
  void add_up(const A* keys, const A* weights, index n, A high, A scale) {
    if (bucket_.size() < static_cast<std::size_t>(n)) bucket_.resize(static_cast<std::size_t>(n));
    bucket_numbers(keys, n, high, scale, buckets, bucket_.data());
    for (double& sum : sums_) sum = 0;
    if (weights)
      for (index i = 0; i < n; ++i) sums_[bucket_[static_cast<std::size_t>(i)]] += static_cast<double>(weights[i]);
    else
      for (index i = 0; i < n; ++i) sums_[bucket_[static_cast<std::size_t>(i)]] += 1;
  }

  static A sorted(const A* keys, const A* weights, index n, double target) {
    A key[few];
    double weight[few];
    for (index i = 0; i < n; ++i) {
      index j = i;
      for (; j > 0 && key[j - 1] < keys[i]; --j) key[j] = key[j - 1], weight[j] = weight[j - 1];
      key[j] = keys[i];
      weight[j] = weights ? static_cast<double>(weights[i]) : 1;
    }
    double sum = 0;
    for (index i = 0; i < n; ++i) {
      if (i > 0 && !(key[i] > -static_cast<A>(__builtin_inf()))) return key[i - 1];
      sum += weight[i];
      if (sum >= target) return key[i];
    }
    return key[n - 1];
  }

  /// As many passes as a number has bits, at most: for keys of any spread.
  static A bisected(const A* keys, const A* weights, index n, double target, A low, A high) {
    const auto weight_from = [&](A key) {
      double sum = 0;
      for (index i = 0; i < n; ++i)
        if (keys[i] >= key) sum += weights ? static_cast<double>(weights[i]) : 1;
      return sum;
    };
    if (weight_from(high) >= target) return high;
    for (;;) {  // the weight from `high` on is too small, that from `low` on is not, or nothing is enough
      const A middle = low / 2 + high / 2;
      if (!(middle > low && middle < high)) break;
      (weight_from(middle) >= target ? low : high) = middle;
    }
    A cut = high;  // the smallest key not below `low`
    for (index i = 0; i < n; ++i)
      if (keys[i] >= low && keys[i] < cut) cut = keys[i];
    return cut;
  }

  double sums_[buckets];
  std::vector<A> keys_, weights_, between_keys_, between_weights_;
  std::vector<std::int32_t> bucket_;
};

}  // namespace emend::detail
