#include <emend/evaluation/statistics.hpp>
#include <emend/core/matrix.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

TEST_CASE("statistics by hand: what is not asked for is empty") {
  const matrix<double> x(3, 3, {std::log(1.0), std::log(2.0), std::log(1.0), 5, 5, 5, 0, 1, 0});
  const std::vector<int> targets{0, 2, 1}, mask{1, 1, 0};
  const auto got = statistics(x, targets, {.mask = mask});
  CHECK(got.log_z[0] == doctest::Approx(std::log(4)));
  CHECK(got.log_prob[0] == doctest::Approx(-std::log(4)));
  CHECK(got.score[1] == 5);
  CHECK(got.entropy[0] == doctest::Approx(1.5 * std::log(2)));
  CHECK(got.entropy[1] == doctest::Approx(std::log(3)));
  CHECK((got.log_z[2] == 0 && got.log_prob[2] == 0 && got.entropy[2] == 0));
  CHECK((got.arg_max.empty() && got.mean_score.empty() && got.log_sum_squares.empty()));
  const auto all = statistics(
      x, targets, {.mask = mask, .with_log_sum_squares = true, .with_mean_score = true, .with_arg_max = true});
  CHECK(all.log_sum_squares[0] == doctest::Approx(std::log(1.0 / 16 + 1.0 / 4 + 1.0 / 16)));
  CHECK(all.mean_score[0] == doctest::Approx(std::log(2.0) / 3));
  CHECK(all.arg_max == std::vector<index>{1, 0, -1});
  CHECK(all.max_log_prob[0] == doctest::Approx(-std::log(2)));
  CHECK(all.is_arg_max == std::vector<std::uint8_t>{0, 0, 0});
}

TEST_CASE("statistics without targets, and with ids beside them") {
  const matrix<double> x(2, 3, {0, std::log(2.0), 0, 0, 0, 0});
  const auto none = statistics(x, {}, {.with_arg_max = true});
  CHECK(none.log_prob.empty());
  CHECK(none.is_arg_max.empty());
  CHECK(none.log_z[1] == doctest::Approx(std::log(3)));
  const std::vector<int> targets{1, 0}, chosen{0, 1, 2, 2};
  const auto got = statistics(x, targets, {.chosen = chosen, .chosen_per_row = 2});
  CHECK(got.chosen_log_prob[0] == doctest::Approx(-std::log(4)));
  CHECK(got.chosen_log_prob[1] == doctest::Approx(-std::log(2)));
  CHECK(got.chosen_log_prob[3] == doctest::Approx(-std::log(3)));
  CHECK_THROWS_NAMING(statistics(x, targets, {.chosen = chosen, .chosen_per_row = 1}), "chosen");
  CHECK_THROWS_NAMING(statistics(x, targets, {.chosen_per_row = -1}), "chosen_per_row");
  CHECK_THROWS_NAMING(statistics(x, std::vector<int>{1}), "targets");
}

}  // namespace
