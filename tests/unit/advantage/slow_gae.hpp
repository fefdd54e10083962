#pragma once

#include <emend/advantage/gae.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

/// The definition: the sum of all later differences, quadratic in the length.
inline emend::advantages slow_gae(const std::vector<double>& reward, const std::vector<double>& value,
                                  const std::vector<int>& mask, emend::index rows, const emend::gae_options& options) {
  emend::advantages result{std::vector<double>(reward.size(), 0), std::vector<double>(reward.size(), 0)};
  const auto length = static_cast<emend::index>(reward.size()) / rows;
  for (emend::index b = 0; b < rows; ++b) {
    std::vector<std::size_t> steps;  // decay: from the first position to the last counted one
    std::vector<bool> is_counted;
    for (emend::index t = b * length; t < (b + 1) * length; ++t) {
      const auto at = static_cast<std::size_t>(t);
      if (mask[at] == 0 && options.holes == emend::hole_rule::carry) continue;
      steps.push_back(at);
      is_counted.push_back(mask[at] != 0);
    }
    while (!is_counted.empty() && !is_counted.back()) steps.pop_back(), is_counted.pop_back();
    const double end = options.bootstrap.empty() ? 0 : options.bootstrap[b];
    const double value_lambda = options.value_lambda < 0 ? options.lambda : options.value_lambda;
    double counted = 0;
    for (bool c : is_counted) counted += c;
    const double lambda = options.length_adaptive_alpha > 0
                              ? std::max(0.0, 1 - 1 / (options.length_adaptive_alpha * counted))
                              : options.lambda;
    const auto v = [&](std::size_t k) { return k == steps.size() ? end : is_counted[k] ? value[steps[k]] : 0; };
    for (std::size_t k = 0; k < steps.size(); ++k) {
      if (!is_counted[k]) continue;
      double a = 0, g = 0, decay = 1, value_decay = 1;
      for (std::size_t j = k; j < steps.size(); ++j) {
        const double delta = (is_counted[j] ? reward[steps[j]] : 0) + options.gamma * v(j + 1) - v(j);
        a += decay * delta;
        g += value_decay * delta;
        decay *= options.gamma * lambda;
        value_decay *= options.gamma * value_lambda;
      }
      result.advantage[steps[k]] = a;
      result.returns[steps[k]] = g + value[steps[k]];
    }
  }
  return result;
}

inline void check_same(const std::vector<double>& got, const std::vector<double>& want) {
  REQUIRE(got.size() == want.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    CAPTURE(i);
    CHECK(got[i] == doctest::Approx(want[i]).epsilon(1e-10));
  }
}
