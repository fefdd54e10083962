#pragma once

#include <emend/core/entry_range.hpp>
#include <emend/core/read_numbers.hpp>

#include <initializer_list>

namespace emend {

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
        read_(&entry_there<S>),
        read_run_(&read_run_there<S>),
        read_flags_(&read_flags_there<S>) {}

  double operator[](index i) const {
    const index at = place(i);
    // The usual types without a call.
    if (read_ == &entry<double>) return entry<double>(data_, at);
    if (read_ == &entry<float>) return entry<float>(data_, at);
    return read_(data_, at);
  }
  /// Where the entries lie, if it is an S, else null.
  template <class S>
  const S* source() const {
    return read_ == &entry_there<S> ? static_cast<const S*>(data_) : nullptr;
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
        read_(&entry<T>),
        read_run_(&read_run<T>),
        read_flags_(&read_flags_run<T>) {}

  template <class T>
  static double entry(const void* data, index i) {
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
  static double entry_there(const void* source, index i) {
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

}  // namespace emend
