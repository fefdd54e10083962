#pragma once

#include <emend/carriers/dual.hpp>
#include <emend/core/token.hpp>

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/log_sigmoid.h>
#include <ATen/ops/rsub.h>
#include <ATen/ops/where.h>

#include <concepts>
#include <exception>
#include <type_traits>
#include <utility>

namespace emend {

namespace detail {

/// Thrown where a loss wants a single number of a token that lies on a device, as an `if` does: it is then called on
/// the host.
struct needs_host : std::exception {
  const char* what() const noexcept override {
    return "emend: a loss wants a number of a single token on the host; branch by emend::select";
  }
};

}  // namespace detail

/// Whether something holds, for every token at once: a tensor of bool, or one answer for all.
class tensor_condition {
 public:
  tensor_condition(bool holds) : holds_(holds) {}
  explicit tensor_condition(at::Tensor values) : values_(std::move(values)) {}
  bool is_constant() const { return !values_.defined(); }
  const at::Tensor& tensor() const { return values_; }
  /// For the same answer for all; else throws, which emend::loss takes as the wish to be called on the host.
  operator bool() const {
    if (!is_constant()) throw detail::needs_host();
    return holds_;
  }

  friend tensor_condition operator!(const tensor_condition& a) {
    return a.is_constant() ? tensor_condition(!a.holds_) : tensor_condition(a.values_.bitwise_not());
  }
  friend tensor_condition operator||(const tensor_condition& a, const tensor_condition& b) {
    if (a.is_constant()) return a.holds_ ? a : b;
    if (b.is_constant()) return b.holds_ ? b : a;
    return tensor_condition(a.values_.bitwise_or(b.values_));
  }
  friend tensor_condition operator&&(const tensor_condition& a, const tensor_condition& b) { return !(!a || !b); }
  friend tensor_condition operator||(const tensor_condition& a, bool b) { return a || tensor_condition(b); }
  friend tensor_condition operator||(bool a, const tensor_condition& b) { return tensor_condition(a) || b; }
  friend tensor_condition operator&&(const tensor_condition& a, bool b) { return a && tensor_condition(b); }
  friend tensor_condition operator&&(bool a, const tensor_condition& b) { return tensor_condition(a) && b; }

 private:
  at::Tensor values_;
  bool holds_ = false;
};

/// A number of every token at once: a tensor of double, [tokens], on any device; or a constant, the same for all, which
/// costs nothing there. With `dual` around it the carrier of losses that are called once for all tokens: see
/// `tensor_dual`.
class tensor_number {
 public:
  tensor_number() = default;
  template <class C>
    requires std::is_arithmetic_v<C>
  tensor_number(C constant) : constant_(static_cast<double>(constant)) {}
  explicit tensor_number(at::Tensor values) : values_(std::move(values)) {}

  bool is_constant() const { return !values_.defined(); }
  bool is(double constant) const { return is_constant() && constant_ == constant; }
  const at::Tensor& tensor() const { return values_; }
  /// Of a constant; else throws, which emend::loss takes as the wish to be called on the host.
  operator double() const {
    if (!is_constant()) throw detail::needs_host();
    return constant_;
  }
  /// The numbers themselves, [tokens], of a constant too.
  at::Tensor expanded(index tokens, const at::Device& device) const {
    return is_constant() ? at::full({tokens}, constant_, at::TensorOptions().dtype(at::kDouble).device(device))
                         : values_;
  }

  friend tensor_number operator-(const tensor_number& a) {
    return a.is_constant() ? tensor_number(-a.constant_) : tensor_number(a.values_.neg());
  }
  friend tensor_number operator+(const tensor_number& a, const tensor_number& b) {
    if (a.is(0)) return b;
    if (b.is(0)) return a;
    if (b.is_constant())
      return a.is_constant() ? tensor_number(a.constant_ + b.constant_) : tensor_number(a.values_ + b.constant_);
    return a.is_constant() ? tensor_number(b.values_ + a.constant_) : tensor_number(a.values_ + b.values_);
  }
  friend tensor_number operator-(const tensor_number& a, const tensor_number& b) {
    if (a.is(0)) return -b;
    if (b.is(0)) return a;
    if (b.is_constant())
      return a.is_constant() ? tensor_number(a.constant_ - b.constant_) : tensor_number(a.values_ - b.constant_);
    return tensor_number(a.is_constant() ? at::rsub(b.values_, a.constant_) : a.values_ - b.values_);
  }
  friend tensor_number operator*(const tensor_number& a, const tensor_number& b) {
    if (a.is(1)) return b;
    if (b.is(1)) return a;
    if (b.is_constant())
      return a.is_constant() ? tensor_number(a.constant_ * b.constant_) : tensor_number(a.values_ * b.constant_);
    return a.is_constant() ? tensor_number(b.values_ * a.constant_) : tensor_number(a.values_ * b.values_);
  }
  friend tensor_number operator/(const tensor_number& a, const tensor_number& b) {
    if (b.is(1)) return a;
    if (b.is_constant())
      return a.is_constant() ? tensor_number(a.constant_ / b.constant_) : tensor_number(a.values_ / b.constant_);
    return tensor_number((a.is_constant() ? at::full({}, a.constant_, b.values_.options()) : a.values_) / b.values_);
  }

