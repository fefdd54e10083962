#pragma once

#include <emend/base/index.hpp>

#include <bit>

namespace emend {

/// The upper half of a float: 8 bits of exponent, 7 of fraction. Storage only: arithmetic is done in float.
struct bfloat16 {
  std::uint16_t bits = 0;

  bfloat16() = default;
  /// Rounds to nearest, ties to even; NaN stays NaN.
  constexpr explicit bfloat16(float x) {
    const std::uint32_t word = std::bit_cast<std::uint32_t>(x);
    bits = (word & 0x7fffffff) > 0x7f800000 ? static_cast<std::uint16_t>((word >> 16) | 0x40)
                                            : static_cast<std::uint16_t>((word + 0x7fff + ((word >> 16) & 1)) >> 16);
  }
  constexpr explicit operator float() const { return std::bit_cast<float>(std::uint32_t{bits} << 16); }
};

/// IEEE binary16: 5 bits of exponent, 10 of fraction. Storage only: arithmetic is done in float.
struct float16 {
  std::uint16_t bits = 0;

  float16() = default;
  /// Rounds to nearest, ties to even; overflow gives infinity, underflow subnormals; NaN stays NaN.
  constexpr explicit float16(float x) {
    const std::uint32_t word = std::bit_cast<std::uint32_t>(x);
    const std::uint32_t sign = (word >> 16) & 0x8000, magnitude = word & 0x7fffffff;
    std::uint32_t half;
    if (magnitude > 0x7f800000)
      half = 0x7e00;
    else if (magnitude >= 0x47800000)
      half = 0x7c00;
    else if (magnitude < 0x38800000)
      // Adding 0.5 aligns the fraction so that the hardware rounds it at the subnormal step of 2^-24.
      half = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - std::bit_cast<std::uint32_t>(0.5f);
    else
      half = (magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1)) >> 13;
    bits = static_cast<std::uint16_t>(sign | half);
  }
  constexpr explicit operator float() const {
    const std::uint32_t sign = std::uint32_t{bits & 0x8000u} << 16, magnitude = bits & 0x7fffu;
    if (magnitude >= 0x7c00) return std::bit_cast<float>(sign | 0x7f800000 | (magnitude << 13));
    const float x = std::bit_cast<float>(magnitude << 13) * 0x1p112f;
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(x));
  }
};

/// Type in which scores stored as T are computed: double for double, else float.
template <class T>
struct arithmetic_of {
  using type = float;
};
template <>
struct arithmetic_of<double> {
  using type = double;
};
template <class T>
using arithmetic = typename arithmetic_of<T>::type;

/// Storage types of scores: float, double, bfloat16, float16.
template <class T>
inline constexpr bool is_score_type = false;
template <>
inline constexpr bool is_score_type<float> = true;
template <>
inline constexpr bool is_score_type<double> = true;
template <>
inline constexpr bool is_score_type<bfloat16> = true;
template <>
inline constexpr bool is_score_type<float16> = true;

/// A storage type of scores: `static_cast<arithmetic<T>>(x)` reads it, `static_cast<T>(a)` rounds to it. Backends read
/// their own half types through these (same bits).
template <class T>
concept score_type = is_score_type<T>;

}  // namespace emend
