#include <emend/core/random.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

using emend::counter_random;

TEST_CASE("Philox 4x32-10 gives the published vectors") {
  // Random123, kat_vectors, philox4x32 10.
  struct vector {
    counter_random::block counter;
    std::uint32_t key0, key1;
    counter_random::block expected;
  };
  const vector vectors[] = {{{{0, 0, 0, 0}}, 0, 0, {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}}},
                            {{{~0u, ~0u, ~0u, ~0u}}, ~0u, ~0u, {{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}}},
                            {{{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}},
                             0xa4093822,
                             0x299f31d0,
                             {{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}}};
  for (const vector& v : vectors) {
    const auto got = counter_random::philox(v.counter, v.key0, v.key1);
    for (int i = 0; i < 4; ++i) CHECK(got.word[i] == v.expected.word[i]);
  }
  static_assert(counter_random{0}.bits(0, 0) == 0xe169c58d6627e8d5);
}

TEST_CASE("uniform lies in [0, 1) with the moments of the uniform law") {
  const counter_random random{7};
  double sum = 0, squares = 0, lowest = 1, highest = 0;
  constexpr int n = 100000;
  for (int i = 0; i < n; ++i) {
    const double u = random.uniform(3, static_cast<std::uint64_t>(i));
    REQUIRE(u >= 0);
    REQUIRE(u < 1);
    CHECK(std::ldexp(u, 53) == std::floor(std::ldexp(u, 53)));
    sum += u;
    squares += u * u;
    lowest = std::fmin(lowest, u);
    highest = std::fmax(highest, u);
  }
  CHECK(std::abs(sum / n - 0.5) < 5 * std::sqrt(1.0 / 12 / n));
  CHECK(std::abs(squares / n - 1.0 / 3) < 5 * std::sqrt(4.0 / 45 / n));
  CHECK(lowest < 1e-3);
  CHECK(highest > 1 - 1e-3);
}

TEST_CASE("below is uniform on its range, and the product of 128 bits for large ranges") {
  const counter_random random{11};
  std::vector<int> count(7);
  for (std::uint64_t i = 0; i < 70000; ++i) {
    const emend::index k = random.below(7, 1, i);
    REQUIRE(k >= 0);
    REQUIRE(k < 7);
    ++count[static_cast<std::size_t>(k)];
  }
  double chi_squared = 0;
  for (int c : count) chi_squared += (c - 10000.0) * (c - 10000.0) / 10000;
  CHECK(chi_squared < 22.5);  // 6 degrees of freedom, one in a thousand
  for (std::uint64_t i = 0; i < 1000; ++i) {
    CHECK(random.below(1, 2, i) == 0);
    const emend::index n = (emend::index{1} << 62) + 12345;
    __extension__ using wide = unsigned __int128;
    CHECK(random.below(n, 2, i) ==
          static_cast<emend::index>((wide{random.bits(2, i)} * static_cast<std::uint64_t>(n)) >> 64));
  }
}

TEST_CASE("seed, stream and counter each change the bits") {
  const counter_random a{1}, b{2}, high{std::uint64_t{1} << 32};
  CHECK(a.bits(0, 0) != b.bits(0, 0));
  CHECK(a.bits(0, 0) != a.bits(1, 0));
  CHECK(a.bits(0, 0) != a.bits(0, 1));
  CHECK(high.bits(0, 0) != counter_random{0}.bits(0, 0));
  CHECK(a.bits(std::uint64_t{1} << 32, 0) != a.bits(0, std::uint64_t{1} << 32));
}
