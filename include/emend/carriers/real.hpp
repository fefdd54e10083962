#pragma once

#include <concepts>

namespace emend {

namespace detail {

inline constexpr double infinity = __builtin_inf();

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
/// Valid expressions, with `a`, `b` of type R and `c` a double: a+b, a-b, a*b, a/b, -a, each also with c on either
/// side; a<b and its kin, also with c; value_of, detach, exp, expm1, log, log1p, sqrt, tanh, sin, cos, pow (constant
/// exponent), abs, square, sigmoid, log_sigmoid of a; min(a,b), max(a,b), clamp(a,c,c), min and max with c; select(a <
/// b, a, b), also with c; R(c). What the compiler cannot check: that derivatives, where R carries them, are those of
/// the values. Models: double, dual<double, N>; over LibTorch tensor_number and tensor_dual, a number of every token at
/// once.
template <class R>
concept real = std::copyable<R> && !std::integral<R> && std::constructible_from<R, double> &&
               requires(const R a, const R b, const double c) {
                 { a + b } -> std::convertible_to<R>;
                 { a - b } -> std::convertible_to<R>;
                 { a* b } -> std::convertible_to<R>;
                 { a / b } -> std::convertible_to<R>;
                 { -a } -> std::convertible_to<R>;
                 { a + c } -> std::convertible_to<R>;
                 { c - a } -> std::convertible_to<R>;
                 { c* a } -> std::convertible_to<R>;
                 { c / a } -> std::convertible_to<R>;
                 { a < b } -> std::convertible_to<bool>;
                 { a < c } -> std::convertible_to<bool>;
                 { exp(a) } -> std::convertible_to<R>;
                 { log(a) } -> std::convertible_to<R>;
                 { log1p(a) } -> std::convertible_to<R>;
                 { min(a, b) } -> std::convertible_to<R>;
                 { max(a, b) } -> std::convertible_to<R>;
                 { clamp(a, c, c) } -> std::convertible_to<R>;
                 { detach(a) } -> std::convertible_to<R>;
                 { select(a < b, a, b) } -> std::convertible_to<R>;
               };

static_assert(real<double>);

}  // namespace emend
