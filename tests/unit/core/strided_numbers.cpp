#include <emend/core/strided_numbers.hpp>

#include <doctest/doctest.h>

#include <vector>

#include "throws.hpp"

using namespace emend;

TEST_CASE("strided numbers: one stride where one describes them, else rows") {
  const std::vector<int> x{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  const auto read = [&](const strided_numbers<const int>& numbers) {
    std::vector<int> result;
    for (emend::index i = 0; i < numbers.size; ++i) result.push_back(numbers[i]);
    return result;
  };
  const strided_numbers<const int> row(x.data(), 3), backwards(x.data() + 4, 3, -2);
  CHECK(row.is_contiguous());
  CHECK(read(backwards) == std::vector<int>{4, 2, 0});
  CHECK(!backwards.is_contiguous());
  const strided_numbers<const int> whole(x.data(), 3, 4, 4, 1), block(x.data() + 1, 2, 2, 4, 1),
      turned(x.data(), 2, 3, 1, 4), column(x.data(), 3, 1, 4, 1);
  CHECK(whole.is_contiguous());
  CHECK(read(block) == std::vector<int>{1, 2, 5, 6});
  CHECK(!block.has_one_stride());
  CHECK(read(turned) == std::vector<int>{0, 4, 8, 1, 5, 9});
  CHECK(column.has_one_stride());
  CHECK(read(column) == std::vector<int>{0, 4, 8});
  CHECK(strided_numbers<const int>(x.data() + 7, 1, 5).is_contiguous());
  std::vector<int> mutable_numbers{1, 2};
  const strided_numbers<int> writable(mutable_numbers.data(), 2);
  writable[1] = 7;
  const strided_numbers<const int> fixed = writable;
  CHECK(fixed[1] == 7);
}
