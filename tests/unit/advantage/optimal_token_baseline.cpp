#include <emend/advantage/optimal_token_baseline.hpp>
#include <emend/advantage/returns.hpp>
#include <emend/core/layout.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "../random_numbers.hpp"
#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using numbers = std::vector<double>;

TEST_CASE("optimal token baseline by its definition, by counted token and by place") {
  random_numbers random;
  const index rows = 6, length = 5;
  const auto size = static_cast<std::size_t>(rows * length);
  const numbers reward = random.normal(size);
  numbers log_prob = random.normal(size), squares = random.normal(size);
  for (double& x : log_prob) x = -std::abs(x);
  for (double& x : squares) x = std::abs(std::sin(x));
  const std::vector<int> mask = random.flags(size, 0.7), group{0, 1, 0, 1, 0, 2};
  for (time_step step : {time_step::token, time_step::place}) {
    const auto got = optimal_token_baseline(reward, log_prob, squares, group, padded(rows, length, mask),
                                            {.step = step, .epsilon = 0, .has_zero_tail = false});
    // time step and energy of every token, by the formula
    std::vector<index> at(size);
    numbers energy(size), returns = discounted_returns(reward, padded(rows, length, mask));
    for (index b = 0; b < rows; ++b) {
      double sum = 0;
      index k = 0;
      for (index t = b * length; t < (b + 1) * length; ++t) {
        const auto i = static_cast<std::size_t>(t);
        if (mask[i] == 0) continue;
        sum += 1 - 2 * std::exp(log_prob[i]) + squares[i];
        energy[i] = sum;
        at[i] = step == time_step::token ? k : t - b * length;
        ++k;
      }
    }
    for (std::size_t i = 0; i < size; ++i) {
      double weighted = 0, total = 0, members = 0;
      const auto group_at = [&](std::size_t j) { return group[j / static_cast<std::size_t>(length)]; };
      for (std::size_t j = 0; j < size; ++j)
        if (mask[j] != 0 && at[j] == at[i] && group_at(j) == group_at(i))
          weighted += returns[j] * energy[j], total += energy[j];
      for (int g : group) members += g == group_at(i);
      const double want = mask[i] == 0 ? 0 : members < 2 ? returns[i] : returns[i] - weighted / total;
      CHECK(got.advantage[i] == doctest::Approx(want));
    }
  }
}

TEST_CASE("the longest of a group has no baseline where it is alone") {
  const numbers reward{0, 0, 1, 2}, log_prob{-1, -1, -1, -1}, squares{1, 1, 1, 1}, importance{1, 1, 1, 2};
  const std::vector<int> offsets{0, 3, 4};
  const auto with = optimal_token_baseline(reward, log_prob, squares, {}, ragged(offsets), {.epsilon = 0});
  CHECK(with.advantage[1] == 1);
  CHECK(with.advantage[0] == doctest::Approx(1 - 1.5));
  const auto without =
      optimal_token_baseline(reward, log_prob, squares, {}, ragged(offsets), {.epsilon = 0, .has_zero_tail = false});
  CHECK(without.advantage[1] == doctest::Approx(0));
  const auto weighted =
      optimal_token_baseline(reward, log_prob, squares, {}, ragged(offsets), {.epsilon = 0, .importance = importance});
  CHECK(weighted.advantage[0] == doctest::Approx(1 - (1 + 2 * 4) / 5.0));
}

TEST_CASE("errors name the argument") {
  const numbers four{1, 2, 3, 4}, three{1, 2, 3};
  const std::vector<int> ids{0, 0, 1, 1};
  const padded layout(2, 2);
  CHECK_THROWS_NAMING(optimal_token_baseline(three, four, four, {}, layout), "reward");
  CHECK_THROWS_NAMING(optimal_token_baseline(four, three, four, {}, layout), "log_prob");
  CHECK_THROWS_NAMING(optimal_token_baseline(four, four, three, {}, layout), "sum_squares");
  CHECK_THROWS_NAMING(optimal_token_baseline(four, four, four, {}, layout, {.importance = three}), "importance");
  CHECK_THROWS_NAMING(optimal_token_baseline(four, four, four, {}, packed(ids), {.step = time_step::place}), "step");
}

TEST_CASE("optimal token baseline: an epsilon below 0 is refused") {
  CHECK_THROWS_NAMING(optimal_token_baseline({1, 2}, {-1, -1}, {.5, .5}, {}, padded(1, 2), {.epsilon = -100}),
                      "epsilon");
}

}  // namespace
