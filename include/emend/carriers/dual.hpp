#pragma once

#include <emend/carriers/real.hpp>

#include <type_traits>

namespace emend {

/// A number with N partial derivatives: forward-mode differentiation of a loss over the statistics of its token.
///
///   f(dual) = (f(value), f'(value) * derivative)
/// R is double, or a carrier without derivatives that has the functions of double and `chain_product`. Conventions at
/// the kinks are those of the field's automatic differentiation: min and max give half to each branch at a tie, clamp
/// passes the whole derivative at its edges, abs has derivative 0 at 0. A slope of exactly 0 stops a derivative however
/// infinite it is, and the other way round.
template <class R, int N>
struct dual {
  using condition = decltype(R() < R());

  R value{};
  R derivative[N]{};

  constexpr dual() = default;
  constexpr dual(R v) : value(v) {}
  template <class C>
    requires(std::is_arithmetic_v<C> && !std::is_arithmetic_v<R>)
  constexpr dual(C v) : value(v) {}
  /// The i-th variable: value v, derivative 1 with respect to itself.
  static constexpr dual variable(R v, int i) {
    dual x(v);
    x.derivative[i] = 1;
    return x;
  }

  /// f(x) with value `v` and slope `s` at x.
  constexpr dual chain(R v, R s) const {
    dual y(v);
    for (int i = 0; i < N; ++i) y.derivative[i] = chain_product(s, derivative[i]);
    return y;
  }

  friend constexpr dual operator-(const dual& a) { return a.chain(-a.value, R(-1)); }
  friend constexpr dual operator+(const dual& a, const dual& b) { return combine(a, b, a.value + b.value, R(1), R(1)); }
  friend constexpr dual operator-(const dual& a, const dual& b) {
    return combine(a, b, a.value - b.value, R(1), R(-1));
  }
  friend constexpr dual operator*(const dual& a, const dual& b) {
    return combine(a, b, a.value * b.value, b.value, a.value);
  }
  friend constexpr dual operator/(const dual& a, const dual& b) {
    const R quotient = a.value / b.value;
    return combine(a, b, quotient, 1 / b.value, -quotient / b.value);
  }
  constexpr dual& operator+=(const dual& b) { return *this = *this + b; }
  constexpr dual& operator-=(const dual& b) { return *this = *this - b; }
  constexpr dual& operator*=(const dual& b) { return *this = *this * b; }
  constexpr dual& operator/=(const dual& b) { return *this = *this / b; }

  friend constexpr condition operator<(const dual& a, const dual& b) { return a.value < b.value; }
  friend constexpr condition operator>(const dual& a, const dual& b) { return a.value > b.value; }
  friend constexpr condition operator<=(const dual& a, const dual& b) { return a.value <= b.value; }
  friend constexpr condition operator>=(const dual& a, const dual& b) { return a.value >= b.value; }
  /// Of the values: whether two numbers are the same says nothing of their derivatives.
  friend constexpr condition operator==(const dual& a, const dual& b) { return a.value == b.value; }
  friend constexpr condition operator!=(const dual& a, const dual& b) { return a.value != b.value; }

