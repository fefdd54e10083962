#pragma once

#include <emend/libtorch/tensor/entries.hpp>

#include <initializer_list>
#include <span>
#include <vector>

namespace emend {

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

}  // namespace emend
