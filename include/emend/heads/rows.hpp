#pragma once

#include <emend/base/aligned_allocator.hpp>
#include <emend/base/errors.hpp>
#include <emend/core/score_view.hpp>
#include <emend/heads/kernels/kernels.hpp>
#include <emend/heads/reference.hpp>
#include <emend/heads/head_options.hpp>

#include <optional>
#include <vector>

namespace emend::detail {

/// One target's share of a row's gradient: g_score at its id.
struct score_adjoint {
  index id;
  double value;
};

/// Scores in memory, row by row: statistics forward, gradient backward. The only code, with the kernels, that knows the
/// vocabulary axis. Chooses per block between contiguous vocabulary, contiguous tokens, and gathering any other stride.
template <class T>
class row_head {
  using A = arithmetic<T>;

 public:
  /// Rows that one call should take together: one where a row is contiguous, a few cache lines where tokens are.
  static constexpr index tile_rows = row_tile;

  row_head(score_view<const T> scores, const head_options& options)
      : scores_(scores),
        transform_(options.transform),
        kept_(options.kept),
        kernels_(kernels_for<T>(options.instructions)),
        arithmetic_kernels_(kernels_for<A>(options.instructions)),
        with_extras_(options.with_extras) {
    is_gathered_ = kept_.offsets.is_given() || transform_.soft_cap != 0 || scores.vocab_stride != 1;
    is_tiled_ = !kept_.offsets.is_given() && transform_.soft_cap == 0 && !transform_.temperatures.is_given() &&
                // A single row of column-major scores, too, whose stride along the vocabulary is 1: its bits are those
                // of the row in a batch.
                scores.vocab > 1 && scores.token_stride == 1 && scores.batch == 1;
  }

  index rows() const { return scores_.rows(); }
  index tile() const { return is_tiled_ ? tile_rows : 1; }
  /// The same where nothing is kept from a row to the next, for statistics alone, and for those and the gradient. Long
  /// rows push all else out of the nearest caches, and what is done between them, little as it is, would wait for its
  /// data each time.
  index statistics_tile() const { return rows_within(index{8} << 20); }
  index gradient_tile() const { return can_save() ? tile() : rows_within(index{512} << 10); }

  struct scratch;
  class fused_pass;

  /// The gradient at one id of a row, from its z: for a row whose other entries have been written.
  double entry(index row, index id, double z, const row_statistics& statistics, const row_adjoint& adjoint,
               double score_adjoint) const {
    const double common = adjoint.is_zero() ? 0 : reference_gradient(z, id, statistics, adjoint);
    // tanh of the cap is what z itself tells.
    const double t = transform_.soft_cap == 0 ? 0 : z * temperature(row) / transform_.soft_cap;
    return multiplier(row) * (1 - t * t) * (common + score_adjoint);
  }

  /// z of one id of a row, -inf outside the kept set.
  double score(index row, index id) const {
    if (kept_.offsets.is_given() && kept_position(row, id) < 0) return -infinity;
    return transformed(row, scores_(row, id));
  }

  /// log_z of a row without one of its ids, from the scores themselves: exact however much of the row's mass the id
  /// has, where log_z + log(1 - p) cancels. -inf if nothing is left, NaN if a score is NaN or +inf. Cost: one
  /// exponential in double a score.
  double log_z_without(index row, index id) const {
    double maximum = -infinity, sum = 0;
    for (index k = 0; k < width(row); ++k) {
      if (id_of(row, k) == id) continue;
      const double z = transformed(row, scores_(row, id_of(row, k)));
      if (!(z < infinity)) return not_a_number;
      maximum = z > maximum ? z : maximum;
    }
    if (maximum == -infinity) return -infinity;
    for (index k = 0; k < width(row); ++k)
      if (id_of(row, k) != id) sum += __builtin_exp(transformed(row, scores_(row, id_of(row, k))) - maximum);
    return maximum + __builtin_log(sum);
  }

