#pragma once

#include <emend/heads/column_rows.hpp>
#include <emend/heads/contiguous_rows.hpp>

#include <variant>

namespace emend::detail {

/// Scores in memory, row by row: statistics forward, gradient backward. With its layouts and the kernels, the only code
/// that knows the vocabulary axis. Chooses once how the rows lie.
template <class T>
class row_head {
 public:
  /// Memory that one thread needs; reused between calls.
  struct scratch {
    typename contiguous_rows<T>::scratch contiguous;
    typename column_rows<T>::scratch columns;
    typename gathered_rows<T>::scratch gathered;
  };
  using fused_pass = typename contiguous_rows<T>::fused_pass;

  row_head(score_view<const T> scores, const head_options& options)
      : rows_(scores, options), layout_(layout_of(rows_, options)) {}

  index rows() const { return rows_.count(); }
  /// How many rows one call should take together, at most `row_tile`: one where a row is contiguous, a few cache lines
  /// where tokens are; the same for statistics alone and for those and the gradient, where nothing is kept from a row
  /// to the next.
  index tile() const {
    return std::visit([](const auto& layout) { return layout.tile(); }, layout_);
  }
  index statistics_tile() const {
    return std::visit([](const auto& layout) { return layout.statistics_tile(); }, layout_);
  }
  index gradient_tile() const {
    return std::visit([](const auto& layout) { return layout.gradient_tile(); }, layout_);
  }

  /// z of one id of a row, the gradient there, and log_z of the row without an id: see score_rows.
  double score(index row, index id) const { return rows_.z(row, id); }
  double entry(index row, index id, double z, const row_statistics& statistics, const row_adjoint& adjoint,
               double score_adjoint) const {
    return rows_.entry(row, id, z, statistics, adjoint, score_adjoint);
  }
  double log_z_without(index row, index id) const { return rows_.log_z_without(row, id); }

  /// Statistics of rows [begin, end), at most a tile, where is_active says so (null: all). With a fused pass the
  /// caller takes the gradient of these rows next, with the same pass and scratch, and calls `flush` after the last
  /// row of the pass: the powers of a lone row may be kept, and its gradient be written while the next row is read.
  void statistics(index begin, index end, const std::uint8_t* is_active, row_statistics* out, scratch& work,
                  fused_pass* pass = nullptr) const {
    if (const auto* contiguous = std::get_if<contiguous_rows<T>>(&layout_))
      contiguous->statistics(begin, end, is_active, out, work.contiguous, pass);
    else if (const auto* columns = std::get_if<column_rows<T>>(&layout_))
      columns->statistics(begin, end, is_active, out, work.columns);
    else
      std::get_if<gathered_rows<T>>(&layout_)->statistics(begin, end, is_active, out, work.gathered);
  }

  /// Gradient of rows [begin, end), at most a tile. Rows that are not active, and rows with nothing to pass back,
  /// become zeros without being read. pass: the one whose statistics of these rows have just been taken, or null.
  template <class Targets>
  void gradient(index begin, index end, const gradient_request<T, Targets>& request, scratch& work,
                fused_pass* pass = nullptr) const {
    if (const auto* contiguous = std::get_if<contiguous_rows<T>>(&layout_))
      contiguous->gradient(begin, end, request, work.contiguous, pass);
    else if (const auto* columns = std::get_if<column_rows<T>>(&layout_))
      columns->gradient(begin, end, request, work.columns);
    else
      std::get_if<gathered_rows<T>>(&layout_)->gradient(begin, end, request, work.gathered);
  }

  /// Writes the gradient that still waits for a next row.
  void flush(fused_pass& pass) const {
    if (const auto* contiguous = std::get_if<contiguous_rows<T>>(&layout_)) contiguous->flush(pass);
  }

 private:
  using any_layout = std::variant<contiguous_rows<T>, column_rows<T>, gathered_rows<T>>;

  static any_layout layout_of(const score_rows<T>& rows, const head_options& options) {
    if (column_rows<T>::takes(rows)) return any_layout(std::in_place_type<column_rows<T>>, rows, options);
    if (contiguous_rows<T>::takes(rows)) return any_layout(std::in_place_type<contiguous_rows<T>>, rows, options);
    return any_layout(std::in_place_type<gathered_rows<T>>, rows, options);
  }

  score_rows<T> rows_;
  any_layout layout_;
};

}  // namespace emend::detail
