#pragma once

#include <emend/base/storage.hpp>
#include <emend/heads/divergence_sums.hpp>
#include <emend/heads/row_sums.hpp>

#include <array>
#include <cstdint>
#include <type_traits>
#include <vector>

namespace emend::detail {

/// Scores in one block of the row kernels: small enough for the first-level cache, a multiple of every register group.
/// The kernels of a row of its own take smaller blocks where registers are short: see `summed_block`.
inline constexpr index row_block = 2048;
/// The fewest scores in a block whose powers are kept, but for the last ones of a row.
inline constexpr index least_saved_block = 512;

/// Most rows that a column kernel takes side by side, and the columns that it takes at a time.
inline constexpr index row_tile = 64;
inline constexpr index column_group = 16;

/// The kernels for scores stored as T, of one instruction set; what each does stands in the files that kernels.ipp
/// lists.
template <class T>
struct row_kernels {
  using A = arithmetic<T>;
  using accumulate = void (*)(row_sums<A>&, const T*, index, index, const row_multiplier<A>&);
  using accumulate_tokens = void (*)(row_sums<A>*, const T*, index, index, index, const row_multiplier<A>&);

  using save = void (*)(row_sums<A>&, const T*, index, const row_multiplier<A>&, const saved_powers<A>&,
                        const saved_row<T, A>&);
  using saved_gradient = void (*)(const saved_row<T, A>&, index, bool);

  accumulate rows_of[2];  ///< by what is wanted: log_z and entropy; everything
  accumulate_tokens columns_of[2];
  void (*gradient_rows_of[3])(const T*, T*, index, const row_gradient<A>&, bool, const T*);  ///< by row_gradient::terms
  save save_powers[3];  ///< with nothing pending; with a pending row, by its terms; null where not possible
  saved_gradient saved_gradient_of[2];  ///< by row_gradient::terms
  void (*gradient_columns)(const T*, T*, index, index, index, index, const row_gradient<A>*);
  void (*soft_cap)(const T*, A*, index, A, A);
  void (*soft_cap_chain)(const A*, const A*, T*, index, A, A);
};

inline constexpr int every_feature = want_extras | want_arg_max;

/// The kernels over two rows of scores stored as T, of one instruction set; as pair_sums.ipp, mixture_sums.ipp and
/// pair_gradients.ipp have them.
template <class T>
struct divergence_kernels {
  using A = arithmetic<T>;
  using accumulate = void (*)(pair_sums<A>&, const T*, const T*, index, const row_multiplier<A>&,
                              const row_multiplier<A>&, const saved_pair<A>&);

  accumulate sums_of[2];   ///< by kind: forward, reverse; the Jensen-Shannon divergence always saves
  accumulate saves_of[3];  ///< by kind
  mixture_sums (*mix)(const saved_pair<A>&, index, double, double, double);
  void (*gradient_of[2])(const saved_pair<A>&, T*, index, const pair_gradient&, bool);  ///< product, difference
};

/// c[m, n] = a[m, depth] b[depth, n] in row-major c, or with is_added c += a b; a and b with any strides. Same bits for
/// any cut of m and n.
template <class A>
using multiply_add_kernel = void (*)(const A* a, index a_row, index a_depth, const A* b, index b_depth, index b_column,
                                     A* c, index c_stride, bool is_added, index m, index n, index depth,
                                     std::vector<A>& buffer);

}  // namespace emend::detail
