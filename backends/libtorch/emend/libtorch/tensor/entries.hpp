#pragma once

#include <emend/core/column.hpp>
#include <emend/core/id_column.hpp>

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <concepts>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

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

}  // namespace emend
