#pragma once

#include <emend/libtorch/tensor/number.hpp>
#include <emend/sequence_match/trajectory_objective.hpp>

#include <concepts>
#include <type_traits>
#include <utility>

namespace emend::detail {

/// Whether a function of the objective, or of a divergence in it, is noexcept. Such a function cannot be called on
/// tensors: if it needs a plain number, an exception is thrown through it to restart the call on the host.
template <class C>
constexpr bool is_noexcept_anywhere() {
  using number = tensor_number;
  const bool of_itself = requires(const C& c, const number& x) { requires noexcept(c.step(true, x)); } ||
                         requires(const C& c, const number& x) { requires noexcept(c.tail(true, x)); } ||
                         requires(const C& c, const number& x) { requires noexcept(c.next_value(true, x)); } ||
                         requires(const C& c, const number& x) { requires noexcept(c.is_step_outside(x)); } ||
                         requires(const C& c, const number& x) { requires noexcept(c.is_tail_outside(x)); } ||
                         requires(const C& c, const number& x) { requires noexcept(c.phi(x)); } ||
                         requires(const C& c, const number& x) { requires noexcept(c.derivative(x)); } ||
                         requires(const C& c, const number& x) { requires noexcept(c.is_outside(x)); };
  if constexpr (requires(const C& c) { c.divergence; })
    return of_itself || is_noexcept_anywhere<std::remove_cvref_t<decltype(std::declval<const C&>().divergence)>>();
  else
    return of_itself;
}

/// What the compiler sees of whether an objective can be called on all steps of a batch at once.
template <class O>
concept objective_of_all_steps = requires(const O& o, bool is_rollout, const tensor_number& x) {
  { o.step(is_rollout, x) } -> std::same_as<basic_value_and_slope<tensor_number>>;
  { o.tail(is_rollout, x) } -> std::same_as<basic_value_and_slope<tensor_number>>;
  { o.is_step_outside(x) } -> std::convertible_to<tensor_condition>;
  { o.is_tail_outside(x) } -> std::convertible_to<tensor_condition>;
  requires !is_noexcept_anywhere<O>();
};

}  // namespace emend::detail
