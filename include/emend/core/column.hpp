#pragma once

#include <emend/core/errors.hpp>
#include <emend/core/index.hpp>
#include <emend/core/lanes.hpp>

#include <concepts>
#include <string>
#include <type_traits>

namespace emend {

namespace detail {

/// A contiguous range of numbers: `data(r)` and `size(r)` as members, as std::vector, std::span, std::array and the
/// vectors of linear-algebra libraries have them.
template <class X>
concept number_range = requires(const X& x) {
  { x.data() } -> std::convertible_to<const void*>;
  { x.size() } -> std::convertible_to<index>;
} && std::is_arithmetic_v<std::remove_cvref_t<decltype(*std::declval<const X&>().data())>>;

/// A range without `data()`, or of no numbers: std::vector<bool>, std::deque, an expression.
template <class X>
concept other_range = !number_range<X> && requires(const X& x) { x.size(); };

}  // namespace detail

/// One number per token that does not depend on the scores: an advantage, an old log-probability, a weight, a mask.
///
/// A view, made from any contiguous range (`data()`, `size()`) of float, double, bool or an integer type, or from a
/// pointer, a length and a stride in elements (any sign). It reads as double; as a mask, every number but 0 counts.
/// An empty column means "not given". The range must outlive the call that reads it.
class column {
 public:
  constexpr column() = default;
  template <detail::number_range X>
    requires(!std::same_as<std::remove_cvref_t<X>, column>)
  column(const X& values) : column(values.data(), static_cast<index>(values.size())) {}
  /// Last resort for ranges that cannot be viewed: says the remedy.
  template <detail::other_range X>
    requires(!std::same_as<std::remove_cvref_t<X>, column>)
  column(const X&) {
    static_assert(
        detail::number_range<X>,
        "emend: a column is a view of contiguous numbers, with data() and size(); instead of std::vector<bool> use "
        "std::vector<char>, and evaluate an expression into a vector first");
  }
  template <class T>
    requires std::is_arithmetic_v<T>
  constexpr column(const T* data, index size, index stride = 1)
      : data_(data),
        size_(size),
        stride_(stride),
        read_(&read<T>),
        read_run_(&read_run<T>),
        read_flags_(&read_flags_run<T>) {}

  /// Entries that lie elsewhere until somebody reads one: source->here() brings them, a column. The source must outlive
  /// this view.
  template <class S>
    requires requires(const S& s) {
      { s.here() } -> std::convertible_to<const column&>;
    }
  column(const S* source, index size)
      : data_(source),
        size_(size),
        read_(&read_there<S>),
        read_run_(&read_run_there<S>),
        read_flags_(&read_flags_there<S>) {}

  constexpr index size() const { return size_; }
  constexpr bool empty() const { return size_ == 0; }
  constexpr double operator[](index i) const { return read_(data_, i * stride_); }
  /// Where the entries lie, if it is an S, else null.
  template <class S>
  const S* source() const {
    return read_ == &read_there<S> ? static_cast<const S*>(data_) : nullptr;
  }
  /// Reads entries first .. first+count-1 into out: one call for a run of them, for loops that a call per entry would
  /// rule.
  void read(index first, index count, double* out) const { read_run_(data_, first * stride_, stride_, count, out); }
  /// The same entries as a mask: -1 where the number is not 0, else 0. Returns how many are not 0; if all are,
  /// out may be left as it was.
  index read_flags(index first, index count, long long* out) const {
    return read_flags_(data_, first * stride_, stride_, count, out);
  }
  /// The entries themselves where they are of type T and stand one after the other, else null: for loops without a
  /// buffer.
  template <class T>
  const T* contiguous() const {
    return read_run_ == &read_run<T> && stride_ == 1 ? static_cast<const T*>(data_) : nullptr;
  }
  /// The same for entries of one byte, whatever they are called: most masks.
  const signed char* contiguous_bytes() const {
    const bool are_bytes = read_run_ == &read_run<bool> || read_run_ == &read_run<char> ||
                           read_run_ == &read_run<signed char> || read_run_ == &read_run<unsigned char>;
    return are_bytes && stride_ == 1 ? static_cast<const signed char*>(data_) : nullptr;
  }

 private:
  template <class T>
  static constexpr double read(const void* data, index i) {
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

  const void* data_ = nullptr;
  index size_ = 0, stride_ = 1;
  double (*read_)(const void*, index) = nullptr;
  void (*read_run_)(const void*, index, index, index, double*) = nullptr;
  index (*read_flags_)(const void*, index, index, index, long long*) = nullptr;
};

/// One id or position per token: targets, rows, links, offsets.
///
/// A view of any contiguous range of an integer type, or of a pointer, a length and a stride. It reads as `index`.
/// Empty means "not given". The range must outlive the call that reads it.
class id_column {
 public:
  constexpr id_column() = default;
  template <detail::number_range X>
    requires(!std::same_as<std::remove_cvref_t<X>, id_column>)
  id_column(const X& values) : id_column(values.data(), static_cast<index>(values.size())) {}
  template <class T>
    requires std::is_arithmetic_v<T>
  constexpr id_column(const T* data, index size, index stride = 1)
      : data_(data), size_(size), stride_(stride), read_(&read<T>) {
    static_assert(std::is_integral_v<T> && !std::is_same_v<T, bool>,
                  "emend: ids must be of an integer type; convert them first, for example to std::vector<int>");
  }
  /// As of `column`: source->ids_here() brings the entries.
  template <class S>
    requires requires(const S& s) {
      { s.ids_here() } -> std::convertible_to<const id_column&>;
    }
  id_column(const S* source, index size) : data_(source), size_(size), read_(&read_there<S>) {}

  constexpr index size() const { return size_; }
  constexpr bool empty() const { return size_ == 0; }
  constexpr index operator[](index i) const { return read_(data_, i * stride_); }
  /// Where the entries lie, if it is an S, else null.
  template <class S>
  const S* source() const {
    return read_ == &read_there<S> ? static_cast<const S*>(data_) : nullptr;
  }

 private:
  template <class T>
  static constexpr index read(const void* data, index i) {
    return static_cast<index>(static_cast<const T*>(data)[i]);
  }
  template <class S>
  static index read_there(const void* source, index i) {
    return static_cast<const S*>(source)->ids_here()[i];
  }

  const void* data_ = nullptr;
  index size_ = 0, stride_ = 1;
  index (*read_)(const void*, index) = nullptr;
};

}  // namespace emend
