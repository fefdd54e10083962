#pragma once

#include <emend/heads/kernels/kernels.hpp>
#include <emend/heads/row_coefficients.hpp>
#include <emend/heads/row_gradients.hpp>

namespace emend::detail {

/// Rows of any layout, read into a buffer block by block: kept ids, a soft cap, any stride along the vocabulary.
template <class T>
class gathered_rows {
  using A = arithmetic<T>;

 public:
  /// Memory that one thread needs; reused between calls.
  struct scratch {
    std::vector<A> values, gradients;
  };

  gathered_rows(const score_rows<T>& rows, const head_options& options)
      : rows_(rows), kernels_(kernels_for<A>(options.instructions)) {}

  index tile() const { return 1; }
  index statistics_tile() const { return 1; }
  index gradient_tile() const { return 1; }

  void statistics(index begin, index end, const std::uint8_t* is_active, row_statistics* out, scratch& work) const {
    work.values.resize(static_cast<std::size_t>(row_block));
    for (index row = begin; row < end; ++row) {
      if (is_active && !is_active[row]) continue;
      row_sums<A> sums;
      const index size = rows_.width(row);
      for (index first = 0; first < size; first += row_block) {
        const index count = size - first < row_block ? size - first : row_block;
        read_block(row, first, count, work.values.data());
        kernels_.rows_of[rows_.with_extras()](sums, work.values.data(), count, first,
                                              row_multiplier<A>(rows_.block_multiplier(row)));
      }
      out[row] = rows_.statistics(row, sums.totals());
    }
  }

  template <class Targets>
  void gradient(index begin, index end, const gradient_request<T, Targets>& request, scratch& work) const {
    write_row_gradients(rows_, begin, end, request, [&](index row, const target_entries<T>&) {
      write_row(row, request.statistics[row], request.adjoints[row], request.out, work);
      return true;
    });
  }

  /// The gradient of one row, without its targets.
  void write_row(index row, const row_statistics& statistics, const row_adjoint& adjoint, score_view<T> out,
                 scratch& work) const {
    const index size = rows_.width(row);
    const double factor = rows_.block_multiplier(row);
    const row_gradient<A> g = row_coefficients<A>(statistics, adjoint, factor, factor);
    // In place, the zeros of the ids outside must not come before the kept scores have been read.
    const bool is_kept = rows_.has_kept_ids();
    const index block = is_kept ? size : row_block;
    work.values.resize(static_cast<std::size_t>(block > row_block ? block : row_block));
    work.gradients.resize(work.values.size());
    T* to = out.row(row);
    for (index first = 0; first < size; first += block) {
      const index count = size - first < block ? size - first : block;
      read_block(row, first, count, work.values.data());
      kernels_.gradient_rows_of[g.terms](work.values.data(), work.gradients.data(), count, g, false, nullptr);
      if (rows_.has_soft_cap())
        kernels_.soft_cap_chain(work.values.data(), work.gradients.data(), work.gradients.data(), count,
                                static_cast<A>(rows_.transform().logit_scale),
                                static_cast<A>(rows_.transform().soft_cap));
      if (is_kept) write_zeros(row, out);
      for (index k = 0; k < count; ++k)
        to[rows_.id_of(row, first + k) * out.vocab_stride] = T(work.gradients[static_cast<std::size_t>(k)]);
    }
    if (is_kept && size == 0) write_zeros(row, out);
  }

 private:
  void read_block(index row, index first, index count, A* values) const {
    const T* x = rows_.data(row);
    const index stride = rows_.scores().vocab_stride;
    if (rows_.has_kept_ids())
      for (index k = 0; k < count; ++k) values[k] = static_cast<A>(x[rows_.id_of(row, first + k) * stride]);
    else
      for (index k = 0; k < count; ++k) values[k] = static_cast<A>(x[(first + k) * stride]);
    if (rows_.has_soft_cap())
      kernels_.soft_cap(values, values, count, static_cast<A>(rows_.transform().logit_scale),
                        static_cast<A>(rows_.transform().soft_cap));
  }

  score_rows<T> rows_;
  const row_kernels<A>& kernels_;
};

}  // namespace emend::detail
