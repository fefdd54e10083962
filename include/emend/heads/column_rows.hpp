#pragma once

#include <emend/heads/gathered_rows.hpp>

namespace emend::detail {

/// Rows whose tokens are contiguous, as in a column-major matrix: a few cache lines of them side by side.
template <class T>
class column_rows {
  using A = arithmetic<T>;

 public:
  /// Memory that one thread needs; reused between calls.
  struct scratch {
    row_sums<A> sums[row_tile];
    row_gradient<A> coefficients[row_tile];
    std::vector<target_entries<T>> entries;
    std::vector<double> reference_rows;
    typename gathered_rows<T>::scratch gathered;
  };

  column_rows(const score_rows<T>& rows, const head_options& options)
      : rows_(rows), into_any_output_(rows, options), kernels_(kernels_for<T>(options.instructions)) {}

  /// Whether scores lie like this. A single row of column-major scores, too, whose stride along the vocabulary is 1:
  /// its bits are those of the row in a batch.
  static bool takes(const score_rows<T>& rows) {
    const score_view<const T>& x = rows.scores();
    return !rows.has_kept_ids() && !rows.has_soft_cap() && !rows.has_temperatures() && x.vocab > 1 &&
           x.token_stride == 1 && x.batch == 1;
  }

  index tile() const { return row_tile; }
  index statistics_tile() const { return row_tile; }
  index gradient_tile() const { return row_tile; }

  void statistics(index begin, index end, const std::uint8_t* is_active, row_statistics* out, scratch& work) const {
    for (index k = 0; k < end - begin; ++k) work.sums[k] = {};
    const score_view<const T>& x = rows_.scores();
    kernels_.columns_of[rows_.with_extras()](work.sums, x.row(begin), end - begin, x.vocab, x.vocab_stride,
                                             row_multiplier<A>(rows_.multiplier(begin)));
    for (index row = begin; row < end; ++row)
      if (!is_active || is_active[row]) out[row] = rows_.statistics(row, work.sums[row - begin].totals());
  }

  /// What becomes of a row never depends on its neighbours: rows that the kernel does not take are written after it.
  template <class Targets>
  void gradient(index begin, index end, const gradient_request<T, Targets>& request, scratch& work) const {
    const score_view<T>& out = request.out;
    if (out.token_stride != 1 || out.batch != 1) return into_any_output_.gradient(begin, end, request, work.gathered);
    work.entries.clear();
    work.reference_rows.clear();
    for (index row = begin; row < end; ++row) {
      row_gradient<A>& coefficients = work.coefficients[row - begin] = {};
      if (request.is_silent(row)) continue;
      const row_statistics& statistics = request.statistics[row];
      work.entries.push_back(request.entries(rows_, row));
      if (!statistics.needs_reference_path) {
        const double factor = rows_.multiplier(row);
        coefficients = row_coefficients<A>(statistics, request.adjoints[row], factor, factor);
      } else {
        for (index j = 0; j < out.vocab; ++j) {
          const double g = reference_gradient(rows_.z_inside(row, j), j, statistics, request.adjoints[row]);
          work.reference_rows.push_back(g == 0 ? 0 : g * rows_.multiplier(row));
        }
      }
    }
    const score_view<const T>& x = rows_.scores();
    kernels_.gradient_columns(x.row(begin), out.row(begin), end - begin, x.vocab, x.vocab_stride, out.vocab_stride,
                              work.coefficients);
    std::size_t next = 0;
    for (index row = begin; row < end; ++row) {
      if (request.is_silent(row))
        write_zeros(row, out);
      else if (request.statistics[row].needs_reference_path)
        for (index j = 0; j < out.vocab; ++j) out(row, j) = T(static_cast<A>(work.reference_rows[next++]));
    }
    for (const target_entries<T>& entry : work.entries) entry.write(out);
  }

 private:
  score_rows<T> rows_;
  gathered_rows<T> into_any_output_;
  const row_kernels<T>& kernels_;
};

}  // namespace emend::detail
