#pragma once

#include <emend/base/aligned_allocator.hpp>
#include <emend/core/backend.hpp>
#include <emend/core/strided_block.hpp>

// Since 0.26 xtensor's headers lie in folders.
#if __has_include(<xtensor/containers/xtensor.hpp>)
#include <xtensor/containers/xadapt.hpp>
#include <xtensor/containers/xarray.hpp>
#include <xtensor/containers/xtensor.hpp>
#include <xtensor/views/xstrided_view.hpp>
#include <xtensor/views/xview.hpp>
#else
#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>
#include <xtensor/xstrided_view.hpp>
#include <xtensor/xtensor.hpp>
#include <xtensor/xview.hpp>
#endif

namespace emend {

namespace detail {

/// An xtensor, xarray, adaptor or strided view: numbers that lie in memory, not an expression.
template <class X>
concept xtensor_in_memory = xt::is_xexpression<X>::value && xt::has_data_interface<X>::value &&
                            xt::has_strides<X>::value && score_type<std::remove_const_t<typename X::value_type>>;

template <class X>
inline constexpr bool is_xtensor_container = false;
template <class C, std::size_t N, xt::layout_type L, class Tag>
inline constexpr bool is_xtensor_container<xt::xtensor_container<C, N, L, Tag>> = true;
template <class C, xt::layout_type L, class S, class Tag>
inline constexpr bool is_xtensor_container<xt::xarray_container<C, L, S, Tag>> = true;

/// The type that owns such numbers as X holds or views: X itself if it is a container, else an xtensor where the number
/// of dimensions is in X's type, or an xarray; row-major unless X is column-major by its type.
template <class X>
struct xtensor_owner {
  // Not X's own temporary_type: that of a strided view has a wrong number of dimensions in 0.24.
  static constexpr xt::layout_type layout =
      X::static_layout == xt::layout_type::column_major ? xt::layout_type::column_major : xt::layout_type::row_major;
  using scalar = std::remove_const_t<typename X::value_type>;
  template <class Shape>
  struct of_shape {
    using type = xt::xarray<scalar, layout>;
  };
  template <class I, std::size_t N>
  struct of_shape<std::array<I, N>> {
    using type = xt::xtensor<scalar, N, layout>;
  };
  using type = typename of_shape<typename X::shape_type>::type;
};
template <class X>
  requires is_xtensor_container<X>
struct xtensor_owner<X> {
  using type = X;
};

}  // namespace detail

/// Scores held by xtensor: the last dimension is the vocabulary, those before it are tokens, [V], [N, V], [B, T, V] and
/// beyond; row or column major, any strides. Scalars: float, double, emend::bfloat16, emend::float16. Gradients are the
/// xtensor or xarray of the same scalar, shape and storage order that owns its memory. A lazy expression is not
/// accepted: evaluate it first, into an xtensor or with xt::eval. Throws std::invalid_argument where `strided_block`
/// does.
template <detail::xtensor_in_memory X>
struct backend<X> {
  using storage = std::remove_const_t<typename X::value_type>;
  using plain = typename detail::xtensor_owner<X>::type;

  static plain like(const X& x) {
    plain result;
    if constexpr (plain::static_layout == xt::layout_type::dynamic)
      result.resize(x.shape(), xt::layout_type::row_major);
    else
      result.resize(x.shape());
    emend::detail::advise_huge_pages(result.data(), result.size() * sizeof(*result.data()));
    return result;
  }

  template <class F>
  static void visit(const X& x, F&& f) {
    f(view("scores", x, static_cast<const storage*>(x.data() + x.data_offset())));
  }
  template <class F>
    requires std::is_same_v<decltype(std::declval<X&>().data() + 0), storage*>
  static void visit(X& x, F&& f) {
    f(view("gradient", x, x.data() + x.data_offset()));
  }

 private:
  template <class T>
  static score_view<T> view(const char* argument, const X& x, T* data) {
    score_view<T> result = strided_block(argument, data, x.shape(), x.strides());
    // xtensor's stride of a dimension of 1 is 0 and says nothing of the storage order.
    if (X::static_layout == xt::layout_type::column_major && result.rows() == 1) result.token_stride = 1;
    return result;
  }
};

static_assert(host_scores<xt::xtensor<float, 2>> &&
              host_scores<xt::xtensor<double, 3, xt::layout_type::column_major>> && host_scores<xt::xarray<float>>);

}  // namespace emend
