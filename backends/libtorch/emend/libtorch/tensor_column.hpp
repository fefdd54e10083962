#pragma once

#include <emend/core/layout.hpp>

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <concepts>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace emend {

namespace detail {

/// "2 x 3", or "a scalar".
inline std::string text_of_shape(at::IntArrayRef sizes) {
  std::string text;
  for (const auto extent : sizes) text.append(text.empty() ? "" : " x ").append(std::to_string(extent));
  return text.empty() ? "a scalar" : text;
}

/// Throws std::invalid_argument if x has two dimensions or more and another shape. One dimension is taken for the
/// entries in row-major order, whose number is checked where they are read.
inline void require_shape(const char* argument, const at::Tensor& x, at::IntArrayRef expected) {
  if (x.defined() && x.dim() > 1 && x.sizes() != expected)
    fail(argument, "shape " + text_of_shape(expected), text_of_shape(x.sizes()));
}

/// The same for what stands beside `like`.
inline void require_shape_of(const char* argument, const at::Tensor& x, const at::Tensor& like) {
  if (like.defined()) require_shape(argument, x, like.sizes());
}

/// Throws std::invalid_argument if autograd would expect a derivative with respect to x. Under at::NoGradGuard every
/// tensor is a constant.
inline void require_constant(const char* argument, const at::Tensor& x) {
  if (x.defined() && x.requires_grad() && at::GradMode::is_enabled())
    fail(argument, "a tensor that does not require grad, or .detach(), since it is a constant here",
         "one that requires grad");
}

/// The numbers of a tensor in this process's memory, of C++'s type T, which live as long as this object or a copy.
template <class T>
struct tensor_numbers {
  at::Tensor held;  ///< of at most two dimensions
};

/// f(T*) with the type of C++ of a dtype other than the 16-bit floating-point ones.
template <class F>
void with_number_type(at::ScalarType type, F&& f) {
  switch (type) {
    case at::kFloat:
      return f(static_cast<float*>(nullptr));
    case at::kDouble:
      return f(static_cast<double*>(nullptr));
    case at::kBool:
      return f(static_cast<bool*>(nullptr));
    case at::kByte:
      return f(static_cast<std::uint8_t*>(nullptr));
    case at::kChar:
      return f(static_cast<std::int8_t*>(nullptr));
    case at::kShort:
      return f(static_cast<std::int16_t*>(nullptr));
    case at::kInt:
      return f(static_cast<std::int32_t*>(nullptr));
    default:
      return f(static_cast<std::int64_t*>(nullptr));
  }
}

}  // namespace detail

template <class T>
struct backend<detail::tensor_numbers<T>> {
  static strided_numbers<const T> numbers(const detail::tensor_numbers<T>& x) {
    return detail::numbers_of_array(
        static_cast<const T*>(x.held.const_data_ptr()), x.held.dim(), [&](index d) { return x.held.size(d); },
        [&](index d) { return x.held.stride(d); });
  }
};

namespace detail {

/// The entries of a tensor in this process's memory, which the columns keep alive: its own memory where two strides
/// describe them, else a copy.
struct host_entries {
  column numbers;
  id_column ids;

  explicit host_entries(const at::Tensor& given) {
    at::Tensor held = given.detach().cpu();
    if (held.is_neg()) held = held.resolve_neg();
    const at::ScalarType type = held.scalar_type();
    if (type == at::kHalf || type == at::kBFloat16) held = held.to(at::kFloat);
    if (held.numel() == 0)
      held = held.reshape({0});
    else if (held.dim() > 2)
      held = held.reshape({-1, held.size(-1)});
    with_number_type(held.scalar_type(), [&]<class T>(T*) {
      numbers = column(tensor_numbers<T>{held});
      if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) ids = id_column(tensor_numbers<T>{held});
    });
  }
};

/// A tensor on a device; its entries come to the host when somebody there first reads one, whoever that is, behind what
/// the stream of this object's maker had to do.
class device_entries {
 public:
  explicit device_entries(const at::Tensor& values) : values_(values) {
    const c10::Device device = values.device();
    if (c10::impl::hasDeviceGuardImpl(device.type()))
      stream_ = c10::impl::getDeviceGuardImpl(device.type())->getStream(device);
  }
  const at::Tensor& tensor() const { return values_; }
  const column& here() const { return brought().numbers; }
  const id_column& ids_here() const { return brought().ids; }

 private:
  const host_entries& brought() const {
    std::call_once(is_brought_, [this] {
      const c10::OptionalStreamGuard guard(stream_);
      entries_.emplace(values_);
    });
    return *entries_;
  }

  at::Tensor values_;
  std::optional<c10::Stream> stream_;
  mutable std::once_flag is_brought_;
  mutable std::optional<host_entries> entries_;
};

/// A column of a device's entries that keeps them alive, as do its copies.
template <class Column>
struct device_entry_column : Column {
  device_entry_column(const std::shared_ptr<const device_entries>& source, index size) : Column(source.get(), size) {
    this->owner_.take_over(source);
  }
};

/// A range of numbers of an integer type other than bool, whose type the compiler knows.
template <class X>
concept integer_range = numbers_in_memory<const X> && std::is_integral_v<std::remove_cv_t<number_of<const X>>> &&
                        !std::is_same_v<std::remove_cv_t<number_of<const X>>, bool>;

}  // namespace detail