  /// Statistics of rows [begin, end), at most a tile, where is_active says so (null: all). With a fused pass the
  /// caller takes the gradient of these rows next, with the same pass and scratch, and calls `flush` after the last
  /// row of the pass: the powers of a lone row may be kept, and its gradient be written while the next row is read.
  void statistics(index begin, index end, const std::uint8_t* is_active, row_statistics* out, scratch& work,
                  fused_pass* pass = nullptr) const {
    if (pass) pass->saved_row = -1;
    if (is_tiled_) {
      for (index k = 0; k < end - begin; ++k) work.sums[k] = {};
      kernels_.columns_of[with_extras_](work.sums, scores_.row(begin), end - begin, scores_.vocab, scores_.vocab_stride,
                                        row_multiplier<A>(multiplier(begin)));
      for (index row = begin; row < end; ++row)
        if (!is_active || is_active[row]) out[row] = finish(row, work.sums[row - begin].totals());
      return;
    }
    if ((!pass || !can_save()) && !is_gathered_) {
      for (index row = begin; row < end; ++row) {
        if (is_active && !is_active[row]) continue;
        // Apart from what is kept of it: sums that the row before pushed out of the caches would have to be waited for.
        row_sums<A> sums;
        kernels_.rows_of[with_extras_](sums, scores_.row(row), scores_.vocab, 0, row_multiplier<A>(multiplier(row)));
        work.totals[row - begin] = sums.totals();
      }
      for (index row = begin; row < end; ++row)
        if (!is_active || is_active[row]) out[row] = finish(row, work.totals[row - begin]);
      return;
    }
    for (index row = begin; row < end; ++row) {
      if (is_active && !is_active[row]) continue;
      row_sums<A> sums;
      if (pass && can_save()) {
        const int pending = pass->pending.x == nullptr ? 0 : 1 + pass->pending.coefficients.terms;
        pass->side ^= 1;
        kernels_.save_powers[pending](sums, scores_.row(row), scores_.vocab, row_multiplier<A>(multiplier(row)),
                                      saved_in(work, pass->side), pass->pending);
        if (pending != 0) pass->finish_pending();
        pass->saved_row = row;
      } else if (!is_gathered_) {
        kernels_.rows_of[with_extras_](sums, scores_.row(row), scores_.vocab, 0, row_multiplier<A>(multiplier(row)));
      } else {
        const index size = width(row);
        work.values.resize(static_cast<std::size_t>(row_block));
        for (index first = 0; first < size; first += row_block) {
          const index count = size - first < row_block ? size - first : row_block;
          read_block(row, first, count, work.values.data());
          arithmetic_kernels_.rows_of[with_extras_](sums, work.values.data(), count, first,
                                                    row_multiplier<A>(block_multiplier(row)));
        }
      }
      out[row] = finish(row, sums.totals());
    }
  }

  /// Gradient of rows [begin, end), at most a tile, into `out`, which may be the scores' own memory. `targets(row, f)`
  /// calls f(score_adjoint) for each target of the row. Rows that are not active, and rows with nothing to pass back,
  /// become zeros without being read. pass: the one whose statistics of these rows have just been taken, or null.
  template <class Targets>
  void gradient(index begin, index end, const std::uint8_t* is_active, const row_statistics* rows,
                const row_adjoint* adjoints, const Targets& targets, score_view<T> out, bool is_streaming,
                scratch& work, fused_pass* pass = nullptr) const {
    if (is_tiled_ && tile_gradient(begin, end, is_active, rows, adjoints, targets, out, work)) return;
    for (index row = begin; row < end; ++row) {
      const bool is_silent = (is_active && !is_active[row]) || (adjoints[row].is_zero() && has_no_target(row, targets));
      if (is_silent) {
        write_zeros(row, out);
        continue;
      }
      target_entries entries(*this, row, rows[row], adjoints[row], targets);
      if (rows[row].needs_reference_path) {
        write_reference(row, rows[row], adjoints[row], out);
      } else if (pass && pass->saved_row == row && out.vocab_stride == 1 && adjoints[row].log_sum_squares == 0) {
        const row_gradient<A> g = saved_coefficients(rows[row], adjoints[row], multiplier(row));
        const saved_row<T, A> saved{scores_.row(row), out.row(row), saved_in(work, pass->side), g,
                                    rows[row].log_z * log2_e};
        constexpr std::uintptr_t line = 64;
        if (is_streaming && kernels_.save_powers[1 + g.terms] &&
            reinterpret_cast<std::uintptr_t>(saved.out) % line == 0) {
          pass->pending = saved;
          pass->pending_entries.emplace(std::move(entries));
          pass->pending_out = out;
          continue;
        }
        kernels_.saved_gradient_of[g.terms](saved, scores_.vocab, is_streaming);
      } else if (!is_gathered_ && out.vocab_stride == 1) {
        const row_gradient<A> g = coefficients(rows[row], adjoints[row], multiplier(row), multiplier(row));
        kernels_.gradient_rows_of[g.terms](scores_.row(row), out.row(row), scores_.vocab, g, is_streaming,
                                           following(row, is_active));
      } else {
        write_gathered(row, rows[row], adjoints[row], out, work);
      }
      entries.write(out);
    }
  }

