#pragma once

#include <emend/base/aligned_allocator.hpp>
#include <emend/heads/gathered_rows.hpp>

#include <optional>

namespace emend::detail {

/// Rows whose vocabulary is contiguous, read in place one by one.
template <class T>
class contiguous_rows {
  using A = arithmetic<T>;

 public:
  /// Memory that one thread needs; reused between calls.
  struct scratch {
    // Two sides: the powers of the pending row, and those of the row that is being read.
    std::vector<A, aligned_allocator<A>> powers[2];
    std::vector<double> power_references[2];
    row_totals totals[row_tile];
    typename gathered_rows<T>::scratch gathered;
  };
  class fused_pass;

  contiguous_rows(const score_rows<T>& rows, const head_options& options)
      : rows_(rows), into_any_output_(rows, options), kernels_(kernels_for<T>(options.instructions)) {}

  static bool takes(const score_rows<T>& rows) {
    return !rows.has_kept_ids() && !rows.has_soft_cap() && rows.scores().vocab_stride == 1;
  }

  index tile() const { return 1; }
  /// Long rows push all else out of the nearest caches, and what is done between them, little as it is, would wait for
  /// its data each time.
  index statistics_tile() const { return rows_within(index{8} << 20); }
  index gradient_tile() const { return can_save() ? tile() : rows_within(index{512} << 10); }

  /// With a pass whose rows can be kept, the powers of each row stay in the scratch, and a pending gradient is written
  /// while the row is read.
  void statistics(index begin, index end, const std::uint8_t* is_active, row_statistics* out, scratch& work,
                  fused_pass* pass) const {
    if (pass) pass->saved_row = -1;
    if (pass && can_save()) {
      for (index row = begin; row < end; ++row)
        if (!is_active || is_active[row]) out[row] = rows_.statistics(row, saved_totals(row, work, *pass));
      return;
    }
    for (index row = begin; row < end; ++row) {
      if (is_active && !is_active[row]) continue;
      // Apart from what is kept of it: sums that the row before pushed out of the caches would have to be waited for.
      row_sums<A> sums;
      kernels_.rows_of[rows_.with_extras()](sums, rows_.data(row), rows_.vocab(), 0,
                                            row_multiplier<A>(rows_.multiplier(row)));
      work.totals[row - begin] = sums.totals();
    }
    for (index row = begin; row < end; ++row)
      if (!is_active || is_active[row]) out[row] = rows_.statistics(row, work.totals[row - begin]);
  }

  template <class Targets>
  void gradient(index begin, index end, const gradient_request<T, Targets>& request, scratch& work,
                fused_pass* pass) const {
    const score_view<T>& out = request.out;
    write_row_gradients(rows_, begin, end, request, [&](index row, target_entries<T>& entries) {
      const row_statistics& statistics = request.statistics[row];
      const row_adjoint& adjoint = request.adjoints[row];
      if (out.vocab_stride != 1) {
        into_any_output_.write_row(row, statistics, adjoint, out, work.gathered);
      } else if (pass && pass->saved_row == row && adjoint.log_sum_squares == 0) {
        const double factor = rows_.multiplier(row);
        const saved_row<T, A> saved{rows_.data(row), out.row(row), saved_in(work, pass->side),
                                    saved_coefficients<A>(statistics, adjoint, factor), statistics.log_z * log2_e};
        if (pass->begin_pending(*this, saved, request.is_streaming, entries, out)) return false;
        kernels_.saved_gradient_of[saved.coefficients.terms](saved, rows_.vocab(), request.is_streaming);
      } else {
        const double factor = rows_.multiplier(row);
        const row_gradient<A> g = row_coefficients<A>(statistics, adjoint, factor, factor);
        kernels_.gradient_rows_of[g.terms](rows_.data(row), out.row(row), rows_.vocab(), g, request.is_streaming,
                                           following(row, request.is_active));
      }
      return true;
    });
  }

  /// Writes the gradient that still waits for a next row.
  void flush(fused_pass& pass) const {
    if (pass.pending.x == nullptr) return;
    kernels_.saved_gradient_of[pass.pending.coefficients.terms](pass.pending, rows_.vocab(), true);
    pass.finish_pending();
  }

 private:
  /// Longest row whose powers are kept between the passes: beyond it they would leave the cache.
  static constexpr index most_saved = index{1} << 18;

  /// As many rows as so many bytes hold.
  index rows_within(index bytes) const {
    const index fitting = bytes / (rows_.vocab() * static_cast<index>(sizeof(T)) + 1);
    return fitting < 1 ? 1 : fitting > row_tile ? row_tile : fitting;
  }
  /// The row in this row's place of the next tile, which is read first of all that follows; null if it is not read.
  const T* following(index row, const std::uint8_t* is_active) const {
    const index next = row + gradient_tile();
    return next < rows_.count() && (!is_active || is_active[next]) ? rows_.data(next) : nullptr;
  }
  bool can_save() const {
    return !rows_.with_extras() && rows_.vocab() <= most_saved && kernels_.save_powers[0] != nullptr;
  }

  row_totals saved_totals(index row, scratch& work, fused_pass& pass) const {
    row_sums<A> sums;
    const int pending = pass.pending.x == nullptr ? 0 : 1 + pass.pending.coefficients.terms;
    pass.side ^= 1;
    kernels_.save_powers[pending](sums, rows_.data(row), rows_.vocab(), row_multiplier<A>(rows_.multiplier(row)),
                                  saved_in(work, pass.side), pass.pending);
    if (pending != 0) pass.finish_pending();
    pass.saved_row = row;
    return sums.totals();
  }
  saved_powers<A> saved_in(scratch& work, int side) const {
    auto& powers = work.powers[side];
    auto& references = work.power_references[side];
    if (powers.size() < static_cast<std::size_t>(rows_.vocab())) {
      powers.resize(static_cast<std::size_t>(rows_.vocab()));
      references.resize(static_cast<std::size_t>(rows_.vocab() / least_saved_block + 2));
    }
    return {powers.data(), references.data()};
  }

 public:
  /// What a run of rows, taken one after the other for statistics and gradient, holds from one call to the next: whose
  /// powers are kept in the scratch, and the gradient that is written while the next row is read. It lives as long as
  /// that run. A run that ends by an exception takes it along, and no other run can see it.
  class fused_pass {
   public:
    fused_pass() = default;
    fused_pass(const fused_pass&) = delete;
    fused_pass& operator=(const fused_pass&) = delete;

   private:
    friend contiguous_rows;

    /// Leaves a row's gradient to the pass over the next row, if it goes past the caches and starts on a cache line.
    bool begin_pending(const contiguous_rows& rows, const emend::detail::saved_row<T, A>& saved, bool is_streaming,
                       target_entries<T>& entries, const score_view<T>& out) {
      constexpr std::uintptr_t line = 64;
      if (!is_streaming || !rows.kernels_.save_powers[1 + saved.coefficients.terms] ||
          reinterpret_cast<std::uintptr_t>(saved.out) % line != 0)
        return false;
      pending = saved;
      pending_entries.emplace(std::move(entries));
      pending_out = out;
      return true;
    }
    void finish_pending() {
      pending_entries->write(pending_out);
      pending_entries.reset();
      pending = {};
    }

    int side = 0;
    index saved_row = -1;
    emend::detail::saved_row<T, A> pending{};
    std::optional<target_entries<T>> pending_entries;
    score_view<T> pending_out;
  };

 private:
  score_rows<T> rows_;
  gathered_rows<T> into_any_output_;
  const row_kernels<T>& kernels_;
};

}  // namespace emend::detail
