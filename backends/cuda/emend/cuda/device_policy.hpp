#pragma once

#include <emend/base/errors.hpp>
#include <emend/core/token.hpp>
#include <emend/losses/kl_estimators.hpp>

#include <concepts>
#include <string>
#include <type_traits>
#include <utility>

namespace emend::cuda {

/// One number per token in the memory of a device, for losses that run there: `column(t)` is the token's entry.
template <class T>
struct device_column {
  const T* data = nullptr;
  index stride = 1;
  template <class R>
  constexpr double operator()(const token<R>& t) const {
    return static_cast<double>(data[t.position * stride]);
  }
};

namespace detail {

template <class Policy, class T, class R>
constexpr R policy_at(const Policy& policy, const device_column<T>& old_log_prob, const device_column<T>& advantage,
                      double entropy_coefficient, const token<R>& t) {
  const R log_ratio = emend::detail::log_ratio_between(t.log_prob, R(old_log_prob(t)));
  const R loss = policy.surrogate(log_ratio, t.log_prob, advantage(t));
  return entropy_coefficient == 0 ? loss : loss - entropy_coefficient * t.entropy;
}

}  // namespace detail

/// What of a `device_policy` goes to a device: trivially copyable, and so a member for losses of your own.
///   const auto ppo = policy.on_device();
/// Throws std::invalid_argument if a column of the policy itself is given, which lies on the host. Columns that are not
/// given own nothing, so that the policy's bytes are all of it.
template <class Policy, class T = float>
class policy_on_device {
 public:
  static constexpr bool uses_log_sum_squares = false;
  device_column<T> old_log_prob, advantage;
  double entropy_coefficient = 0;

  policy_on_device(const Policy& policy, device_column<T> old_ones, device_column<T> advantages, double coefficient)
      : old_log_prob(old_ones), advantage(advantages), entropy_coefficient(coefficient) {
    require_none("policy.old_log_prob", policy.old_log_prob);
    require_none("policy.advantage", policy.advantage);
    __builtin_memcpy(bytes_, static_cast<const void*>(&policy), sizeof policy);
  }

  template <class R>
  constexpr R operator()(const token<R>& t) const {
    return detail::policy_at(*reinterpret_cast<const Policy*>(bytes_), old_log_prob, advantage, entropy_coefficient, t);
  }

 private:
  template <class Column>
  static void require_none(const char* argument, const Column& values) {
    if (values.is_given())
      emend::detail::fail(argument, "no column of the host; device_policy has columns of the device of the same name",
                          "one of " + std::to_string(values.size()) + " entries");
  }

  alignas(Policy) unsigned char bytes_[sizeof(Policy)];
};

/// A policy loss of the library (`ppo_clip`, `cispo`, ..) over columns of a device; its own columns stay empty, which
/// is looked at when it goes there.
template <class Policy, class T = float>
struct device_policy {
  static constexpr bool uses_log_sum_squares = false;
  Policy policy = {};
  device_column<T> old_log_prob = {}, advantage = {};
  double entropy_coefficient = 0;  ///< of an entropy bonus: loss - coefficient entropy

  template <class R>
  constexpr R operator()(const token<R>& t) const {
    return detail::policy_at(policy, old_log_prob, advantage, entropy_coefficient, t);
  }
  policy_on_device<Policy, T> on_device() const { return {policy, old_log_prob, advantage, entropy_coefficient}; }
};

namespace detail {

template <class L>
constexpr decltype(auto) on_device(const L& loss) {
  if constexpr (requires { loss.on_device(); })
    return loss.on_device();
  else
    return (loss);
}
template <class L>
using form_on_device = std::remove_cvref_t<decltype(on_device(std::declval<const L&>()))>;

}  // namespace detail

/// A loss that a kernel can be given.
///
/// Valid expressions, with `l` a const L:
///   l(t)             for a token of dual numbers: a number of the same carrier
///   l.on_device()    optional: what goes to the device in place of l
/// What goes there is copied byte by byte, so that it must be trivially copyable: its columns are `device_column`s. A
/// loss that holds a column of the host (`ppo_clip`, a lambda that captured one) is none; `device_policy` makes one of
/// a policy loss.
/// What the compiler cannot check: that pointers are of the device, and that the arithmetic is constexpr.
template <class L>
concept device_loss = std::is_trivially_copyable_v<detail::form_on_device<L>> &&
                      requires(const detail::form_on_device<L>& l, const token<token_dual>& t) {
                        { l(t) } -> std::convertible_to<token_dual>;
                      };

namespace detail {

/// The sentence of every entry that takes a loss to a device.
template <class L>
constexpr void require_device_loss() {
  static_assert(std::is_trivially_copyable_v<form_on_device<L>>,
                "emend: a loss on a device must be trivially copyable, and this one is not: a column of the host is "
                "not, nor is what owns memory. Make its columns emend::cuda::device_column, and of a policy loss, "
                "such as ppo_clip, a device_policy<ppo_clip>{.policy, .old_log_prob, .advantage}");
  static_assert(!std::is_trivially_copyable_v<form_on_device<L>> || device_loss<L>,
                "emend: a loss on a device must be callable on token<token_dual>; write operator() as a constexpr "
                "template over the token's number, and call emend::exp, emend::min, emend::clamp in it");
}

}  // namespace detail

}  // namespace emend::cuda