  /// Writes the gradient that still waits for a next row.
  void flush(fused_pass& pass) const {
    if (pass.pending.x == nullptr) return;
    kernels_.saved_gradient_of[pass.pending.coefficients.terms](pass.pending, scores_.vocab, true);
    pass.finish_pending();
  }

 private:
  /// Longest row whose powers are kept between the passes: beyond it they would leave the cache.
  static constexpr index most_saved = index{1} << 18;

  /// As many rows as so many bytes hold, of those that are read in place one by one.
  index rows_within(index bytes) const {
    if (is_tiled_ || is_gathered_) return tile();
    const index fitting = bytes / (scores_.vocab * static_cast<index>(sizeof(T)) + 1);
    return fitting < 1 ? 1 : fitting > tile_rows ? tile_rows : fitting;
  }
  /// The row in this row's place of the next tile, which is read first of all that follows; null if it is not read.
  const T* following(index row, const std::uint8_t* is_active) const {
    const index next = row + gradient_tile();
    return next < scores_.rows() && (!is_active || is_active[next]) ? scores_.row(next) : nullptr;
  }
  bool can_save() const {
    return !is_gathered_ && !with_extras_ && scores_.vocab <= most_saved && kernels_.save_powers[0] != nullptr;
  }

  saved_powers<A> saved_in(scratch& work, int side) const {
    auto& powers = work.powers[side];
    auto& references = work.power_references[side];
    if (powers.size() < static_cast<std::size_t>(scores_.vocab)) {
      powers.resize(static_cast<std::size_t>(scores_.vocab));
      references.resize(static_cast<std::size_t>(scores_.vocab / least_saved_block + 2));
    }
    return {powers.data(), references.data()};
  }

  /// The entries at the targets, taken in double from the scores before the row is overwritten, each rounded once.
  class target_entries {
   public:
    template <class Targets>
    target_entries(const row_head& head, index row, const row_statistics& statistics, const row_adjoint& adjoint,
                   const Targets& targets)
        : row_(row) {
      targets(row, [&](const score_adjoint& target) {
        const double z = head.score(row, target.id);
        if (z == -infinity) return;  // outside the support: a constant
        const double slope = head.slope(row, head.scores_(row, target.id));
        for (index k = 0; k < size(); ++k)
          if (at(k).id == target.id) {
            at(k).value += slope * target.value;
            return;
          }
        const double common = adjoint.is_zero() ? 0 : reference_gradient(z, target.id, statistics, adjoint);
        push({target.id, slope * (common + target.value)});
      });
    }
    void write(score_view<T> out) const {
      for (index k = 0; k < size(); ++k) {
        const score_adjoint& entry = at(k);
        out(row_, entry.id) = T(static_cast<A>(entry.value));
      }
    }

   private:
    // One target a row is the rule; more are kept beside it.
    index size() const { return count_; }
    score_adjoint& at(index k) { return k == 0 ? first_ : more_[static_cast<std::size_t>(k - 1)]; }
    const score_adjoint& at(index k) const { return k == 0 ? first_ : more_[static_cast<std::size_t>(k - 1)]; }
    void push(const score_adjoint& entry) {
      if (count_ == 0)
        first_ = entry;
      else
        more_.push_back(entry);
      ++count_;
    }

    index row_, count_ = 0;
    score_adjoint first_{};
    std::vector<score_adjoint> more_;
  };

