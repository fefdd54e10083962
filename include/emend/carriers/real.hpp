#pragma once

#include <concepts>

namespace emend {

namespace detail {

inline constexpr double infinity = __builtin_inf();
inline constexpr double not_a_number = __builtin_nan("");

}  // namespace detail

// The functions that a loss may use, for double. dual.hpp adds the same for dual numbers; a backend's tensor carrier
// adds its own. Written with the compiler's built-ins: <cmath> would cost every user a fifth of a second. The ones that
// call a built-in are templates, because Clang refuses a plain constexpr function that it cannot evaluate.

constexpr double value_of(double x) { return x; }
/// x as a constant: its value without its derivatives ("stop gradient").
constexpr double detach(double x) { return x; }
template <class = void>
constexpr double exp(double x) {
  return __builtin_exp(x);
}
template <class = void>
constexpr double expm1(double x) {
  return __builtin_expm1(x);
}
template <class = void>
constexpr double log(double x) {
  return __builtin_log(x);
}
template <class = void>
constexpr double log1p(double x) {
  return __builtin_log1p(x);
}
template <class = void>
constexpr double sqrt(double x) {
  return __builtin_sqrt(x);
}
template <class = void>
constexpr double tanh(double x) {
  return __builtin_tanh(x);
}
template <class = void>
constexpr double sin(double x) {
  return __builtin_sin(x);
}
template <class = void>
constexpr double cos(double x) {
  return __builtin_cos(x);
}
/// x to a constant power.
template <class = void>
constexpr double pow(double x, double exponent) {
  return __builtin_pow(x, exponent);
}
constexpr double abs(double x) { return x < 0 ? -x : x; }
constexpr double square(double x) { return x * x; }
/// 1 / (1 + e^-x), without overflow.
template <class = void>
constexpr double sigmoid(double x) {
  if (x >= 0) return 1 / (1 + __builtin_exp(-x));
  const double e = __builtin_exp(x);
  return e / (1 + e);
}
/// log sigmoid(x) = -log(1 + e^-x), without overflow.
template <class = void>
constexpr double log_sigmoid(double x) {
  return (x < 0 ? x : 0.0) - __builtin_log1p(__builtin_exp(x < 0 ? x : -x));
}
/// NaN if either is NaN. At a tie of dual numbers each branch gets half of the derivative.
constexpr double min(double a, double b) { return a < b || a != a ? a : b; }
constexpr double max(double a, double b) { return a > b || a != a ? a : b; }
/// low if x < low, high if x > high, else x; at the edges the whole derivative passes.
constexpr double clamp(double x, double low, double high) { return x < low ? low : x > high ? high : x; }
/// x where the condition holds, else y; both are computed, and what the other one is, NaN included, does not matter. A
/// loss that branches by it, and not by `if`, can be called on all tokens at once, where a carrier holds a number of
/// each.
constexpr double select(bool condition, double x, double y) { return condition ? x : y; }
/// slope * derivative; 0 where either is exactly 0, however infinite the other: a branch that is cut off contributes
/// nothing.
constexpr double chain_product(double slope, double derivative) {
  return slope == 0 || derivative == 0 ? 0 : slope * derivative;
}

/// The number type of a loss: double, `dual`, or a backend's carrier; no integer, whose quotients would be another
/// number.
///
/// Valid expressions, with `a`, `b` of type R and `c` a double:
///   a + b, a - b, a * b, a / b, each also with c on either side; -a; a += b, a -= b, a *= b, a /= b
///   a < b, a > b, a <= b, a >= b, a == b, a != b, each also with c on the right: something that `select` takes
///   value_of(a), detach(a), R(c)
///   exp, expm1, log, log1p, sqrt, tanh, sin, cos, abs, square, sigmoid, log_sigmoid of a; pow(a, c)
///   min(a, b), max(a, b), each also with c on either side; clamp(a, c, c)
///   select(a < b, a, b), also with c in place of either
/// What the compiler cannot check: that derivatives, where R carries them, are those of the values. Models: double,
/// dual<double, N>; over LibTorch tensor_number and tensor_dual, a number of every token at once.
template <class R>
concept real = std::copyable<R> && !std::integral<R> && std::constructible_from<R, double> &&
               requires(const R a, const R b, R& m, const double c) {
                 { a + b } -> std::convertible_to<R>;
                 { a - b } -> std::convertible_to<R>;
                 { a* b } -> std::convertible_to<R>;
                 { a / b } -> std::convertible_to<R>;
                 { -a } -> std::convertible_to<R>;
                 { a + c } -> std::convertible_to<R>;
                 { a - c } -> std::convertible_to<R>;
                 { a* c } -> std::convertible_to<R>;
                 { a / c } -> std::convertible_to<R>;
                 { c + a } -> std::convertible_to<R>;
                 { c - a } -> std::convertible_to<R>;
                 { c* a } -> std::convertible_to<R>;
                 { c / a } -> std::convertible_to<R>;
                 m += b;
                 m -= b;
                 m *= b;
                 m /= b;
                 { select(a < b, a, b) } -> std::convertible_to<R>;
                 { select(a > b, a, b) } -> std::convertible_to<R>;
                 { select(a <= b, a, b) } -> std::convertible_to<R>;
                 { select(a >= b, a, b) } -> std::convertible_to<R>;
                 { select(a == b, a, b) } -> std::convertible_to<R>;
                 { select(a != b, a, b) } -> std::convertible_to<R>;
                 { select(a < c, a, c) } -> std::convertible_to<R>;
                 { select(a > c, c, b) } -> std::convertible_to<R>;
                 { select(a <= c, a, b) } -> std::convertible_to<R>;
                 { select(a >= c, a, b) } -> std::convertible_to<R>;
                 { select(a == c, a, b) } -> std::convertible_to<R>;
                 { select(a != c, a, b) } -> std::convertible_to<R>;
                 value_of(a);
                 { detach(a) } -> std::convertible_to<R>;
                 { exp(a) } -> std::convertible_to<R>;
                 { expm1(a) } -> std::convertible_to<R>;
                 { log(a) } -> std::convertible_to<R>;
                 { log1p(a) } -> std::convertible_to<R>;
                 { sqrt(a) } -> std::convertible_to<R>;
                 { tanh(a) } -> std::convertible_to<R>;
                 { sin(a) } -> std::convertible_to<R>;
                 { cos(a) } -> std::convertible_to<R>;
                 { pow(a, c) } -> std::convertible_to<R>;
                 { abs(a) } -> std::convertible_to<R>;
                 { square(a) } -> std::convertible_to<R>;
                 { sigmoid(a) } -> std::convertible_to<R>;
                 { log_sigmoid(a) } -> std::convertible_to<R>;
                 { min(a, b) } -> std::convertible_to<R>;
                 { max(a, b) } -> std::convertible_to<R>;
                 { min(a, c) } -> std::convertible_to<R>;
                 { max(c, a) } -> std::convertible_to<R>;
                 { min(c, a) } -> std::convertible_to<R>;
                 { max(a, c) } -> std::convertible_to<R>;
                 { clamp(a, c, c) } -> std::convertible_to<R>;
               };

static_assert(real<double>);

}  // namespace emend
