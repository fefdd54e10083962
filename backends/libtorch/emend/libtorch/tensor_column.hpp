#pragma once

#include <emend/core/layout.hpp>

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <concepts>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace emend {

namespace detail {

/// The entries of a tensor in this process's memory: a view where it is there already, else a copy.
struct host_entries {
  at::Tensor held;
  column numbers;
  id_column ids;

  explicit host_entries(const at::Tensor& given) {
    at::Tensor on_host = given.detach().cpu();
    if (on_host.is_neg()) on_host = on_host.resolve_neg();
    const at::ScalarType type = on_host.scalar_type();
    if (type == at::kHalf || type == at::kBFloat16) on_host = on_host.to(at::kFloat);
    held = on_host.dim() == 1 ? on_host : on_host.reshape({-1});
    const index size = held.numel(), stride = size > 0 ? held.stride(0) : 1;
    const void* data = held.const_data_ptr();
    const auto view = [&]<class T>(const T* first) {
      numbers = column(first, size, stride);
      if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) ids = id_column(first, size, stride);
    };
    switch (held.scalar_type()) {
      case at::kFloat:
        view(static_cast<const float*>(data));
        break;
      case at::kDouble:
        view(static_cast<const double*>(data));
        break;
      case at::kBool:
        view(static_cast<const bool*>(data));
        break;
      case at::kByte:
        view(static_cast<const std::uint8_t*>(data));
        break;
      case at::kChar:
        view(static_cast<const std::int8_t*>(data));
        break;
      case at::kShort:
        view(static_cast<const std::int16_t*>(data));
        break;
      case at::kInt:
        view(static_cast<const std::int32_t*>(data));
        break;
      default:
        view(static_cast<const std::int64_t*>(data));
        break;
    }
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

}  // namespace detail

/// A tensor as the columns that the library takes, `column` and `id_column`; also anything that is a column already.
///   auto [advantage, returns] = gae(tensor_column(reward), tensor_column(value), tensor_layout(reward, mask));
/// values: any shape, read in row-major order; an undefined tensor is an empty column. Floating-point, integer and bool
/// dtypes; as ids integer ones. Views the tensor where it is on the host, in a dtype of C++, and one stride describes
/// it; else this object holds the converted copy: give it a name where the column outlives the statement. From a device
/// the entries, a few bytes a token, are copied to the host, which waits for the device, when they are first read
/// there, and only then; `emend::loss` reads them where they are, at each call. argument: what an error is to name.
/// Throws std::invalid_argument on another dtype or layout.
class tensor_column {
 public:
  tensor_column() = default;
  tensor_column(const at::Tensor& values, const char* argument = "a column") : given_(values), argument_(argument) {
    if (!values.defined()) return;
    if (values.layout() != at::kStrided) detail::fail(argument, "a dense tensor", "another layout");
    const at::ScalarType type = values.scalar_type();
    has_ids_ = at::isIntegralType(type, false);
    const bool is_number = has_ids_ || type == at::kBool || type == at::kFloat || type == at::kDouble ||
                           type == at::kHalf || type == at::kBFloat16;
    if (!is_number || c10::isBarebonesUnsignedType(type))
      detail::fail(argument, "a floating-point, integer or bool dtype", c10::toString(type));
    if (values.is_cpu()) {
      const detail::host_entries entries(values);
      held_ = entries.held;
      column_ = entries.numbers;
      ids_ = entries.ids;
    } else {
      there_ = std::make_shared<const detail::device_entries>(values);
      column_ = column(there_.get(), values.numel());
      ids_ = id_column(there_.get(), values.numel());
    }
  }
  template <class X>
    requires(std::convertible_to<const X&, column> && !std::same_as<X, tensor_column> && !std::same_as<X, at::Tensor>)
  tensor_column(const X& values) : column_(values) {
    if constexpr (std::same_as<X, id_column>) ids_ = values, has_ids_ = true;
    if constexpr (requires { *values.data(); }) {
      using number = std::remove_cvref_t<decltype(*values.data())>;
      if constexpr (std::is_integral_v<number> && !std::is_same_v<number, bool>)
        ids_ = id_column(values), has_ids_ = true;
    }
  }

  operator const column&() const { return column_; }
  /// Throws std::invalid_argument if the numbers are not of an integer type.
  operator const id_column&() const {
    if (!has_ids_ && !column_.empty()) detail::fail(argument_, "ids of an integer dtype", "numbers of another one");
    return ids_;
  }
  /// The tensor that it was made of, if any.
  const at::Tensor& tensor() const { return given_; }
  bool empty() const { return column_.empty(); }

 private:
  at::Tensor given_, held_;
  std::shared_ptr<const detail::device_entries> there_;
  column column_;
  id_column ids_;
  bool has_ids_ = false;
  const char* argument_ = "a column";
};

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