  /// A function of a and b with value `v` and the given slopes.
  static constexpr dual combine(const dual& a, const dual& b, R v, R slope_a, R slope_b) {
    dual y(v);
    for (int i = 0; i < N; ++i)
      y.derivative[i] = chain_product(slope_a, a.derivative[i]) + chain_product(slope_b, b.derivative[i]);
    return y;
  }
};
// Calls without `emend::` find the functions of carriers that are declared after this header.
template <class R, int N>
constexpr R value_of(const dual<R, N>& a) {
  return a.value;
}
template <class R, int N>
constexpr dual<R, N> detach(const dual<R, N>& a) {
  return dual<R, N>(a.value);
}
template <class R, int N>
constexpr dual<R, N> exp(const dual<R, N>& a) {
  const R e = exp(a.value);
  return a.chain(e, e);
}
template <class R, int N>
constexpr dual<R, N> expm1(const dual<R, N>& a) {
  return a.chain(expm1(a.value), exp(a.value));
}
template <class R, int N>
constexpr dual<R, N> log(const dual<R, N>& a) {
  return a.chain(log(a.value), 1 / a.value);
}
template <class R, int N>
constexpr dual<R, N> log1p(const dual<R, N>& a) {
  return a.chain(log1p(a.value), 1 / (1 + a.value));
}
template <class R, int N>
constexpr dual<R, N> sqrt(const dual<R, N>& a) {
  const R root = sqrt(a.value);
  return a.chain(root, R(0.5) / root);
}
template <class R, int N>
constexpr dual<R, N> tanh(const dual<R, N>& a) {
  const R t = tanh(a.value);
  return a.chain(t, 1 - t * t);
}
template <class R, int N>
constexpr dual<R, N> sin(const dual<R, N>& a) {
  return a.chain(sin(a.value), cos(a.value));
}
template <class R, int N>
constexpr dual<R, N> cos(const dual<R, N>& a) {
  return a.chain(cos(a.value), -sin(a.value));
}
template <class R, int N>
constexpr dual<R, N> pow(const dual<R, N>& a, std::type_identity_t<R> exponent) {
  return a.chain(pow(a.value, exponent), exponent == 0 ? R(0) : exponent * pow(a.value, exponent - 1));
}
template <class R, int N>
constexpr dual<R, N> abs(const dual<R, N>& a) {
  return a.chain(abs(a.value), select(a.value > 0, R(1), R(0)) - select(a.value < 0, R(1), R(0)));
}
template <class R, int N>
constexpr dual<R, N> square(const dual<R, N>& a) {
  return a.chain(a.value * a.value, 2 * a.value);
}
template <class R, int N>
constexpr dual<R, N> sigmoid(const dual<R, N>& a) {
  const R s = sigmoid(a.value);
  return a.chain(s, s * sigmoid(-a.value));
}
template <class R, int N>
constexpr dual<R, N> log_sigmoid(const dual<R, N>& a) {
  return a.chain(log_sigmoid(a.value), sigmoid(-a.value));
}
template <class R, int N, class Condition>
constexpr dual<R, N> select(const Condition& condition, const std::type_identity_t<dual<R, N>>& a,
                            const dual<R, N>& b) {
  dual<R, N> y(select(condition, a.value, b.value));
  for (int i = 0; i < N; ++i) y.derivative[i] = select(condition, a.derivative[i], b.derivative[i]);
  return y;
}
template <class R, int N, class Condition>
constexpr dual<R, N> select(const Condition& condition, const dual<R, N>& a, std::type_identity_t<R> b) {
  return select(condition, a, dual<R, N>(b));
}
template <class R, int N>
constexpr dual<R, N> min(const dual<R, N>& a, const dual<R, N>& b) {
  return select(a.value == b.value, dual<R, N>::combine(a, b, a.value, R(0.5), R(0.5)),
                select(a.value < b.value || a.value != a.value, a, b));
}
template <class R, int N>
constexpr dual<R, N> max(const dual<R, N>& a, const dual<R, N>& b) {
  return select(a.value == b.value, dual<R, N>::combine(a, b, a.value, R(0.5), R(0.5)),
                select(a.value > b.value || a.value != a.value, a, b));
}
template <class R, int N>
constexpr dual<R, N> min(const dual<R, N>& a, std::type_identity_t<R> b) {
  return min(a, dual<R, N>(b));
}
template <class R, int N>
constexpr dual<R, N> max(const dual<R, N>& a, std::type_identity_t<R> b) {
  return max(a, dual<R, N>(b));
}
template <class R, int N>
constexpr dual<R, N> min(std::type_identity_t<R> a, const dual<R, N>& b) {
  return min(dual<R, N>(a), b);
}
template <class R, int N>
constexpr dual<R, N> max(std::type_identity_t<R> a, const dual<R, N>& b) {
  return max(dual<R, N>(a), b);
}
template <class R, int N>
constexpr dual<R, N> clamp(const dual<R, N>& a, std::type_identity_t<R> low, std::type_identity_t<R> high) {
  return select(a.value < low, dual<R, N>(low), select(a.value > high, dual<R, N>(high), a));
}

static_assert(real<dual<double, 5>>);

}  // namespace emend
