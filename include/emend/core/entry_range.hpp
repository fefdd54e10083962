#pragma once

#include <emend/base/errors.hpp>
#include <emend/base/index.hpp>
#include <emend/core/shared_owner.hpp>
#include <emend/core/strided_numbers.hpp>

#include <algorithm>
#include <concepts>
#include <functional>
#include <memory>
#include <type_traits>

namespace emend::detail {

/// What `column` and `id_column` share: where the entries lie, and who keeps them alive.
class entry_range {
 public:
  constexpr index size() const { return size_; }
  constexpr bool empty() const { return size_ == 0; }
  /// Whether the column was made from anything at all: a range without entries is given, a default column is not.
  constexpr bool is_given() const { return is_given_; }

 protected:
  constexpr entry_range() = default;
  constexpr entry_range(const void* data, index size) : data_(data), size_(size), row_(size), is_given_(true) {}
  template <class T>
  entry_range(const strided_numbers<T>& numbers, shared_owner owner)
      : data_(numbers.data),
        size_(numbers.size),
        stride_(numbers.stride),
        row_(numbers.row),
        row_stride_(numbers.row_stride),
        is_given_(true),
        owner_(std::move(owner)) {}

  bool has_one_stride() const { return row_ == size_; }
  bool is_contiguous() const { return has_one_stride() && stride_ == 1; }
  index place(index i) const { return has_one_stride() ? i * stride_ : i / row_ * row_stride_ + i % row_ * stride_; }
  /// f(entry, place of it, count) for runs of entries that one stride describes.
  template <class F>
  void for_each_run(index first, index count, F&& f) const {
    if (count > 0 && has_one_stride()) return f(first, first * stride_, count);
    while (count > 0) {
      const index left = row_ - first % row_, run = left < count ? left : count;
      f(first, place(first), run);
      first += run;
      count -= run;
    }
  }

  const void* data_ = nullptr;
  index size_ = 0, stride_ = 1, row_ = 0, row_stride_ = 0;
  bool is_given_ = false;
  shared_owner owner_;
};

/// Whether an X that is about to end takes its numbers with it. An object that is trivially destroyed owns no memory
/// but its own bytes.
template <class X>
bool ends_with_its_numbers(const X& x, const void* data) {
  if constexpr (std::ranges::borrowed_range<X>) {
    return false;
  } else if constexpr (std::is_trivially_destructible_v<X>) {
    const auto* const first = reinterpret_cast<const char*>(__builtin_addressof(x));
    const auto* const at = static_cast<const char*>(data);
    return !std::less<>{}(at, first) && std::less<>{}(at, first + sizeof(X));
  } else {
    return true;
  }
}

/// The numbers of a range and, if the range is about to end with them, an owner that has taken it over.
template <class T>
struct kept_numbers {
  strided_numbers<const T> numbers;
  shared_owner owner;
};
template <class T>
kept_numbers<T> copy_numbers(const T* data, index size) {
  // Not std::vector, which holds bool as bits.
  std::unique_ptr<T[]> copy(new T[static_cast<std::size_t>(size)]);
  std::copy(data, data + size, copy.get());
  kept_numbers<T> kept;
  kept.numbers = {kept.owner.take_over(std::move(copy)).get(), size};
  return kept;
}
template <class T>
kept_numbers<T> copy_numbers(const strided_numbers<const T>& numbers) {
  std::unique_ptr<T[]> copy(new T[static_cast<std::size_t>(numbers.size)]);
  for (index i = 0; i < numbers.size; ++i) copy[static_cast<std::size_t>(i)] = numbers[i];
  const index size = numbers.size;
  kept_numbers<T> kept;
  kept.numbers = {kept.owner.take_over(std::move(copy)).get(), size};
  return kept;
}
template <class X>
auto keep_numbers(X&& x) {
  using range = std::remove_cvref_t<X>;
  kept_numbers<std::remove_const_t<number_of<const range>>> kept;
  kept.numbers = numbers_of(std::as_const(x));
  if constexpr (!std::is_lvalue_reference_v<X>) {
    if constexpr (std::is_array_v<range>)
      kept = copy_numbers(kept.numbers.data, kept.numbers.size);
    else if (ends_with_its_numbers(x, kept.numbers.data)) {
      kept.numbers = numbers_of(kept.owner.take_over(std::forward<X>(x)));
      // An object that was moved from and still shows the same numbers has kept them, as Eigen::Ref<const ..> does.
      if constexpr (requires { x.data(); })
        if (kept.numbers.size > 0 &&
            static_cast<const void*>(std::as_const(x).data()) == static_cast<const void*>(kept.numbers.data))
          kept = copy_numbers(kept.numbers);
    }
  }
  return kept;
}

/// Numbers of a type that only the object knows: its backend gives them to a function.
template <class X>
concept visited_numbers =
    !numbers_in_memory<const X> && requires(const X& x) { backend<X>::visit_numbers(x, [](auto) {}); };

template <class X>
concept visited_range = visited_numbers<std::remove_cvref_t<X>>;
template <class X>
concept column_range =
    numbers_in_memory<const std::remove_reference_t<X>> && !std::derived_from<std::remove_cvref_t<X>, entry_range>;
template <class X>
concept other_column_range = other_numbers<std::remove_cvref_t<X>> && !column_range<X> && !visited_range<X> &&
                             !std::derived_from<std::remove_cvref_t<X>, entry_range>;

}  // namespace emend::detail