  double temperature(index row) const {
    return transform_.temperatures.is_given() ? transform_.temperatures[row] : transform_.temperature;
  }
  double multiplier(index row) const { return transform_.logit_scale / temperature(row); }
  /// Factor that remains once a block has been read: the soft cap has taken the scale with it.
  double block_multiplier(index row) const { return transform_.soft_cap != 0 ? 1 / temperature(row) : multiplier(row); }

  double transformed(index row, T x) const {
    const double value = static_cast<double>(static_cast<A>(x));
    if (transform_.soft_cap == 0) return multiplier(row) * value;
    if (value == -infinity) return value;
    return transform_.soft_cap * __builtin_tanh(transform_.logit_scale * value / transform_.soft_cap) /
           temperature(row);
  }
  double slope(index row, T x) const {
    if (transform_.soft_cap == 0) return multiplier(row);
    const double t =
        __builtin_tanh(transform_.logit_scale * static_cast<double>(static_cast<A>(x)) / transform_.soft_cap);
    return multiplier(row) * (1 - t * t);
  }

  /// Number of scores of the row that count, and the id of the k-th.
  index width(index row) const {
    return kept_.offsets.is_given() ? kept_.offsets[row + 1] - kept_.offsets[row] : scores_.vocab;
  }
  index id_of(index row, index k) const { return kept_.offsets.is_given() ? kept_.ids[kept_.offsets[row] + k] : k; }
  index kept_position(index row, index id) const {
    for (index k = 0; k < width(row); ++k)
      if (id_of(row, k) == id) return k;
    return -1;
  }

  void read_block(index row, index first, index count, A* values) const {
    const T* x = scores_.row(row);
    if (kept_.offsets.is_given())
      for (index k = 0; k < count; ++k) values[k] = static_cast<A>(x[id_of(row, first + k) * scores_.vocab_stride]);
    else
      for (index k = 0; k < count; ++k) values[k] = static_cast<A>(x[(first + k) * scores_.vocab_stride]);
    if (transform_.soft_cap != 0)
      arithmetic_kernels_.soft_cap(values, values, count, static_cast<A>(transform_.logit_scale),
                                   static_cast<A>(transform_.soft_cap));
  }

  /// Whether the factor of a row is so far from 1 that the kernels' numbers could leave their range.
  bool is_extreme(index row) const {
    constexpr double most = sizeof(A) == 4 ? 0x1p90 : 0x1p900;
    const double factor = multiplier(row);
    return factor > most || factor < 1 / most;
  }

  row_statistics finish(index row, const row_totals& sums) const {
    const index size = width(row);
    const auto z = [&](index k) { return transformed(row, scores_(row, id_of(row, k))); };
    row_statistics result;
    if (sums.needs_reference_path || !sums.has_reference || !(__builtin_fabs(sums.reference) < 0x1p20) ||
        is_extreme(row)) {
      result = reference_statistics(z, size);
    } else {
      const double log2_sum = __builtin_log2(sums.sum);
      result.log_z = ln_2 * (sums.reference + log2_sum);
      result.entropy = ln_2 * (log2_sum - sums.weighted / sums.sum);
      // What scores at -inf add to the sums is of this size; the entropy of a certain row is exactly 0.
      if (result.entropy < 1e-30) result.entropy = 0;
      if (with_extras_) {
        result.log_sum_squares = ln_2 * (__builtin_log2(sums.squares) - 2 * log2_sum);
        result.mean_score = block_multiplier(row) * sums.plain / static_cast<double>(size);
        result.arg_max = sums.arg_max;
        result.max_score = z(sums.arg_max);
      }
    }
    if (result.arg_max >= 0) result.arg_max = size == 0 ? -1 : id_of(row, result.arg_max);
    return result;
  }

  /// As below, for powers that carry their own reference.
  row_gradient<A> saved_coefficients(const row_statistics& row, const row_adjoint& g, double multiplier) const {
    row_gradient<A> result{};
    const A center = static_cast<A>(row.log_z / multiplier);
    double constant = g.log_z;
    if (g.entropy != 0) constant -= g.entropy * (multiplier * static_cast<double>(center) - row.log_z + row.entropy);
    result.center = center;
    result.lowest = static_cast<A>((row.log_z * log2_e - (sizeof(A) == 4 ? 127 : 1023)) / (multiplier * log2_e));
    result.constant = static_cast<A>(multiplier * constant);
    result.linear = static_cast<A>(multiplier * -g.entropy * multiplier);
    result.terms = g.entropy != 0 ? 1 : 0;
    return result;
  }

