#pragma once

#include <emend/core/entry_range.hpp>

#include <initializer_list>
#include <limits>
#include <string>
#include <vector>

namespace emend {

/// One id or position per token: targets, rows, links, offsets.
///
/// As `column`, of an integer type other than bool; it reads as `index`. Reading an unsigned number above the largest
/// index throws std::invalid_argument.
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
  id_column(const S* source, index size)
      : entry_range(source, size), read_(&entry_there<S>), read_run_(&read_run_there<S>) {}

  index operator[](index i) const {
    const index at = place(i);
    // The usual types without a call.
    if (read_ == &entry<index>) return entry<index>(data_, at);
    if (read_ == &entry<int>) return entry<int>(data_, at);
    return read_(data_, at);
  }
  /// Reads entries first .. first+count-1 into out: one call for a run of them.
  void read(index first, index count, index* out) const {
    for_each_run(first, count, [&](index entry, index place, index run) {
      read_run_(data_, place, stride_, run, out + (entry - first));
    });
  }
  /// Where the entries lie, if it is an S, else null.
  template <class S>
  const S* source() const {
    return read_ == &entry_there<S> ? static_cast<const S*>(data_) : nullptr;
  }

 private:
  template <class T>
  explicit id_column(detail::kept_numbers<T> kept)
      : entry_range(kept.numbers, std::move(kept.owner)), read_(&entry<T>), read_run_(&read_run<T>) {
    static_assert(std::is_integral_v<T> && !std::is_same_v<T, bool>,
                  "emend: ids must be of an integer type; convert them first, for example to std::vector<int>");
  }

  /// What no index holds is refused: it would be -1, or the same as another id.
  template <class T>
  static index as_index(T id) {
    if constexpr (std::is_unsigned_v<T> && sizeof(T) >= sizeof(index))
      if (id > static_cast<T>(std::numeric_limits<index>::max()))
        detail::fail("ids", "numbers that an index holds", std::to_string(id));
    return static_cast<index>(id);
  }
  template <class T>
  static index entry(const void* data, index i) {
    return as_index(static_cast<const T*>(data)[i]);
  }
  template <class T>
  static void read_run(const void* data, index first, index stride, index count, index* out) {
    const T* const from = static_cast<const T*>(data) + first;
    for (index i = 0; i < count; ++i) out[i] = as_index(from[i * stride]);
  }
  template <class S>
  static index entry_there(const void* source, index i) {
    return static_cast<const S*>(source)->ids_here()[i];
  }
  template <class S>
  static void read_run_there(const void* source, index first, index, index count, index* out) {
    static_cast<const S*>(source)->ids_here().read(first, count, out);
  }

  index (*read_)(const void*, index) = nullptr;
  void (*read_run_)(const void*, index, index, index, index*) = nullptr;
};

namespace detail {

/// `ids` become entries first .. last-1 of a column.
inline void read_ids(const id_column& column, index first, index last, std::vector<index>& ids) {
  ids.resize(static_cast<std::size_t>(last - first));
  column.read(first, last - first, ids.data());
}

}  // namespace detail

}  // namespace emend
