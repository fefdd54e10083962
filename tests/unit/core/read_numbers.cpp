// Runs of columns, and the loops over them on every instruction set.
#include <emend/advantage/whitening.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstdint>

#include "../random_numbers.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

template <class T>
void check_runs(const std::vector<double>& of) {
  const std::vector<T> values(of.begin(), of.end());
  for (const column& c :
       {column(values), column(values.data() + values.size() - 1, static_cast<index>(values.size()), -1),
        column(values.data(), static_cast<index>(values.size() / 3), 3)})
    for (index first : {0, 1, 5})
      for (index count : {index{0}, index{1}, index{7}, index{16}, c.size() - first}) {
        if (first + count > c.size()) continue;
        std::vector<double> numbers(static_cast<std::size_t>(count) + 1, 77);
        std::vector<long long> flags(static_cast<std::size_t>(count) + 1, 77);
        c.read(first, count, numbers.data());
        const index set = c.read_flags(first, count, flags.data());
        index want = 0;
        for (index i = 0; i < count; ++i) {
          want += c[first + i] != 0;
          CHECK(numbers[static_cast<std::size_t>(i)] == c[first + i]);
          if (set < count) CHECK(flags[static_cast<std::size_t>(i)] == (c[first + i] != 0 ? -1 : 0));
        }
        CHECK(set == want);
        CHECK(numbers.back() == 77);  // nothing beyond
        CHECK(flags.back() == 77);
      }
}

TEST_CASE("a run of a column is its entries, whatever their type, start and stride") {
  random_numbers random;
  std::vector<double> values;
  for (int x : random.ids(50, 3)) values.push_back(x);
  for (std::size_t i = 8; i < 24; ++i) values[i] = i < 16 ? 1 : 0;  // eight set bytes, eight clear ones
  check_runs<double>(values);
  check_runs<float>(values);
  check_runs<int>(values);
  check_runs<std::int64_t>(values);
  check_runs<std::uint8_t>(values);
  check_runs<signed char>(values);
  std::array<bool, 50> flags;
  for (std::size_t i = 0; i < 50; ++i) flags[i] = values[i] != 0;
  std::array<long long, 50> got;
  CHECK(column(flags).read_flags(0, 50, got.data()) < 50);
  for (std::size_t i = 0; i < 50; ++i) CHECK(got[i] == (flags[i] ? -1 : 0));
}

TEST_CASE("with and without AVX2, of float in place and through a buffer: the same bits") {
  random_numbers random;
  std::vector<double> x = random.normal(67);
  for (double& v : x) v = static_cast<float>(v);
  const std::vector<float> narrow(x.begin(), x.end());
  for (double share : {0.6, 1.0}) {
    std::vector<long long> flags;
    std::vector<char> mask;
    index count = 0, first = 66;
    for (int f : random.flags(67, share)) flags.push_back(-f), mask.push_back(f != 0), count += f != 0;
    for (index i = 66; i >= 0; --i)
      if (mask[static_cast<std::size_t>(i)] != 0) first = i;
    moments portable;
    detail::moments_of_run_loop(x.data(), flags.data(), 67, count, x[static_cast<std::size_t>(first)], portable);
    const padded layout(1, 67, mask);
    for (const moments& chosen : {moments_of(x, layout), moments_of(narrow, layout)}) {
      CHECK(chosen.count == portable.count);
      CHECK(chosen.mean == portable.mean);
      CHECK(chosen.squares == portable.squares);
    }
    std::vector<double> got(67);
    detail::whiten_run_loop(x.data(), flags.data(), 66, count < 67, detail::whitening(portable, {}), 0.0, got.data());
    CHECK(got[66] == 0);
    for (const std::vector<double>& want : {whiten(x, layout), whiten(narrow, layout)})
      for (std::size_t i = 0; i < 66; ++i) CHECK(got[i] == want[i]);
  }
}

TEST_CASE("a mask of bytes and the same mask of integers: the same bits, whatever the length and the bytes") {
  random_numbers random;
  for (index size : {1, 31, 32, 33, 511, 512, 513, 1100, 5000}) {
    const auto n = static_cast<std::size_t>(size);
    const std::vector<double> x = random.normal(n);
    for (double share : {0.0, 0.02, 0.5, 0.98, 1.0}) {
      const std::vector<int> wide = random.flags(n, share);
      std::vector<unsigned char> bytes;
      for (std::size_t i = 0; i < n; ++i) bytes.push_back(static_cast<unsigned char>(wide[i] == 0 ? 0 : 1 + i % 255));
      const padded by_integers(1, size, wide), by_bytes(1, size, bytes);
      const moments want = moments_of(x, by_integers), got = moments_of(x, by_bytes);
      CHECK(got.count == want.count);
      CHECK(got.mean == want.mean);
      CHECK(got.squares == want.squares);
      CHECK(whiten(x, by_bytes) == whiten(x, by_integers));
      std::vector<long long> flags(n);
      index set = 0;
      for (int f : wide) set += f != 0;
      CHECK(column(bytes).read_flags(0, size, flags.data()) == set);
      if (set < size)
        for (std::size_t i = 0; i < n; ++i) CHECK(flags[i] == (wide[i] != 0 ? -1 : 0));
    }
  }
}

}  // namespace