  /// `multiplier` takes the block's values to z; `slope` takes the gradient of z to that of the scores.
  row_gradient<A> coefficients(const row_statistics& row, const row_adjoint& g, double multiplier, double slope) const {
    const double log2_z = row.log_z * log2_e, reference = __builtin_rint(log2_z);
    const double scale = __builtin_exp2(reference - log2_z);
    const A center = static_cast<A>(row.log_z / multiplier);
    row_gradient<A> result;
    result.multiplier = static_cast<A>(multiplier * log2_e);
    result.reference = static_cast<A>(reference);
    result.lowest = static_cast<A>((reference - (sizeof(A) == 4 ? 127 : 1023)) / (multiplier * log2_e));
    result.center = center;
    // The rounding of the multiplier shifts every exponent by about the same amount; the scale takes it back.
    const double shift = static_cast<double>(center) * (multiplier * log2_e - static_cast<double>(result.multiplier));
    const double p = scale * __builtin_exp2(shift);
    double constant = g.log_z;
    if (g.entropy != 0) constant -= g.entropy * (multiplier * static_cast<double>(center) - row.log_z + row.entropy);
    if (g.log_sum_squares != 0) constant -= 2 * g.log_sum_squares;
    result.constant = static_cast<A>(slope * p * constant);
    result.linear = static_cast<A>(slope * p * -g.entropy * multiplier);
    result.quadratic =
        g.log_sum_squares == 0
            ? A(0)
            : static_cast<A>(slope * p * p * 2 * g.log_sum_squares * __builtin_exp(-row.log_sum_squares));
    result.terms = g.log_sum_squares != 0 ? 2 : g.entropy != 0 ? 1 : 0;
    return result;
  }

  template <class Targets>
  static bool has_no_target(index row, const Targets& targets) {
    bool is_empty = true;
    targets(row, [&](const score_adjoint& target) { is_empty &= target.value == 0; });
    return is_empty;
  }

  void write_zeros(index row, score_view<T> out) const {
    T* to = out.row(row);
    for (index j = 0; j < out.vocab; ++j) to[j * out.vocab_stride] = T(A(0));
  }

  void write_reference(index row, const row_statistics& statistics, const row_adjoint& adjoint,
                       score_view<T> out) const {
    std::vector<double> gradient(static_cast<std::size_t>(width(row)));
    for (index k = 0; k < width(row); ++k) {
      const T x = scores_(row, id_of(row, k));
      const double g = reference_gradient(transformed(row, x), id_of(row, k), statistics, adjoint);
      gradient[static_cast<std::size_t>(k)] = g == 0 ? 0 : g * slope(row, x);
    }
    if (kept_.offsets.is_given()) write_zeros(row, out);
    for (index k = 0; k < width(row); ++k)
      out(row, id_of(row, k)) = T(static_cast<A>(gradient[static_cast<std::size_t>(k)]));
  }

  void write_gathered(index row, const row_statistics& statistics, const row_adjoint& adjoint, score_view<T> out,
                      scratch& work) const {
    const index size = width(row);
    const double factor = block_multiplier(row);
    const row_gradient<A> g =
        coefficients(statistics, adjoint, factor, transform_.soft_cap != 0 ? 1 / temperature(row) : factor);
    const bool is_kept = kept_.offsets.is_given();
    const index block = is_kept ? size : row_block;
    work.values.resize(static_cast<std::size_t>(block > row_block ? block : row_block));
    work.gradients.resize(work.values.size());
    T* to = out.row(row);
    for (index first = 0; first < size; first += block) {
      const index count = size - first < block ? size - first : block;
      read_block(row, first, count, work.values.data());
      arithmetic_kernels_.gradient_rows_of[g.terms](work.values.data(), work.gradients.data(), count, g, false,
                                                    nullptr);
      if (transform_.soft_cap != 0)
        arithmetic_kernels_.soft_cap_chain(work.values.data(), work.gradients.data(), work.gradients.data(), count,
                                           static_cast<A>(transform_.logit_scale), static_cast<A>(transform_.soft_cap));
      // In place, the zeros of the ids outside must not come before the kept scores have been read.
      if (is_kept) write_zeros(row, out);
      for (index k = 0; k < count; ++k)
        to[id_of(row, first + k) * out.vocab_stride] = T(work.gradients[static_cast<std::size_t>(k)]);
    }
    if (is_kept && size == 0) write_zeros(row, out);
  }

