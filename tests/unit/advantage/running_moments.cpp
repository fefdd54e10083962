#include <emend/advantage/running_moments.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "../random_numbers.hpp"
#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using numbers = std::vector<double>;

TEST_CASE("running_moments: batch by batch as all at once") {
  random_numbers random;
  const std::vector<double> x = random.normal(30);
  running_moments running;
  CHECK(running.deviation() == 1);
  CHECK(running.variance() == doctest::Approx(1));
  for (index begin : {0, 10, 20}) running.update(column(x.data() + begin, 10));
  const moments all = moments_of(x);
  CHECK(running.count() == doctest::Approx(30));
  CHECK(running.mean() == doctest::Approx(all.mean));
  CHECK(running.deviation() == doctest::Approx(all.deviation()));
  running_moments one;
  CHECK(one.update(column(x.data(), 1)).count == 1);
  CHECK(one.deviation() == 1);
  CHECK(one.mean() == x[0]);
}

TEST_CASE("running_moments: a batch that is not finite is refused and leaves them as they were") {
  running_moments running;
  running.update(numbers{1, 2, 3, 4});
  const double mean = running.mean();
  for (const double wrong : {HUGE_VAL, -HUGE_VAL}) CHECK_THROWS_NAMING(running.update(numbers{1, wrong}), "batch");
  CHECK_THROWS_NAMING(running.update(numbers{std::nan("")}), "batch");
  CHECK(running.mean() == mean);
}

}  // namespace
