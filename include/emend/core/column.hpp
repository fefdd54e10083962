#pragma once

#include <emend/base/errors.hpp>
#include <emend/base/index.hpp>
#include <emend/core/read_numbers.hpp>
#include <emend/core/shared_owner.hpp>
#include <emend/core/strided_numbers.hpp>

#include <algorithm>
#include <concepts>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

namespace emend {

namespace detail {

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
    if (has_one_stride()) return f(first, first * stride_, count);
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

}  // namespace detail

/// One number per token that does not depend on the scores: an advantage, an old log-probability, a weight, a mask.
///
/// Made from any range of float, double, bool or an integer type that lies in memory: containers, spans, built-in
/// arrays, rows, blocks and maps of matrices, multidimensional spans. Strides and offsets are honoured. A matrix is
/// read row by row, whatever its storage order. Or made from a pointer, a length and a stride in elements (any sign).
/// An entry reads as double; as a mask, every number but 0 counts.
/// A default column means "not given"; a range without entries is given, and has the wrong length where entries are
/// expected.
/// Lifetime: what has a name is viewed and must outlive the calls that read the column. A temporary that owns its
/// numbers (a container that a function returned, a braced list) is taken over, at the cost of one allocation.
/// An expression, std::vector<bool> or a string is refused at compile time. Throws std::invalid_argument where two
/// strides do not describe an array.
class column : public detail::entry_range {
 public:
  constexpr column() = default;
  template <detail::column_range X>
  column(X&& values) : column(detail::keep_numbers(std::forward<X>(values))) {}
  template <detail::visited_range X>
  column(X&& values) {
    using range = std::remove_cvref_t<X>;
    detail::shared_owner owner;
    const range* const here =
        std::is_lvalue_reference_v<X> ? __builtin_addressof(values) : &owner.take_over(std::forward<X>(values));
    backend<range>::visit_numbers(*here, [&]<class T>(strided_numbers<const T> numbers) {
      *this = column(detail::kept_numbers<T>{numbers, owner});
    });
  }
  column(std::initializer_list<double> values)
      : column(detail::copy_numbers(values.begin(), static_cast<index>(values.size()))) {}
  template <detail::plain_number T>
  column(std::initializer_list<T> values)
      : column(detail::copy_numbers(values.begin(), static_cast<index>(values.size()))) {}
  /// Last resort for ranges that cannot be viewed: says the remedy.
  template <detail::other_column_range X>
  column(const X&) {
    static_assert(detail::column_range<X>,
                  "emend: a column is a view of numbers that lie in memory; instead of std::vector<bool> use "
                  "std::vector<char>, evaluate an expression first, copy what is not contiguous into a vector, and "
                  "include the backend of a matrix library");
  }
  template <class T>
    requires std::is_arithmetic_v<T>
  column(const T* data, index size, index stride = 1)
      : column(detail::kept_numbers<T>{strided_numbers<const T>(data, size, stride), {}}) {}

  /// Entries that lie elsewhere until somebody reads one: source->here() brings them, a column. The source must outlive
  /// this view.
  template <class S>
    requires requires(const S& s) {
      { s.here() } -> std::convertible_to<const column&>;
    }
  column(const S* source, index size)
      : entry_range(source, size),
        read_(&read_there<S>),
        read_run_(&read_run_there<S>),
        read_flags_(&read_flags_there<S>) {}

  double operator[](index i) const { return read_(data_, place(i)); }
  /// Where the entries lie, if it is an S, else null.
  template <class S>
  const S* source() const {
    return read_ == &read_there<S> ? static_cast<const S*>(data_) : nullptr;
  }
  /// Reads entries first .. first+count-1 into out: one call for a run of them, for loops that a call per entry would
  /// rule.
  void read(index first, index count, double* out) const {
    for_each_run(first, count, [&](index entry, index place, index run) {
      read_run_(data_, place, stride_, run, out + (entry - first));
    });
  }
  /// The same entries as a mask: -1 where the number is not 0, else 0. Returns how many are not 0; if all are,
  /// out may be left as it was.
  index read_flags(index first, index count, long long* out) const {
    if (has_one_stride()) return read_flags_(data_, first * stride_, stride_, count, out);
    index set = 0;
    for_each_run(first, count, [&](index entry, index place, index run) {
      long long* const to = out + (entry - first);
      const index set_here = read_flags_(data_, place, stride_, run, to);
      // A run that is all set may have been left as it was, and the runs beside it need not be.
      if (set_here == run)
        for (index i = 0; i < run; ++i) to[i] = -1;
      set += set_here;
    });
    return set;
  }
  /// The entries themselves where they are of type T and stand one after the other, else null: for loops without a
  /// buffer.
  template <class T>
  const T* contiguous() const {
    return read_run_ == &read_run<T> && is_contiguous() ? static_cast<const T*>(data_) : nullptr;
  }
  /// The same for entries of one byte, whatever they are called: most masks.
  const signed char* contiguous_bytes() const {
    const bool are_bytes = read_run_ == &read_run<bool> || read_run_ == &read_run<char> ||
                           read_run_ == &read_run<signed char> || read_run_ == &read_run<unsigned char>;
    return are_bytes && is_contiguous() ? static_cast<const signed char*>(data_) : nullptr;
  }

