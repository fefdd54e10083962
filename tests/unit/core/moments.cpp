#include <emend/core/moments.hpp>

#include <doctest/doctest.h>

#include "../random_numbers.hpp"
#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

moments slow(const std::vector<double>& x, const std::vector<int>& mask) {
  moments m;
  for (std::size_t i = 0; i < x.size(); ++i)
    if (mask[i] != 0) m.mean += x[i], m.count += 1;
  if (m.count > 0) m.mean /= m.count;
  for (std::size_t i = 0; i < x.size(); ++i)
    if (mask[i] != 0) m.squares += (x[i] - m.mean) * (x[i] - m.mean);
  return m;
}

TEST_CASE("moments of any length, type and mask are those of the definition") {
  random_numbers random;
  for (std::size_t size : std::initializer_list<std::size_t>{1, 2, 7, 8, 9, 511, 512, 513, 2000}) {
    CAPTURE(size);
    const std::vector<double> x = random.normal(size);
    const std::vector<int> mask = random.flags(size, 0.7);
    const moments got = moments_of(x, padded(1, static_cast<index>(size), mask)), want = slow(x, mask);
    CHECK(got.count == want.count);
    CHECK(got.mean == doctest::Approx(want.mean));
    CHECK(got.squares == doctest::Approx(want.squares));
    const std::vector<float> narrow(x.begin(), x.end());
    CHECK(moments_of(narrow, padded(1, static_cast<index>(size), mask)).squares ==
          doctest::Approx(want.squares).epsilon(1e-5));
  }
}

TEST_CASE("nothing and a set merge into the set, to the last bit") {
  for (const moments& m : {moments{3, 0.1, 0.7}, moments{49, 1.1, 2.3}, moments{1e-24, 0.3, 1e-24},
                           moments{7, 1e308, 5}, moments{5, 1e-320, 1e-320}}) {
    moments merged;
    merged.merge(m);
    CHECK(merged.count == m.count);
    CHECK(merged.mean == m.mean);
    CHECK(merged.squares == m.squares);
    merged.merge({});
    CHECK(merged.count == m.count);
    CHECK(merged.mean == m.mean);
    CHECK(merged.squares == m.squares);
  }
}

TEST_CASE("parts merge into the whole; nothing changes nothing") {
  random_numbers random;
  const std::vector<double> x = random.normal(100);
  moments merged;
  merged.merge({});
  for (index begin : {0, 13, 50})
    merged.merge(moments_of(column(x.data() + begin, begin == 0 ? 13 : begin == 13 ? 37 : 50)));
  merged.merge({});
  moments one_by_one;
  for (double v : x) one_by_one.add(v);
  const moments whole = moments_of(x);
  for (const moments& m : {merged, one_by_one}) {
    CHECK(m.count == 100);
    CHECK(m.mean == doctest::Approx(whole.mean));
    CHECK(m.squares == doctest::Approx(whole.squares));
  }
}

TEST_CASE("no number, one number: no spread, whichever divisor") {
  CHECK(moments{}.variance() == 0);
  CHECK(moments{1, 3, 0}.variance() == 0);
  CHECK(moments{1, 3, 0}.variance(false) == 0);
  CHECK(moments{2, 3, 8}.variance() == 8);
  CHECK(moments{2, 3, 8}.deviation(false) == 2);
  CHECK(moments{2, 3, 8}.sum() == 6);
}

TEST_CASE("large offsets do not cancel; NaN where not counted is not read") {
  const std::vector<double> x{1e9 + 1, 1e9 + 2, 1e9 + 3, __builtin_nan("")};
  const std::vector<int> mask{1, 1, 1, 0};
  CHECK(moments_of(x, padded(1, 4, mask)).variance() == doctest::Approx(1));
}

TEST_CASE("errors name the argument") {
  CHECK_THROWS_NAMING(moments_of(std::vector<double>{1, 2}, padded(1, 3)), "values");
}

}  // namespace