  friend tensor_condition operator<(const tensor_number& a, const tensor_number& b) {
    // Nothing is below -inf: bounds that are none cost nothing.
    if (a.is(detail::infinity) || b.is(-detail::infinity)) return false;
    return compared(a, b, [](const auto& x, const auto& y) { return x < y; });
  }
  friend tensor_condition operator<=(const tensor_number& a, const tensor_number& b) {
    return compared(a, b, [](const auto& x, const auto& y) { return x <= y; });
  }
  friend tensor_condition operator>(const tensor_number& a, const tensor_number& b) { return b < a; }
  friend tensor_condition operator>=(const tensor_number& a, const tensor_number& b) { return b <= a; }
  friend tensor_condition operator==(const tensor_number& a, const tensor_number& b) {
    return compared(a, b, [](const auto& x, const auto& y) { return x == y; });
  }
  friend tensor_condition operator!=(const tensor_number& a, const tensor_number& b) {
    return compared(a, b, [](const auto& x, const auto& y) { return x != y; });
  }

  tensor_number& operator+=(const tensor_number& b) { return *this = *this + b; }
  tensor_number& operator-=(const tensor_number& b) { return *this = *this - b; }
  tensor_number& operator*=(const tensor_number& b) { return *this = *this * b; }
  tensor_number& operator/=(const tensor_number& b) { return *this = *this / b; }

  // Plain numbers beside it: without these, its conversion to double would be as good a match.
#define EMEND_WITH_CONSTANT(result, op)                    \
  template <class C>                                       \
    requires std::is_arithmetic_v<C>                       \
  friend result operator op(const tensor_number& a, C b) { \
    return a op tensor_number(b);                          \
  }                                                        \
  template <class C>                                       \
    requires std::is_arithmetic_v<C>                       \
  friend result operator op(C a, const tensor_number& b) { \
    return tensor_number(a) op b;                          \
  }
  EMEND_WITH_CONSTANT(tensor_number, +)
  EMEND_WITH_CONSTANT(tensor_number, -)
  EMEND_WITH_CONSTANT(tensor_number, *)
  EMEND_WITH_CONSTANT(tensor_number, /)
  EMEND_WITH_CONSTANT(tensor_condition, <)
  EMEND_WITH_CONSTANT(tensor_condition, <=)
  EMEND_WITH_CONSTANT(tensor_condition, >)
  EMEND_WITH_CONSTANT(tensor_condition, >=)
  EMEND_WITH_CONSTANT(tensor_condition, ==)
  EMEND_WITH_CONSTANT(tensor_condition, !=)
#undef EMEND_WITH_CONSTANT

 private:
  template <class F>
  static tensor_condition compared(const tensor_number& a, const tensor_number& b, const F& f) {
    if (a.is_constant() && b.is_constant()) return tensor_condition(f(a.constant_, b.constant_));
    if (b.is_constant()) return tensor_condition(f(a.values_, at::Scalar(b.constant_)));
    return tensor_condition(a.is_constant() ? f(at::Scalar(a.constant_), b.values_) : f(a.values_, b.values_));
  }

