#pragma once

#include <emend/heads/simd/avx2.hpp>
#include <emend/heads/simd/avx512.hpp>
#include <emend/core/instruction_set.hpp>
#include <emend/heads/simd/portable.hpp>

namespace emend::detail {

/// The kernels for scores stored as T, of one instruction set; see kernels.ipp for what each does.
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

template <class T>
const row_kernels<T>& kernels_for(instruction_set wanted) {
  static constexpr row_kernels<T> portable_kernels = {
      {portable::accumulate_row<T, 0>, portable::accumulate_row<T, every_feature>},
      {portable::accumulate_columns<T, 0>, portable::accumulate_columns<T, every_feature>},
      {portable::write_gradient_row<T, 0>, portable::write_gradient_row<T, 1>, portable::write_gradient_row<T, 2>},
      {portable::saving_kernel<T, -1>(), portable::saving_kernel<T, 0>(), portable::saving_kernel<T, 1>()},
      {portable::saved_gradient_kernel<T, 0>(), portable::saved_gradient_kernel<T, 1>()},
      portable::write_gradient_columns<T>,
      portable::soft_cap_row<T>,
      portable::soft_cap_chain_row<T>};
#if defined(__x86_64__)
  static constexpr row_kernels<T> avx2_kernels = {
      {avx2::accumulate_row<T, 0>, avx2::accumulate_row<T, every_feature>},
      {avx2::accumulate_columns<T, 0>, avx2::accumulate_columns<T, every_feature>},
      {avx2::write_gradient_row<T, 0>, avx2::write_gradient_row<T, 1>, avx2::write_gradient_row<T, 2>},
      {avx2::saving_kernel<T, -1>(), avx2::saving_kernel<T, 0>(), avx2::saving_kernel<T, 1>()},
      {avx2::saved_gradient_kernel<T, 0>(), avx2::saved_gradient_kernel<T, 1>()},
      avx2::write_gradient_columns<T>,
      avx2::soft_cap_row<T>,
      avx2::soft_cap_chain_row<T>};
  static constexpr row_kernels<T> avx512_kernels = {
      {avx512::accumulate_row<T, 0>, avx512::accumulate_row<T, every_feature>},
      {avx512::accumulate_columns<T, 0>, avx512::accumulate_columns<T, every_feature>},
      {avx512::write_gradient_row<T, 0>, avx512::write_gradient_row<T, 1>, avx512::write_gradient_row<T, 2>},
      {avx512::saving_kernel<T, -1>(), avx512::saving_kernel<T, 0>(), avx512::saving_kernel<T, 1>()},
      {avx512::saved_gradient_kernel<T, 0>(), avx512::saved_gradient_kernel<T, 1>()},
      avx512::write_gradient_columns<T>,
      avx512::soft_cap_row<T>,
      avx512::soft_cap_chain_row<T>};
  switch (supported(wanted)) {
    case instruction_set::avx512:
      return avx512_kernels;
    case instruction_set::avx2:
      return avx2_kernels;
    default:
      return portable_kernels;
  }
#else
  static_cast<void>(wanted);
  return portable_kernels;
#endif
}

/// c[m, n] = a[m, depth] b[depth, n] in row-major c, or with is_added c += a b; a and b with any strides. Same bits for
/// any cut of m and n.
template <class A>
using multiply_add_kernel = void (*)(const A* a, index a_row, index a_depth, const A* b, index b_depth, index b_column,
                                     A* c, index c_stride, bool is_added, index m, index n, index depth,
                                     std::vector<A>& buffer);

template <class A>
multiply_add_kernel<A> multiply_add_for(instruction_set wanted) {
#if defined(__x86_64__)
  switch (supported(wanted)) {
    case instruction_set::avx512:
      return avx512::multiply_add<A>;
    case instruction_set::avx2:
      return avx2::multiply_add<A>;
    default:
      return portable::multiply_add<A>;
  }
#else
  static_cast<void>(wanted);
  return portable::multiply_add<A>;
#endif
}

#if defined(EMEND_COMPILED_KERNELS)
// In kernels.cpp.
extern template const row_kernels<float>& kernels_for<float>(instruction_set);
extern template const row_kernels<double>& kernels_for<double>(instruction_set);
extern template const row_kernels<bfloat16>& kernels_for<bfloat16>(instruction_set);
extern template const row_kernels<float16>& kernels_for<float16>(instruction_set);
extern template multiply_add_kernel<float> multiply_add_for<float>(instruction_set);
extern template multiply_add_kernel<double> multiply_add_for<double>(instruction_set);
#endif

}  // namespace emend::detail
