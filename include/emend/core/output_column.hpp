#pragma once

#include <emend/core/column.hpp>

#include <algorithm>
#include <span>
#include <vector>

namespace emend {

namespace detail {

/// Throws std::invalid_argument where a stride of 0 gives several entries one place.
template <class T>
void require_places_of_their_own(const char* argument, const strided_numbers<T>& memory) {
  const bool has_rows = memory.row_stride != 0 || memory.row != 0;
  const index in_row = memory.row > 0 && memory.row < memory.size ? memory.row : memory.size;
  if ((memory.stride == 0 && in_row > 1) || (has_rows && memory.row_stride == 0 && in_row < memory.size))
    fail(argument, "a place of its own for each of " + std::to_string(memory.size) + " entries", "a stride of 0");
}

}  // namespace detail

/// Where a call writes one number per token besides its result, such as the loss of each token; by default nowhere.
///
/// Made from the address of a std::vector of float or double, which is resized, or from memory of float or double that
/// has an entry for each token: a container, span, row, block or map, with strides or without.
/// Lifetime: a view; what is written to must outlive the call. A container that is about to end is refused at compile
/// time. Throws std::invalid_argument where a stride of 0 gives several entries one place, and on a temporary that
/// holds the numbers itself, as a matrix of fixed size does.
class output_column {
 public:
  constexpr output_column() = default;
  constexpr output_column(std::nullptr_t) {}
  template <std::floating_point T>
    requires(!std::is_same_v<T, long double>)
  output_column(std::vector<T>* values) : data_(values), write_(values == nullptr ? nullptr : &resize_and_write<T>) {}
  template <detail::number_output X>
  output_column(X&& memory) : output_column(detail::numbers_of(memory)) {
    using range = std::remove_cvref_t<X>;
    static_assert(std::is_lvalue_reference_v<X> || std::ranges::borrowed_range<range> ||
                      (std::is_trivially_destructible_v<range> && !requires { std::tuple_size<range>::value; }),
                  "emend: what is written to must outlive the call; give the container a name");
    if constexpr (!std::is_lvalue_reference_v<X>)
      if (detail::ends_with_its_numbers(memory, data_))
        detail::fail("an output column", "memory that outlives the call; give the array or matrix a name",
                     "a temporary");
    detail::require_places_of_their_own("an output column", detail::numbers_of(memory));
  }

  constexpr explicit operator bool() const { return write_ != nullptr; }
  /// Throws std::invalid_argument naming `argument` unless there is room for exactly n numbers.
  void check(const char* argument, index n) const {
    if (write_ != nullptr && size_ >= 0) detail::require_length(argument, size_, n);
  }
  /// Writes the numbers, each rounded to its place's type.
  /// Throws std::invalid_argument, before anything is written, as `check`.
  void write(std::span<const double> values) const {
    check("an output column", static_cast<index>(values.size()));
    if (write_ != nullptr) write_(*this, values);
  }

 private:
  template <class T>
  explicit output_column(const strided_numbers<T>& memory)
      : data_(memory.data),
        size_(memory.size),
        stride_(memory.stride),
        row_(memory.row),
        row_stride_(memory.row_stride),
        write_(&write_in_place<T>) {}

  template <class T>
  static void resize_and_write(const output_column& to, std::span<const double> values) {
    auto& vector = *static_cast<std::vector<T>*>(to.data_);
    vector.resize(values.size());
    std::transform(values.begin(), values.end(), vector.begin(), [](double x) { return static_cast<T>(x); });
  }
  template <class T>
  static void write_in_place(const output_column& to, std::span<const double> values) {
    strided_numbers<T> memory(static_cast<T*>(to.data_), to.size_, to.stride_);
    memory.row = to.row_, memory.row_stride = to.row_stride_;
    for (std::size_t i = 0; i < values.size(); ++i) memory[static_cast<index>(i)] = static_cast<T>(values[i]);
  }

  void* data_ = nullptr;
  index size_ = -1, stride_ = 1, row_ = 0, row_stride_ = 0;  ///< size -1: resized
  void (*write_)(const output_column&, std::span<const double>) = nullptr;
};

namespace detail {

/// Contiguous memory for the numbers of an output: the output's own where it is contiguous, else a buffer that `finish`
/// copies to where they belong.
template <class T>
class contiguous_output {
 public:
  template <number_output X>
  contiguous_output(const char* argument, X& x, index n) : to_(numbers_of(x)) {
    require_length(argument, to_.size, n);
    require_places_of_their_own(argument, to_);
    if (!to_.is_contiguous()) buffer_.resize(static_cast<std::size_t>(n));
  }
  T* data() { return to_.is_contiguous() ? to_.data : buffer_.data(); }
  /// The output's own first place.
  const void* first() const { return to_.data; }
  void finish() {
    if (to_.is_contiguous()) return;
    for (index i = 0; i < to_.size; ++i) to_[i] = buffer_[static_cast<std::size_t>(i)];
  }

 private:
  strided_numbers<T> to_;
  std::vector<T> buffer_;
};
template <number_output X>
contiguous_output(const char*, X&, index) -> contiguous_output<number_of<std::remove_reference_t<X>>>;

}  // namespace detail

}  // namespace emend