  at::Tensor values_;
  double constant_ = 0;
};

inline tensor_number value_of(const tensor_number& x) { return x; }
inline tensor_number detach(const tensor_number& x) { return x; }
inline tensor_number select(const tensor_condition& condition, const tensor_number& x, const tensor_number& y) {
  if (condition.is_constant()) return condition ? x : y;
  if (x.is_constant() && y.is_constant()) {
    const double at_true = x, at_false = y;
    if (at_true == at_false) return x;
    return tensor_number(at::full(condition.tensor().sizes(), at_false, condition.tensor().options().dtype(at::kDouble))
                             .masked_fill_(condition.tensor(), at_true));
  }
  if (x.is_constant()) return tensor_number(y.tensor().masked_fill(condition.tensor(), static_cast<double>(x)));
  if (y.is_constant())
    return tensor_number(x.tensor().masked_fill(condition.tensor().bitwise_not(), static_cast<double>(y)));
  return tensor_number(at::where(condition.tensor(), x.tensor(), y.tensor()));
}
inline tensor_number select(bool condition, const tensor_number& x, const tensor_number& y) {
  return condition ? x : y;
}
inline tensor_number select(const tensor_condition& condition, const tensor_number& x, double y) {
  return select(condition, x, tensor_number(y));
}
inline tensor_number select(const tensor_condition& condition, double x, const tensor_number& y) {
  return select(condition, tensor_number(x), y);
}
inline tensor_number select(const tensor_condition& condition, double x, double y) {
  return select(condition, tensor_number(x), tensor_number(y));
}
inline tensor_number chain_product(const tensor_number& slope, const tensor_number& derivative) {
  if (slope.is(0) || derivative.is(0)) return 0.0;
  const tensor_number product = slope * derivative;
  // A number times 0 is 0 of itself.
  const auto is_number = [](const tensor_number& x) {
    return x.is_constant() && __builtin_isfinite(static_cast<double>(x));
  };
  if (is_number(slope) || is_number(derivative)) return product;
  return select(slope == 0 || derivative == 0, 0.0, product);
}

// The functions of real.hpp.
#define EMEND_FOR_EVERY_TOKEN(name, of_tensor)                                                       \
  inline tensor_number name(const tensor_number& x) {                                                \
    return x.is_constant() ? tensor_number(name(static_cast<double>(x))) : tensor_number(of_tensor); \
  }
EMEND_FOR_EVERY_TOKEN(exp, x.tensor().exp())
EMEND_FOR_EVERY_TOKEN(expm1, x.tensor().expm1())
EMEND_FOR_EVERY_TOKEN(log, x.tensor().log())
EMEND_FOR_EVERY_TOKEN(log1p, x.tensor().log1p())
EMEND_FOR_EVERY_TOKEN(sqrt, x.tensor().sqrt())
EMEND_FOR_EVERY_TOKEN(tanh, x.tensor().tanh())
EMEND_FOR_EVERY_TOKEN(sin, x.tensor().sin())
EMEND_FOR_EVERY_TOKEN(cos, x.tensor().cos())
EMEND_FOR_EVERY_TOKEN(abs, x.tensor().abs())
EMEND_FOR_EVERY_TOKEN(square, x.tensor().square())
EMEND_FOR_EVERY_TOKEN(sigmoid, x.tensor().sigmoid())
EMEND_FOR_EVERY_TOKEN(log_sigmoid, at::log_sigmoid(x.tensor()))
#undef EMEND_FOR_EVERY_TOKEN
inline tensor_number pow(const tensor_number& x, double exponent) {
  return x.is_constant() ? tensor_number(pow(static_cast<double>(x), exponent))
                         : tensor_number(x.tensor().pow(exponent));
}
inline tensor_number min(const tensor_number& a, const tensor_number& b) { return select(a < b || a != a, a, b); }
inline tensor_number max(const tensor_number& a, const tensor_number& b) { return select(a > b || a != a, a, b); }
inline tensor_number min(const tensor_number& a, double b) { return min(a, tensor_number(b)); }
inline tensor_number min(double a, const tensor_number& b) { return min(tensor_number(a), b); }
inline tensor_number max(const tensor_number& a, double b) { return max(a, tensor_number(b)); }
inline tensor_number max(double a, const tensor_number& b) { return max(tensor_number(a), b); }
inline tensor_number clamp(const tensor_number& x, const tensor_number& low, const tensor_number& high) {
  return select(x < low, low, select(x > high, high, x));
}
inline tensor_number clamp(const tensor_number& x, double low, double high) {
  return clamp(x, tensor_number(low), tensor_number(high));
}

/// A count for every token at once, as the length of its sequence: where a single token has an index.
struct tensor_count {
  tensor_number numbers;
  operator index() const { throw detail::needs_host(); }
};
/// Beside the same of a single count: see core/token.hpp.
inline const tensor_number& as_number(const tensor_count& counts) { return counts.numbers; }
// Losses that calculate with the count itself.
#define EMEND_WITH_COUNT(op)                                                                    \
  template <int N>                                                                              \
  dual<tensor_number, N> operator op(const dual<tensor_number, N>& a, const tensor_count & b) { \
    return a op dual<tensor_number, N>(b.numbers);                                              \
  }                                                                                             \
  template <int N>                                                                              \
  dual<tensor_number, N> operator op(const tensor_count & a, const dual<tensor_number, N>& b) { \
    return dual<tensor_number, N>(a.numbers) op b;                                              \
  }
EMEND_WITH_COUNT(+)
EMEND_WITH_COUNT(-)
EMEND_WITH_COUNT(*)
EMEND_WITH_COUNT(/)
#undef EMEND_WITH_COUNT

/// The dual number of every token at once: what `emend::loss` calls a loss on where the scores stay on their device.
using tensor_dual = dual<tensor_number, detail::statistic_count>;
/// The same with the summary of each token's sequence as one more variable: see `sequence_loss`.
using tensor_sequence_dual = dual<tensor_number, detail::statistic_count + 1>;
static_assert(real<tensor_number> && real<tensor_dual> && real<tensor_sequence_dual>);

/// A plain number of a token, as a loss wants that takes it out of the carrier: only the host has one.
inline double value_of(const tensor_dual& x) { return static_cast<double>(x.value); }
inline double value_of(const tensor_sequence_dual& x) { return static_cast<double>(x.value); }

}  // namespace emend
