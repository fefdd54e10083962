#pragma once

#include <emend/evaluation/evaluate_sequences.hpp>
#include <emend/libtorch/tensor/column.hpp>
#include <emend/libtorch/tensor/number.hpp>

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <concepts>
#include <utility>
#include <vector>

namespace emend {

namespace detail {

/// Which terms a call is for: count of them, from the first on.
struct tensor_terms {
  index first, count;
  at::Device device;
};

/// Entries of a column for the terms, in double on their device. What lies on the host goes there, which waits; what
/// lies on a device stays.
inline at::Tensor column_on_device(const column& values, const tensor_terms& of) {
  // A loss may ask for a column and then not use it; the host knows, and names the column if it is used.
  if (values.empty()) throw needs_host();
  if (of.first + of.count > values.size())
    fail("a column read by the loss", "entries for " + std::to_string(of.first + of.count) + " tokens",
         std::to_string(values.size()));
  if (const device_entries* there = values.source<device_entries>())
    return there->tensor()
        .detach()
        .reshape({-1})
        .narrow(0, of.first, of.count)
        .to(at::TensorOptions().dtype(at::kDouble).device(of.device));
  std::vector<double> entries(static_cast<std::size_t>(of.count));
  values.read(of.first, of.count, entries.data());
  const at::Tensor here = at::from_blob(entries.data(), {of.count}, at::TensorOptions().dtype(at::kDouble));
  return of.device.is_cpu() ? here.clone() : here.to(of.device);
}

/// Ids in int64 on the device, likewise.
inline at::Tensor ids_on_device(const id_column& ids, const at::Device& device) {
  if (const device_entries* there = ids.source<device_entries>())
    return there->tensor().detach().reshape({-1}).to(at::TensorOptions().dtype(at::kLong).device(device));
  std::vector<std::int64_t> entries;
  for (index i = 0; i < ids.size(); ++i) entries.push_back(ids[i]);
  const at::Tensor here = at::from_blob(entries.data(), {ids.size()}, at::TensorOptions().dtype(at::kLong));
  return device.is_cpu() ? here.clone() : here.to(device);
}

}  // namespace detail

/// Every token of a call at once. A loss that asks which one it is, or branches on a number, is called on the host
/// instead.
template <int N>
struct token<dual<tensor_number, N>> {
  /// Stands where a single token has its position.
  struct positions {
    detail::tensor_terms terms;
    operator index() const { throw detail::needs_host(); }
  };

  dual<tensor_number, N> log_prob, log_z, score, entropy, log_sum_squares, next_log_z;
  positions position;

  dual<tensor_number, N> operator()(const column& values) const { return dual<tensor_number, N>(number(values)); }
  tensor_number number(const column& values) const {
    return tensor_number(detail::column_on_device(values, position.terms));
  }
};

/// The same loss, called token by token wherever the scores lie, for one that a token of tensors cannot stand in:
///   emend::loss(emend::per_token([&](const auto& t) { return (t.log_prob < -2) * t.entropy; }), logits, ids)
/// loss: any `token_loss` or `sequence_loss`; its check, its metrics and what it says of the sum of squares are passed
/// on. Cost: of scores on a device a few numbers a token go to the host and back.
template <class Loss>
struct per_token {
  Loss loss;
  static constexpr bool uses_log_sum_squares = [] {
    if constexpr (requires { Loss::uses_log_sum_squares; }) return Loss::uses_log_sum_squares;
    return false;
  }();

  explicit per_token(Loss l) : loss(std::move(l)) {}
  void check([[maybe_unused]] index n) const {
    if constexpr (requires { loss.check(n); }) loss.check(n);
  }
  double operator()(const token<double>& t) const
    requires token_loss<Loss>
  {
    return loss(t);
  }
  token_dual operator()(const token<token_dual>& t) const
    requires token_loss<Loss>
  {
    return loss(t);
  }
  auto metrics(const token<double>& t) const
    requires requires(const Loss& l) { l.metrics(t); }
  {
    return loss.metrics(t);
  }

  template <class R>
    requires(std::same_as<R, double> || std::same_as<R, sequence_dual>)
  R summand(const token<R>& t) const
    requires sequence_loss<Loss>
  {
    return loss.summand(t);
  }
  template <class R>
    requires(std::same_as<R, double> || std::same_as<R, sequence_dual>)
  R operator()(const token<R>& t, const R& summary, index length) const
    requires sequence_loss<Loss>
  {
    return loss(t, summary, length);
  }
  auto metrics(const token<double>& t, double summary, index length) const
    requires requires(const Loss& l) { l.metrics(t, summary, length); }
  {
    return loss.metrics(t, summary, length);
  }
};

namespace detail {

/// Whether a loss can be called on all tokens at once, as far as the compiler sees: the loss takes their token and is
/// not noexcept. If the loss needs a plain number, an exception is thrown through it to restart the call on the host.
template <class Loss>
concept loss_of_all_tokens = requires(const Loss& l, const token<tensor_dual>& t) {
  { l(t) } -> std::convertible_to<tensor_dual>;
  requires !noexcept(l(t));
};

/// The same of a loss of whole sequences, whose length is then that of every token's sequence.
template <class Loss>
concept loss_of_all_sequences = requires(const Loss& l, const token<tensor_sequence_dual>& t,
                                         const tensor_sequence_dual& summary, const tensor_count& length) {
  { l.summand(t) } -> std::convertible_to<tensor_sequence_dual>;
  { l(t, summary, length) } -> std::convertible_to<tensor_sequence_dual>;
  requires !noexcept(l.summand(t)) && !noexcept(l(t, summary, length));
};
template <class Loss>
concept metrics_of_all_sequences = requires(const Loss& l, const token<tensor_sequence_dual>& t,
                                            const tensor_sequence_dual& summary, const tensor_count& length) {
  { l.metrics(t, summary, length)[0] } -> std::convertible_to<tensor_sequence_dual>;
  requires !noexcept(l.metrics(t, summary, length));
};

/// The same of its metrics.
template <class Loss>
concept metrics_of_all_tokens = requires(const Loss& l, const token<tensor_dual>& t) {
  { l.metrics(t)[0] } -> std::convertible_to<tensor_dual>;
  requires !noexcept(l.metrics(t));
};

/// A token of a call without any, to see whether a loss can be called on it.
template <int N>
token<dual<tensor_number, N>> token_of_none(const at::Device& device) {
  const tensor_number none(at::empty({0}, at::TensorOptions().dtype(at::kDouble).device(device)));
  const auto variable = [&](int of) { return dual<tensor_number, N>::variable(none, of); };
  return {dual<tensor_number, N>(none), variable(of_log_z),           variable(of_score), variable(of_entropy),
          variable(of_log_sum_squares), dual<tensor_number, N>(none), {{0, 0, device}}};
}

}  // namespace detail

}  // namespace emend
