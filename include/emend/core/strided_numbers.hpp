#pragma once

#include <emend/base/errors.hpp>

#include <array>
#include <concepts>
#include <cstddef>
#include <iterator>
#include <ranges>
#include <string>
#include <type_traits>
#include <utility>

namespace emend {

template <class X>
struct backend;

/// Numbers in memory that somebody else owns, in one order: number i is
///   data[(i / row) row_stride + (i % row) stride]
/// Strides are in elements, of any sign; T may be const. A range that one stride describes has row = size.
template <class T>
struct strided_numbers {
  T* data = nullptr;
  index size = 0, stride = 1;
  index row = 0, row_stride = 0;

  constexpr strided_numbers() = default;
  constexpr strided_numbers(T* first, index count, index step = 1)
      : data(first), size(count), stride(step), row(count) {}
  /// rows x columns numbers, row by row. If one stride describes them, it is used.
  constexpr strided_numbers(T* first, index rows, index columns, index of_row, index of_column)
      : data(first), size(rows * columns), stride(of_column), row(columns), row_stride(of_row) {
    if (columns == 1) stride = of_row;
    if (rows <= 1 || columns <= 1 || of_row == columns * of_column) row = size;
  }

  /// Numbers that may be written to, as ones that may not.
  template <class U>
    requires(std::is_same_v<const U, T> && !std::is_const_v<U>)
  constexpr strided_numbers(const strided_numbers<U>& other)
      : data(other.data), size(other.size), stride(other.stride), row(other.row), row_stride(other.row_stride) {}

