#pragma once

#include <emend/heads/simd/row_kernels.hpp>

namespace emend::detail {

/// The kernels over two rows of scores stored as T, of one instruction set; see divergences.ipp for what each does.
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

template <class T>
const divergence_kernels<T>& divergence_kernels_for(instruction_set wanted) {
  static constexpr divergence_kernels<T> portable_kernels = {
      {portable::accumulate_pair<T, portable::forward_cross, false>,
       portable::accumulate_pair<T, portable::reverse_cross, false>},
      {portable::accumulate_pair<T, portable::forward_cross, true>,
       portable::accumulate_pair<T, portable::reverse_cross, true>,
       portable::accumulate_pair<T, portable::mixed_cross, true>},
      portable::mix_pair<arithmetic<T>>,
      {portable::write_pair_gradient<T, false>, portable::write_pair_gradient<T, true>}};
#if defined(__x86_64__)
  static constexpr divergence_kernels<T> avx2_kernels = {
      {avx2::accumulate_pair<T, avx2::forward_cross, false>, avx2::accumulate_pair<T, avx2::reverse_cross, false>},
      {avx2::accumulate_pair<T, avx2::forward_cross, true>, avx2::accumulate_pair<T, avx2::reverse_cross, true>,
       avx2::accumulate_pair<T, avx2::mixed_cross, true>},
      avx2::mix_pair<arithmetic<T>>,
      {avx2::write_pair_gradient<T, false>, avx2::write_pair_gradient<T, true>}};
  static constexpr divergence_kernels<T> avx512_kernels = {
      {avx512::accumulate_pair<T, avx512::forward_cross, false>,
       avx512::accumulate_pair<T, avx512::reverse_cross, false>},
      {avx512::accumulate_pair<T, avx512::forward_cross, true>, avx512::accumulate_pair<T, avx512::reverse_cross, true>,
       avx512::accumulate_pair<T, avx512::mixed_cross, true>},
      avx512::mix_pair<arithmetic<T>>,
      {avx512::write_pair_gradient<T, false>, avx512::write_pair_gradient<T, true>}};
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

#if defined(EMEND_COMPILED_KERNELS)
// In kernels.cpp.
extern template const divergence_kernels<float>& divergence_kernels_for<float>(instruction_set);
extern template const divergence_kernels<double>& divergence_kernels_for<double>(instruction_set);
extern template const divergence_kernels<bfloat16>& divergence_kernels_for<bfloat16>(instruction_set);
extern template const divergence_kernels<float16>& divergence_kernels_for<float16>(instruction_set);
#endif

}  // namespace emend::detail