/// A tensor as the columns that the library takes, `column` and `id_column`; also anything that is a column already.
///   auto [advantage, returns] = gae(tensor_column(reward), tensor_column(value), tensor_layout(reward, mask));
/// values: any shape, read in row-major order; an undefined tensor is a column that is not given. Floating-point,
/// integer and bool dtypes; as ids integer ones. argument: what an error is to name. Ranges: as of `column`.
/// A tensor is a constant of the loss: throws std::invalid_argument if it requires grad, unless at::NoGradGuard is
/// there; .detach() says that it is meant. Throws std::invalid_argument on another dtype or layout, too.
/// Lifetime: this object, and every column made from it, keeps the tensor alive. The tensor's memory is read where it
/// is if it is on the host, in a dtype of C++, and two strides describe it; else a converted copy is. Of ranges, those
/// with a name are viewed, temporaries and braced lists are taken over. From a device the entries, a few bytes a token,
/// are copied to the host, which waits for the device, when they are first read there, and only then; `emend::loss`
/// reads them where they are, at each call.
class tensor_column {
 public:
  tensor_column() = default;
  tensor_column(const at::Tensor& values, const char* argument) : tensor_column(values, argument, true) {}
  /// Without a name: whether it requires grad is looked at where it becomes a column, since the options of a call know
  /// its name.
  tensor_column(const at::Tensor& values) : tensor_column(values, "a column", false) {}
  template <class X>
    requires(std::constructible_from<column, X> && !std::derived_from<std::remove_cvref_t<X>, tensor_column> &&
             !std::same_as<std::remove_cvref_t<X>, at::Tensor>)
  tensor_column(X&& values) {
    using range = std::remove_cvref_t<X>;
    if constexpr (detail::integer_range<range>) {
      // A temporary cannot end in two columns: the ids get a copy.
      if constexpr (std::is_lvalue_reference_v<X> || std::is_array_v<range>)
        ids_ = id_column(std::forward<X>(values));
      else
        ids_ = id_column(range(values));
      has_ids_ = true;
    } else if constexpr (detail::visited_range<X>) {
      backend<range>::visit_numbers(std::as_const(values), [&]<class T>(strided_numbers<const T>) {
        has_ids_ = std::is_integral_v<T> && !std::is_same_v<T, bool>;
      });
      if constexpr (std::is_lvalue_reference_v<X>) {
        if (has_ids_) ids_ = id_column(values);
      } else {
        if (has_ids_) ids_ = id_column(range(values));
      }
    }
    column_ = column(std::forward<X>(values));
  }
  /// As numbers, too: from a copy of the ids.
  tensor_column(id_column ids) : ids_(std::move(ids)), has_ids_(true) {
    if (!ids_.is_given()) return;
    std::vector<index> numbers(static_cast<std::size_t>(ids_.size()));
    for (index i = 0; i < ids_.size(); ++i) numbers[static_cast<std::size_t>(i)] = ids_[i];
    column_ = column(std::move(numbers));
  }
  tensor_column(std::initializer_list<double> values) : column_(values) {}
  template <detail::plain_number T>
  tensor_column(std::initializer_list<T> values) : column_(values) {
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) ids_ = id_column(values), has_ids_ = true;
  }

  operator const column&() const {
    if (!is_named_) detail::require_constant(argument_, given_);
    return column_;
  }
  /// Throws std::invalid_argument if the numbers are not of an integer type.
  operator const id_column&() const {
    if (!has_ids_ && !column_.empty()) detail::fail(argument_, "ids of an integer dtype", "numbers of another one");
    return ids_;
  }
  /// The tensor that it was made of, if any.
  const at::Tensor& tensor() const { return given_; }
  bool empty() const { return column_.empty(); }
  /// Whether it was made from anything at all but an undefined tensor.
  bool is_given() const { return column_.is_given(); }

 private:
  tensor_column(const at::Tensor& values, const char* argument, bool is_named)
      : given_(values), argument_(argument), is_named_(is_named) {
    if (!values.defined()) return;
    if (values.layout() != at::kStrided) detail::fail(argument, "a dense tensor", "another layout");
    const at::ScalarType type = values.scalar_type();
    has_ids_ = at::isIntegralType(type, false);
    const bool is_number = has_ids_ || type == at::kBool || type == at::kFloat || type == at::kDouble ||
                           type == at::kHalf || type == at::kBFloat16;
    if (!is_number || c10::isBarebonesUnsignedType(type))
      detail::fail(argument, "a floating-point, integer or bool dtype", c10::toString(type));
    if (is_named) detail::require_constant(argument, values);
    if (values.is_cpu()) {
      const detail::host_entries entries(values);
      column_ = entries.numbers;
      ids_ = entries.ids;
    } else {
      const auto there = std::make_shared<const detail::device_entries>(values);
      column_ = detail::device_entry_column<column>(there, values.numel());
      ids_ = detail::device_entry_column<id_column>(there, values.numel());
    }
  }

  at::Tensor given_;
  column column_;
  id_column ids_;
  bool has_ids_ = false;
  const char* argument_ = "a column";
  bool is_named_ = true;
};