  constexpr bool has_one_stride() const { return row == size; }
  constexpr bool is_contiguous() const { return has_one_stride() && (stride == 1 || size <= 1); }
  constexpr index place(index i) const {
    return has_one_stride() ? i * stride : i / row * row_stride + i % row * stride;
  }
  constexpr T& operator[](index i) const { return data[place(i)]; }
};

namespace detail {

/// Strided numbers of an array of any number of dimensions in row-major order, whatever its storage order.
/// Throws std::invalid_argument where two strides do not describe it.
template <class T, class Extent, class Stride>
strided_numbers<T> numbers_of_array(T* data, index dimensions, const Extent& extent, const Stride& stride) {
  index size = 1, inner = 1, inner_stride = 1, outer = 1, outer_stride = 0;
  for (index d = 0; d < dimensions; ++d) size *= extent(d);
  if (size == 0) return {data, 0};
  // From the last dimension outwards: each is merged into a level whose steps it goes on with, or begins the next.
  int level = 0;
  for (index d = dimensions - 1; d >= 0; --d) {
    if (extent(d) == 1) continue;
    if (level == 0) {
      inner = extent(d), inner_stride = stride(d), level = 1;
    } else if (level == 1 && stride(d) == inner * inner_stride) {
      inner *= extent(d);
    } else if (level == 1) {
      outer = extent(d), outer_stride = stride(d), level = 2;
    } else if (stride(d) == outer * outer_stride) {
      outer *= extent(d);
    } else {
      fail("a column", "numbers that two strides describe; copy them into contiguous memory first",
           std::to_string(dimensions) + " dimensions in other strides");
    }
  }
  return {data, outer, inner, outer_stride, inner_stride};
}

template <class X>
concept plain_number = std::is_arithmetic_v<X>;
template <class P>
concept number_pointer = std::is_pointer_v<std::remove_cvref_t<P>> &&
                         plain_number<std::remove_cv_t<std::remove_pointer_t<std::remove_cvref_t<P>>>>;

// How numbers lie in X, told by the members of X. The names are those that libraries give them.

/// The backend of X says it: backend<X>::numbers(x) gives strided_numbers.
template <class X>
concept numbers_of_backend = requires(X& x) {
  { backend<std::remove_const_t<X>>::numbers(x).data } -> std::convertible_to<const void*>;
};
/// rows(), cols() and a stride of each: Eigen's matrices, maps, references and blocks.
template <class X>
concept two_strided = requires(X& x) {
  { x.rows() } -> std::convertible_to<index>;
  { x.cols() } -> std::convertible_to<index>;
  { x.rowStride() } -> std::convertible_to<index>;
  { x.colStride() } -> std::convertible_to<index>;
  { x.data() } -> number_pointer;
};
/// shape() and strides(): xtensor's containers, adaptors and strided views.
template <class X>
concept shaped = !two_strided<X> && requires(X& x) {
  { x.shape().size() } -> std::convertible_to<index>;
  { x.strides().size() } -> std::convertible_to<index>;
  { x.data() } -> number_pointer;
};
/// A multidimensional span of strided layout and plain access: std::mdspan, cuda::std::mdspan.
template <class X>
concept span_of_dimensions = requires(X& x, std::size_t d) {
  { x.data_handle() } -> number_pointer;
  { x.rank() } -> std::convertible_to<std::size_t>;
  { x.extent(d) } -> std::convertible_to<index>;
  { x.stride(d) } -> std::convertible_to<index>;
  { x.is_strided() } -> std::convertible_to<bool>;
};
/// memptr(), column by column: Armadillo's matrices, rows and columns.
template <class X>
concept column_by_column = requires(X& x) {
  { x.memptr() } -> number_pointer;
  { x.n_rows } -> std::convertible_to<std::size_t>;
  { x.n_cols } -> std::convertible_to<std::size_t>;
} && !requires(X& x) { x.n_slices; };
/// dimensions() and a layout: Eigen's tensors. Column-major unless Layout says otherwise.
template <class X>
concept tensor_of_dimensions = requires(X& x, std::size_t d) {
  { x.dimensions()[d] } -> std::convertible_to<index>;
  { x.data() } -> number_pointer;
  { X::NumDimensions } -> std::convertible_to<int>;
  { X::Layout } -> std::convertible_to<int>;
};
/// A built-in array of numbers, of any number of dimensions. One of const char is taken for text.
template <class X>
concept number_array = std::is_array_v<X> && plain_number<std::remove_cv_t<std::remove_all_extents_t<X>>> &&
                       !(std::is_same_v<std::remove_all_extents_t<X>, const char>);
/// Strings are text, not numbers.
template <class X>
concept text = requires { typename X::traits_type; };
/// Whatever has strides of its own, by any name. It is read by one of the concepts above or not at all.
template <class X>
concept with_strides =
    requires(X& x) { x.innerStride(); } || requires(X& x) { x.strides(); } || requires(X& x) { x.stride(0); } ||
    requires(X& x) { x.stride(); } || requires(X& x) { x.stride; } || requires(X& x) { x.strides; } ||
    requires(X& x) { x.step; } || requires(X& x) { x.dimensions(); } || requires(X& x) { x.n_slices; } ||
    requires(X& x) { x.rowStride(); };
/// data() and size() without strides, or a contiguous range of the standard library.
template <class X>
concept plain_range = !with_strides<X> && !text<std::remove_cv_t<X>> && !std::is_array_v<X> &&
                      (requires(X& x) {
                        { x.data() } -> number_pointer;
                        { x.size() } -> std::convertible_to<index>;
                      } || requires(X& x) {
                        requires std::ranges::contiguous_range<X> && std::ranges::sized_range<X> &&
                                     plain_number<std::ranges::range_value_t<X>>;
                      });

/// Anything whose numbers can be read where they lie.
template <class X>
concept numbers_in_memory = numbers_of_backend<X> || two_strided<X> || shaped<X> || span_of_dimensions<X> ||
                            column_by_column<X> || tensor_of_dimensions<X> || number_array<X> || plain_range<X>;

/// The numbers of x in row-major order, whatever its storage order.
template <numbers_in_memory X>
auto numbers_of(X& x) {
  if constexpr (numbers_of_backend<X>) {
    return backend<std::remove_const_t<X>>::numbers(x);
  } else if constexpr (two_strided<X>) {
    return strided_numbers(x.data(), index(x.rows()), index(x.cols()), index(x.rowStride()), index(x.colStride()));
  } else if constexpr (shaped<X>) {
    auto* data = x.data();
    if constexpr (requires { x.data_offset(); }) data += static_cast<std::ptrdiff_t>(x.data_offset());
    const auto& shape = x.shape();
    const auto& strides = x.strides();
    return numbers_of_array(
        data, static_cast<index>(shape.size()),
        [&](index d) { return static_cast<index>(shape[static_cast<std::size_t>(d)]); },
        [&](index d) { return static_cast<index>(strides[static_cast<std::size_t>(d)]); });
  } else if constexpr (span_of_dimensions<X>) {
    if (!x.is_strided()) fail("a column", "a span of strided layout", "another layout");
    return numbers_of_array(
        x.data_handle(), static_cast<index>(x.rank()),
        [&](index d) { return static_cast<index>(x.extent(static_cast<std::size_t>(d))); },
        [&](index d) { return static_cast<index>(x.stride(static_cast<std::size_t>(d))); });
  } else if constexpr (column_by_column<X>) {
    return strided_numbers(x.memptr(), static_cast<index>(x.n_rows), static_cast<index>(x.n_cols), index{1},
                           static_cast<index>(x.n_rows));
  } else if constexpr (tensor_of_dimensions<X>) {
    constexpr index dimensions = X::NumDimensions;
    const auto shape = x.dimensions();
    const auto extent = [&](index d) { return static_cast<index>(shape[static_cast<std::size_t>(d)]); };
    return numbers_of_array(x.data(), dimensions, extent, [&](index d) {
      index stride = 1;
      // Eigen's code of column-major is 0.
      for (index k = X::Layout == 0 ? 0 : d + 1; k < (X::Layout == 0 ? d : dimensions); ++k) stride *= extent(k);
      return stride;
    });
  } else if constexpr (number_array<X>) {
    using number_type = std::remove_all_extents_t<X>;
    return strided_numbers(reinterpret_cast<number_type*>(&x), static_cast<index>(sizeof(X) / sizeof(number_type)));
  } else if constexpr (requires {
                         { x.data() } -> number_pointer;
                       }) {
    return strided_numbers(x.data(), static_cast<index>(x.size()));
  } else {
    return strided_numbers(std::ranges::data(x), static_cast<index>(std::ranges::size(x)));
  }
}

template <numbers_in_memory X>
using number_of = std::remove_pointer_t<decltype(numbers_of(std::declval<X&>()).data)>;

/// What looks like a range of numbers and cannot be read where it lies: std::vector<bool>, a string, a deque, a lazy
/// expression, a matrix whose backend's header is missing.
template <class X>
concept other_numbers = !numbers_in_memory<const X> && std::is_object_v<X> && !std::is_arithmetic_v<X> &&
                        !std::is_pointer_v<X> && !std::is_null_pointer_v<X> &&
                        (std::is_array_v<X> || requires(const X& x) { x.size(); } ||
                         requires(const X& x) { x.begin(); } || requires(const X& x) { x.rows; } ||
                         requires(const X& x) { x.n_elem; } || requires(const X& x) { x.extents(); });

/// Somewhere to write one number per token: memory of float or double, with strides or without.
template <class X>
concept number_output =
    numbers_in_memory<std::remove_reference_t<X>> && std::is_floating_point_v<number_of<std::remove_reference_t<X>>> &&
    !std::is_const_v<number_of<std::remove_reference_t<X>>>;

/// False, and where X is a range, an error with the remedy.
template <class X>
consteval bool refuse_output() {
  static_assert(!std::ranges::range<X>,
                "emend: results are written to memory of float or double that may be changed, such as a "
                "std::vector<double>, a span, a row or a map of them");
  return false;
}

/// `number_output` as functions ask for it, which says the remedy where another container is given.
template <class X>
concept output_argument = number_output<X> || refuse_output<X>();

}  // namespace detail

}  // namespace emend