 private:
  template <class T>
  explicit column(detail::kept_numbers<T> kept)
      : entry_range(kept.numbers, std::move(kept.owner)),
        read_(&read<T>),
        read_run_(&read_run<T>),
        read_flags_(&read_flags_run<T>) {}

  template <class T>
  static double read(const void* data, index i) {
    return static_cast<double>(static_cast<const T*>(data)[i]);
  }
  template <class T>
  static void read_run(const void* data, index first, index stride, index count, double* out) {
    detail::read_numbers(static_cast<const T*>(data) + first, stride, count, out);
  }
  template <class T>
  static index read_flags_run(const void* data, index first, index stride, index count, long long* out) {
    return detail::read_flags(static_cast<const T*>(data) + first, stride, count, out);
  }
  template <class S>
  static double read_there(const void* source, index i) {
    return static_cast<const S*>(source)->here()[i];
  }
  template <class S>
  static void read_run_there(const void* source, index first, index, index count, double* out) {
    static_cast<const S*>(source)->here().read(first, count, out);
  }
  template <class S>
  static index read_flags_there(const void* source, index first, index, index count, long long* out) {
    return static_cast<const S*>(source)->here().read_flags(first, count, out);
  }

  double (*read_)(const void*, index) = nullptr;
  void (*read_run_)(const void*, index, index, index, double*) = nullptr;
  index (*read_flags_)(const void*, index, index, index, long long*) = nullptr;
};

/// The column of a range, or no column if the range has no entries: for a range that is empty where nothing is given.
template <detail::column_range X>
column column_unless_empty(const X& range) {
  const column result = range;
  return result.empty() ? column() : result;
}

/// One id or position per token: targets, rows, links, offsets.
///
/// As `column`, of an integer type other than bool; it reads as `index`.
class id_column : public detail::entry_range {
 public:
  constexpr id_column() = default;
  template <detail::column_range X>
  id_column(X&& values) : id_column(detail::keep_numbers(std::forward<X>(values))) {}
  template <detail::visited_range X>
  id_column(X&& values) {
    using range = std::remove_cvref_t<X>;
    detail::shared_owner owner;
    const range* const here =
        std::is_lvalue_reference_v<X> ? __builtin_addressof(values) : &owner.take_over(std::forward<X>(values));
    backend<range>::visit_numbers(*here, [&]<class T>(strided_numbers<const T> numbers) {
      if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>)
        *this = id_column(detail::kept_numbers<T>{numbers, owner});
      else
        detail::fail("ids", "numbers of an integer type", "another one");
    });
  }
  template <detail::plain_number T>
  id_column(std::initializer_list<T> values)
      : id_column(detail::copy_numbers(values.begin(), static_cast<index>(values.size()))) {}
  /// Last resort for ranges that cannot be viewed: says the remedy.
  template <detail::other_column_range X>
  id_column(const X&) {
    static_assert(
        detail::column_range<X>,
        "emend: ids are a view of integers that lie in memory; evaluate an expression first, copy what is not "
        "contiguous into a vector, and encode text with a tokenizer");
  }
  template <class T>
    requires std::is_arithmetic_v<T>
  id_column(const T* data, index size, index stride = 1)
      : id_column(detail::kept_numbers<T>{strided_numbers<const T>(data, size, stride), {}}) {}
  /// As of `column`: source->ids_here() brings the entries.
  template <class S>
    requires requires(const S& s) {
      { s.ids_here() } -> std::convertible_to<const id_column&>;
    }
  id_column(const S* source, index size) : entry_range(source, size), read_(&read_there<S>) {}

  index operator[](index i) const { return read_(data_, place(i)); }
  /// Where the entries lie, if it is an S, else null.
  template <class S>
  const S* source() const {
    return read_ == &read_there<S> ? static_cast<const S*>(data_) : nullptr;
  }

 private:
  template <class T>
  explicit id_column(detail::kept_numbers<T> kept) : entry_range(kept.numbers, std::move(kept.owner)), read_(&read<T>) {
    static_assert(std::is_integral_v<T> && !std::is_same_v<T, bool>,
                  "emend: ids must be of an integer type; convert them first, for example to std::vector<int>");
  }

  template <class T>
  static index read(const void* data, index i) {
    return static_cast<index>(static_cast<const T*>(data)[i]);
  }
  template <class S>
  static index read_there(const void* source, index i) {
    return static_cast<const S*>(source)->ids_here()[i];
  }

  index (*read_)(const void*, index) = nullptr;
};

}  // namespace emend
