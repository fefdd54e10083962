#pragma once

#include <emend/core/token.hpp>
#include <emend/losses/kl_estimators.hpp>

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

/// A policy loss of the library (`ppo_clip`, `cispo`, ..) over columns of a device; its own columns stay empty.
template <class Policy, class T = float>
struct device_policy {
  static constexpr bool uses_log_sum_squares = false;
  Policy policy;
  device_column<T> old_log_prob, advantage;
  double entropy_coefficient = 0;  ///< of an entropy bonus: loss - coefficient entropy

  template <class R>
  constexpr R operator()(const token<R>& t) const {
    const R log_ratio = emend::detail::log_ratio_between(t.log_prob, R(old_log_prob(t)));
    const R loss = policy.surrogate(log_ratio, t.log_prob, advantage(t));
    return entropy_coefficient == 0 ? loss : loss - entropy_coefficient * t.entropy;
  }
};

}  // namespace emend::cuda
