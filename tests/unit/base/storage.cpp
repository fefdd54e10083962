#include <emend/base/storage.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <initializer_list>
#include <limits>

using emend::bfloat16;
using emend::float16;

namespace {

template <class T>
T of_bits(unsigned bits) {
  T x;
  x.bits = static_cast<std::uint16_t>(bits);
  return x;
}

/// Value of the pattern by its definition: sign, exponent of `exponent_bits`, fraction.
double value_of_bits(unsigned bits, int exponent_bits) {
  const int fraction_bits = 15 - exponent_bits, bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = static_cast<int>(bits >> fraction_bits) & ((1 << exponent_bits) - 1);
  const int fraction = static_cast<int>(bits) & ((1 << fraction_bits) - 1);
  const double sign = bits & 0x8000 ? -1 : 1;
  if (exponent == (1 << exponent_bits) - 1)
    return fraction ? std::numeric_limits<double>::quiet_NaN() : sign * std::numeric_limits<double>::infinity();
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias - fraction_bits);
  return sign * std::ldexp(fraction + (1 << fraction_bits), exponent - bias - fraction_bits);
}

template <class T>
void check_all_patterns(int exponent_bits) {
  for (unsigned bits = 0; bits < 65536; ++bits) {
    const T x = of_bits<T>(bits);
    const float value = static_cast<float>(x);
    const double expected = value_of_bits(bits, exponent_bits);
    if (std::isnan(expected)) {
      REQUIRE(std::isnan(value));
      REQUIRE(std::isnan(static_cast<float>(T(value))));
    } else {
      REQUIRE(static_cast<double>(value) == expected);
      REQUIRE(std::signbit(value) == (bits >= 0x8000));
      REQUIRE(T(value).bits == bits);
    }
  }
}

/// Between neighbours the nearer one is taken, and the even one at the middle.
template <class T>
void check_rounding(unsigned largest_bits) {
  for (unsigned bits = 0; bits < largest_bits; ++bits) {
    const float low = static_cast<float>(of_bits<T>(bits)), high = static_cast<float>(of_bits<T>(bits + 1));
    const double middle = (static_cast<double>(low) + static_cast<double>(high)) / 2;
    const float tie = static_cast<float>(middle);
    REQUIRE(static_cast<double>(tie) == middle);
    for (unsigned sign : {0u, 0x8000u}) {
      const float s = sign ? -1.0f : 1.0f;
      REQUIRE(T(s * tie).bits == (sign | (bits % 2 == 0 ? bits : bits + 1)));
      REQUIRE(T(s * std::nextafter(tie, 0.0f)).bits == (sign | bits));
      REQUIRE(T(s * std::nextafter(tie, high)).bits == (sign | (bits + 1)));
    }
  }
}

}  // namespace

TEST_CASE("every pattern of bfloat16 and float16 is read by its definition and survives the way back") {
  check_all_patterns<bfloat16>(8);
  check_all_patterns<float16>(5);
}

TEST_CASE("rounding is to nearest, ties to even, subnormals included") {
  check_rounding<bfloat16>(0x7f7f);
  check_rounding<float16>(0x7bff);
}

TEST_CASE("overflow and underflow") {
  CHECK(float16(65504.0f).bits == 0x7bff);
  CHECK(float16(65519.99f).bits == 0x7bff);
  CHECK(float16(65520.0f).bits == 0x7c00);
  CHECK(float16(-65520.0f).bits == 0xfc00);
  CHECK(float16(1e30f).bits == 0x7c00);
  CHECK(float16(0x1p-24f).bits == 1);
  CHECK(float16(0x1p-25f).bits == 0);
  CHECK(float16(0x1.000002p-25f).bits == 1);
  CHECK(float16(-1e-30f).bits == 0x8000);
  CHECK(bfloat16(std::numeric_limits<float>::max()).bits == 0x7f80);
  CHECK(bfloat16(std::numeric_limits<float>::lowest()).bits == 0xff80);
  CHECK(bfloat16(std::numeric_limits<float>::denorm_min()).bits == 0);
  CHECK(bfloat16(std::numeric_limits<float>::infinity()).bits == 0x7f80);
  CHECK(float16(-std::numeric_limits<float>::infinity()).bits == 0xfc00);
}

TEST_CASE("conversions are constant expressions") {
  static_assert(static_cast<float>(bfloat16(1.5f)) == 1.5f);
  static_assert(static_cast<float>(float16(-0.25f)) == -0.25f);
  static_assert(static_cast<float>(float16(0x1p-20f)) == 0x1p-20f);
}