  /// Rows side by side; false if the output's layout needs the way row by row. What becomes of a row never depends on
  /// its neighbours: rows that the kernel must not decide are written after it.
  template <class Targets>
  bool tile_gradient(index begin, index end, const std::uint8_t* is_active, const row_statistics* rows,
                     const row_adjoint* adjoints, const Targets& targets, score_view<T> out, scratch& work) const {
    if (out.token_stride != 1 || out.batch != 1) return false;
    work.entries.clear();
    work.special_rows.clear();
    for (index row = begin; row < end; ++row) {
      work.coefficients[row - begin] = {};
      const bool is_silent = (is_active && !is_active[row]) || (adjoints[row].is_zero() && has_no_target(row, targets));
      if (is_silent) continue;
      work.entries.emplace_back(*this, row, rows[row], adjoints[row], targets);
      if (!rows[row].needs_reference_path) {
        work.coefficients[row - begin] = coefficients(rows[row], adjoints[row], multiplier(row), multiplier(row));
      } else {
        for (index j = 0; j < scores_.vocab; ++j) {
          const double g = reference_gradient(transformed(row, scores_(row, j)), j, rows[row], adjoints[row]);
          work.special_rows.push_back(g == 0 ? 0 : g * multiplier(row));
        }
      }
    }
    kernels_.gradient_columns(scores_.row(begin), out.row(begin), end - begin, scores_.vocab, scores_.vocab_stride,
                              out.vocab_stride, work.coefficients);
    std::size_t next = 0;
    for (index row = begin; row < end; ++row) {
      const bool is_silent = (is_active && !is_active[row]) || (adjoints[row].is_zero() && has_no_target(row, targets));
      if (is_silent)
        write_zeros(row, out);
      else if (rows[row].needs_reference_path)
        for (index j = 0; j < scores_.vocab; ++j) out(row, j) = T(static_cast<A>(work.special_rows[next++]));
    }
    for (const target_entries& entry : work.entries) entry.write(out);
    return true;
  }

 public:
  /// Scratch that one thread needs; reused between calls.
  struct scratch {
    std::vector<A> values, gradients;
    // Two sides: the powers of the pending row, and those of the row that is being read.
    std::vector<A, aligned_allocator<A>> powers[2];
    std::vector<double> power_references[2];
    row_sums<A> sums[tile_rows];
    row_totals totals[tile_rows];
    row_gradient<A> coefficients[tile_rows];
    std::vector<target_entries> entries;
    std::vector<double> special_rows;
  };

  /// What a run of rows, taken one after the other for statistics and gradient, holds from one call to the next: whose
  /// powers are kept in the scratch, and the gradient that is written while the next row is read. It lives as long as
  /// that run. A run that ends by an exception takes it along, and no other run can see it.
  class fused_pass {
   public:
    fused_pass() = default;
    fused_pass(const fused_pass&) = delete;
    fused_pass& operator=(const fused_pass&) = delete;

   private:
    friend row_head;
    void finish_pending() {
      pending_entries->write(pending_out);
      pending_entries.reset();
      pending = {};
    }

    int side = 0;
    index saved_row = -1;
    emend::detail::saved_row<T, A> pending{};
    std::optional<target_entries> pending_entries;
    score_view<T> pending_out;
  };

 private:
  score_view<const T> scores_;
  const score_transform& transform_;
  const kept_ids& kept_;
  const row_kernels<T>& kernels_;
  const row_kernels<A>& arithmetic_kernels_;
  bool with_extras_, is_gathered_, is_tiled_;
};

}  // namespace emend::detail
