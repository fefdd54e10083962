// A gamma or lambda of 0 leaves its term out, be it infinite or NaN.
#include <emend/advantage/gae.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "../random_numbers.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

/// factor * number, and 0 where the factor is 0.
double product(double factor, double number) { return factor == 0 ? 0 : factor * number; }

/// The recursion from the back, a step at a time, over the counted tokens.
advantages one_by_one(const std::vector<double>& reward, const std::vector<double>& value, const std::vector<int>& mask,
                      double bootstrap, const gae_options& options) {
  advantages result{std::vector<double>(reward.size()), std::vector<double>(reward.size())};
  const double value_lambda = options.value_lambda < 0 ? options.lambda : options.value_lambda;
  double next_value = bootstrap, advantage = 0, of_value = 0;
  for (std::size_t t = reward.size(); t-- > 0;) {
    if (mask[t] == 0) continue;
    const double delta = reward[t] + product(options.gamma, next_value) - value[t];
    advantage = delta + product(options.gamma * options.lambda, advantage);
    of_value = delta + product(options.gamma * value_lambda, of_value);
    next_value = value[t];
    result.advantage[t] = advantage;
    result.returns[t] = of_value + value[t];
  }
  return result;
}

bool is_same(double a, double b) { return (std::isnan(a) && std::isnan(b)) || a == b || std::abs(a - b) < 1e-9; }

/// Every `distance` tokens a reward or a value that is infinite or NaN.
void spoil(std::vector<double>& numbers, std::size_t first, std::size_t distance) {
  const double bad[] = {HUGE_VAL, -HUGE_VAL, std::numeric_limits<double>::quiet_NaN()};
  for (std::size_t i = first, k = 0; i < numbers.size(); i += distance, ++k) numbers[i] = bad[k % 3];
}

TEST_CASE("a gamma or lambda of 0 leaves its term out of the advantages and returns") {
  random_numbers random;
  for (const index length : {1, 3, 4, 5, 9, 64, 255, 256, 257, 700})
    for (const bool is_float : {false, true})
      for (const bool has_holes : {false, true})
        for (const auto& [gamma, lambda, value_lambda] :
             {std::array<double, 3>{0, 0.9, -1}, {1, 0, -1}, {0.9, 0, 0.5}, {0.9, 0.5, 0}, {0, 0, 1}, {0.9, 0.8, 1}}) {
          const auto size = static_cast<std::size_t>(length);
          std::vector<double> reward = random.normal(size), value = random.normal(size);
          // Rounded first, so that float and double columns hold the same numbers.
          for (std::vector<double>* numbers : {&reward, &value})
            for (double& x : *numbers) x = static_cast<double>(static_cast<float>(x));
          spoil(reward, size / 2, 37);
          spoil(value, size / 3, 53);
          const std::vector<int> mask = random.flags(size, has_holes ? 0.6 : 1.0);
          const std::vector<double> bootstrap{HUGE_VAL};
          const gae_options options{
              .gamma = gamma, .lambda = lambda, .value_lambda = value_lambda, .bootstrap = bootstrap};
          const std::vector<float> reward_float(reward.begin(), reward.end()), value_float(value.begin(), value.end());
          const padded layout = has_holes ? padded(1, length, mask) : padded(1, length);
          const advantages got =
              is_float ? gae(reward_float, value_float, layout, options) : gae(reward, value, layout, options);
          const advantages want = one_by_one(reward, value, mask, bootstrap[0], options);
          CAPTURE(length);
          CAPTURE(gamma);
          CAPTURE(lambda);
          CAPTURE(value_lambda);
          index different = 0;
          for (std::size_t t = 0; t < size; ++t)
            different += !is_same(got.advantage[t], want.advantage[t]) || !is_same(got.returns[t], want.returns[t]);
          CHECK(different == 0);

          // The same through a layout whose tokens stand anywhere.
          std::vector<index> ids(size);
          for (std::size_t t = 0; t < size; ++t) ids[t] = mask[t] != 0 ? 0 : -1;
          const advantages anywhere = gae(reward, value, packed(ids, 1), options);
          different = 0;
          for (std::size_t t = 0; t < size; ++t)
            different +=
                !is_same(anywhere.advantage[t], want.advantage[t]) || !is_same(anywhere.returns[t], want.returns[t]);
          CHECK(different == 0);
        }
}

}  // namespace