/// One number per sequence as one per token, for columns inside a loss, whose tokens' shape only the caller knows.
///   ppo_clip ppo{.old_log_prob = old, .advantage = tensor_column(per_sequence(advantage, ids))};
/// values: [..] or [.., 1], or one dimension of as many entries, for like [.., T]; each is repeated over the last
/// dimension. A tensor of like's shape comes back as it is. Throws std::invalid_argument on another shape. A view: no
/// memory is copied. `tensor_loss_options::mask` and `weight` are repeated so by themselves.
inline at::Tensor per_sequence(const at::Tensor& values, const at::Tensor& like) {
  if (!values.defined()) return values;
  if (!like.defined() || like.dim() == 0) detail::fail("like", "a tensor of at least one dimension", "none");
  if (values.sizes() == like.sizes()) return values;
  const at::IntArrayRef leading = like.sizes().slice(0, static_cast<std::size_t>(like.dim()) - 1);
  std::vector<std::int64_t> with_one = leading.vec();
  with_one.push_back(1);
  std::int64_t sequences = 1;
  for (const auto extent : leading) sequences *= extent;
  const bool is_flat = values.dim() <= 1 && values.numel() == sequences;
  if (values.sizes() != leading && values.sizes() != at::IntArrayRef(with_one) && !is_flat)
    detail::fail("a number per sequence",
                 "shape " + detail::text_of_shape(leading) + " or " + detail::text_of_shape(with_one),
                 detail::text_of_shape(values.sizes()));
  return values.reshape(with_one).expand(like.sizes());
}

namespace detail {

struct mask_holder {
  tensor_column held;
};

}  // namespace detail

/// `padded` of a tensor's shape: the last dimension is a sequence's length, those before it count sequences.
/// values: [.., T]; mask: its shape, 0 where a position does not count, or undefined.
/// Throws std::invalid_argument on a scalar, or a mask of another shape.
class tensor_layout : detail::mask_holder, public padded {
 public:
  explicit tensor_layout(const at::Tensor& values, const at::Tensor& mask = {})
      : mask_holder{tensor_column(mask, "mask")}, padded(sequences_of(values), length_of(values), held) {
    if (mask.defined() && mask.sizes() != values.sizes())
      detail::fail("mask", "the shape of the values", "another one");
  }

 private:
  static index length_of(const at::Tensor& values) {
    if (!values.defined() || values.dim() == 0) detail::fail("values", "a tensor of at least one dimension", "none");
    return values.size(-1);
  }
  static index sequences_of(const at::Tensor& values) {
    length_of(values);
    index count = 1;
    for (index d = 0; d + 1 < values.dim(); ++d) count *= values.size(d);
    return count;
  }
};
static_assert(detail::contiguous_layout<tensor_layout>);

/// Numbers that the library gave, as a tensor on the device of `like`.
///   double         float, or double where `like` is double
///   index          int64
///   char, uint8_t  bool
/// Of like's shape where the entries fit it, of its leading dimensions where they fit those (one number a sequence),
/// else [n]. From the host to a device they are copied. Cost: one pass.
template <class T>
at::Tensor as_tensor(std::span<const T> values, const at::Tensor& like) {
  constexpr bool is_flag = sizeof(T) == 1, is_id = std::is_integral_v<T> && !is_flag;
  const at::ScalarType type = is_flag                             ? at::kBool
                              : is_id                             ? at::kLong
                              : like.scalar_type() == at::kDouble ? at::kDouble
                                                                  : at::kFloat;
  const auto size = static_cast<std::int64_t>(values.size());
  at::Tensor result = at::empty({size}, at::TensorOptions().dtype(type));
  void* data = result.mutable_data_ptr();
  const auto write = [&]<class U>(U* out) {
    for (std::size_t i = 0; i < values.size(); ++i) out[i] = static_cast<U>(values[i]);
  };
  if (is_flag)
    write(static_cast<bool*>(data));
  else if (is_id)
    write(static_cast<std::int64_t*>(data));
  else if (type == at::kDouble)
    write(static_cast<double*>(data));
  else
    write(static_cast<float*>(data));
  if (like.numel() == size)
    result = result.view(like.sizes());
  else if (like.dim() > 1 && like.numel() == size * like.size(-1))
    result = result.view(like.sizes().slice(0, static_cast<std::size_t>(like.dim()) - 1));
  return result.to(like.device());
}
template <class T>
at::Tensor as_tensor(const std::vector<T>& values, const at::Tensor& like) {
  return as_tensor(std::span<const T>(values), like);
}

}  // namespace emend
