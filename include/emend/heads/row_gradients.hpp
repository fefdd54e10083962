#pragma once

#include <emend/heads/target_entries.hpp>

#include <vector>

namespace emend::detail {

/// What the gradients of some rows are made from, and where they go.
template <class T, class Targets>
struct gradient_request {
  const std::uint8_t* is_active;     ///< [rows] 0: the row is not read and becomes zeros; null: all are active
  const row_statistics* statistics;  ///< [rows]
  const row_adjoint* adjoints;       ///< [rows]
  const Targets& targets;            ///< targets(row, f) calls f(score_adjoint) for each target of the row
  score_view<T> out;                 ///< may be the scores' own memory
  bool is_streaming;                 ///< past the caches

  /// Whether nothing is to pass back to a row.
  bool is_silent(index row) const {
    if (is_active && !is_active[row]) return true;
    if (!adjoints[row].is_zero()) return false;
    bool has_no_target = true;
    targets(row, [&](const score_adjoint& target) { has_no_target &= target.value == 0; });
    return has_no_target;
  }
  target_entries<T> entries(const score_rows<T>& rows, index row) const {
    return target_entries<T>(rows, row, statistics[row], adjoints[row], targets);
  }
};

template <class T>
void write_zeros(index row, score_view<T> out) {
  T* to = out.row(row);
  for (index j = 0; j < out.vocab; ++j) to[j * out.vocab_stride] = T(arithmetic<T>(0));
}

/// The gradient of a row that the kernels do not take, without its targets.
template <class T>
void write_reference_row(const score_rows<T>& rows, index row, const row_statistics& statistics,
                         const row_adjoint& adjoint, score_view<T> out) {
  std::vector<double> gradient(static_cast<std::size_t>(rows.width(row)));
  for (index k = 0; k < rows.width(row); ++k) {
    const index id = rows.id_of(row, k);
    const double g = reference_gradient(rows.z_inside(row, id), id, statistics, adjoint);
    gradient[static_cast<std::size_t>(k)] = g == 0 ? 0 : g * rows.slope(row, id);
  }
  if (rows.has_kept_ids()) write_zeros(row, out);
  for (index k = 0; k < rows.width(row); ++k)
    out(row, rows.id_of(row, k)) = T(static_cast<arithmetic<T>>(gradient[static_cast<std::size_t>(k)]));
}

/// The gradients of rows [begin, end), one by one: zeros where nothing is to pass back, the reference where the kernels
/// do not take the row, else what write(row, entries) makes of it. That returns whether the entries at the targets are
/// still to be written.
template <class T, class Targets, class Write>
void write_row_gradients(const score_rows<T>& rows, index begin, index end, const gradient_request<T, Targets>& request,
                         Write&& write) {
  for (index row = begin; row < end; ++row) {
    if (request.is_silent(row)) {
      write_zeros(row, request.out);
      continue;
    }
    target_entries<T> entries = request.entries(rows, row);
    if (request.statistics[row].needs_reference_path)
      write_reference_row(rows, row, request.statistics[row], request.adjoints[row], request.out);
    else if (!write(row, entries))
      continue;
    entries.write(request.out);
  }
}

}  // namespace emend::detail
