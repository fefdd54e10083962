#pragma once

#include <doctest/doctest.h>

#include <vector>

/// d f / d x_i by central differences.
template <class F>
std::vector<double> central_differences(std::vector<double> x, F&& f) {
  std::vector<double> result;
  for (double& entry : x) {
    const double at = entry;
    entry = at + 1e-5;
    const double above = f(x);
    entry = at - 1e-5;
    const double below = f(x);
    entry = at;
    result.push_back((above - below) / 2e-5);
  }
  return result;
}

inline void check_gradient(const std::vector<double>& got, const std::vector<double>& want) {
  REQUIRE(got.size() == want.size());
  for (std::size_t i = 0; i < got.size(); ++i) CHECK(got[i] == doctest::Approx(want[i]).epsilon(1e-6).scale(1));
}
