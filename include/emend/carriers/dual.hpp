#pragma once

#include <emend/carriers/real.hpp>

#include <type_traits>

namespace emend {

/// A number with N partial derivatives: forward-mode differentiation of a loss over the statistics of its token.
///
///   f(dual) = (f(value), f'(value) * derivative)
/// R is double or float. Conventions at the kinks are those of the field's automatic differentiation: min and max give
/// half to each branch at a tie, clamp passes the whole derivative at its edges, abs has derivative 0 at 0.
template <class R, int N>
struct dual {
  R value{};
  R derivative[N]{};

  constexpr dual() = default;
  constexpr dual(R v) : value(v) {}
  /// The i-th variable: value v, derivative 1 with respect to itself.
  static constexpr dual variable(R v, int i) {
    dual x(v);
    x.derivative[i] = 1;
    return x;
  }

  /// f(x) with value `v` and slope `s` at x.
  constexpr dual chain(R v, R s) const {
    dual y(v);
    // A zero slope stops the derivative even where it is infinite: a clamped branch contributes nothing.
    if (s != 0)
      for (int i = 0; i < N; ++i) y.derivative[i] = derivative[i] == 0 ? R(0) : s * derivative[i];
    return y;
  }

  friend constexpr dual operator-(const dual& a) { return a.chain(-a.value, R(-1)); }
  friend constexpr dual operator+(const dual& a, const dual& b) { return combine(a, b, a.value + b.value, R(1), R(1)); }
  friend constexpr dual operator-(const dual& a, const dual& b) { return combine(a, b, a.value - b.value, R(1), R(-1)); }
  friend constexpr dual operator*(const dual& a, const dual& b) { return combine(a, b, a.value * b.value, b.value, a.value); }
  friend constexpr dual operator/(const dual& a, const dual& b) {
    const R quotient = a.value / b.value;
    return combine(a, b, quotient, 1 / b.value, -quotient / b.value);
  }
  constexpr dual& operator+=(const dual& b) { return *this = *this + b; }
  constexpr dual& operator-=(const dual& b) { return *this = *this - b; }
  constexpr dual& operator*=(const dual& b) { return *this = *this * b; }
  constexpr dual& operator/=(const dual& b) { return *this = *this / b; }

  friend constexpr bool operator<(const dual& a, const dual& b) { return a.value < b.value; }
  friend constexpr bool operator>(const dual& a, const dual& b) { return a.value > b.value; }
  friend constexpr bool operator<=(const dual& a, const dual& b) { return a.value <= b.value; }
  friend constexpr bool operator>=(const dual& a, const dual& b) { return a.value >= b.value; }

  /// A function of a and b with value `v` and the given slopes.
  static constexpr dual combine(const dual& a, const dual& b, R v, R slope_a, R slope_b) {
    dual y(v);
    for (int i = 0; i < N; ++i) {
      // A derivative of exactly 0 is a constant's: it must not turn an infinite slope into NaN.
      const R from_a = a.derivative[i] == 0 ? R(0) : slope_a * a.derivative[i];
      const R from_b = b.derivative[i] == 0 ? R(0) : slope_b * b.derivative[i];
      y.derivative[i] = from_a + from_b;
    }
    return y;
  }
};
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
  const R e = emend::exp(a.value);
  return a.chain(e, e);
}
template <class R, int N>
constexpr dual<R, N> expm1(const dual<R, N>& a) {
  return a.chain(emend::expm1(a.value), emend::exp(a.value));
}
template <class R, int N>
constexpr dual<R, N> log(const dual<R, N>& a) {
  return a.chain(emend::log(a.value), 1 / a.value);
}
template <class R, int N>
constexpr dual<R, N> log1p(const dual<R, N>& a) {
  return a.chain(emend::log1p(a.value), 1 / (1 + a.value));
}
template <class R, int N>
constexpr dual<R, N> sqrt(const dual<R, N>& a) {
  const R root = emend::sqrt(a.value);
  return a.chain(root, R(0.5) / root);
}
template <class R, int N>
constexpr dual<R, N> tanh(const dual<R, N>& a) {
  const R t = emend::tanh(a.value);
  return a.chain(t, 1 - t * t);
}
template <class R, int N>
constexpr dual<R, N> sin(const dual<R, N>& a) {
  return a.chain(emend::sin(a.value), emend::cos(a.value));
}
template <class R, int N>
constexpr dual<R, N> cos(const dual<R, N>& a) {
  return a.chain(emend::cos(a.value), -emend::sin(a.value));
}
template <class R, int N>
constexpr dual<R, N> pow(const dual<R, N>& a, std::type_identity_t<R> exponent) {
  return a.chain(emend::pow(a.value, exponent), exponent == 0 ? R(0) : exponent * emend::pow(a.value, exponent - 1));
}
template <class R, int N>
constexpr dual<R, N> abs(const dual<R, N>& a) {
  return a.chain(emend::abs(a.value), R(a.value > 0) - R(a.value < 0));
}
template <class R, int N>
constexpr dual<R, N> square(const dual<R, N>& a) {
  return a.chain(a.value * a.value, 2 * a.value);
}
template <class R, int N>
constexpr dual<R, N> sigmoid(const dual<R, N>& a) {
  const R s = emend::sigmoid(a.value);
  return a.chain(s, s * emend::sigmoid(-a.value));
}
template <class R, int N>
constexpr dual<R, N> log_sigmoid(const dual<R, N>& a) {
  return a.chain(emend::log_sigmoid(a.value), emend::sigmoid(-a.value));
}
template <class R, int N>
constexpr dual<R, N> min(const dual<R, N>& a, const dual<R, N>& b) {
  if (a.value == b.value) return dual<R, N>::combine(a, b, a.value, R(0.5), R(0.5));
  return a.value < b.value || a.value != a.value ? a : b;
}
template <class R, int N>
constexpr dual<R, N> max(const dual<R, N>& a, const dual<R, N>& b) {
  if (a.value == b.value) return dual<R, N>::combine(a, b, a.value, R(0.5), R(0.5));
  return a.value > b.value || a.value != a.value ? a : b;
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
  return a.value < low ? dual<R, N>(low) : a.value > high ? dual<R, N>(high) : a;
}

static_assert(real<dual<double, 5>>);

}  // namespace emend
