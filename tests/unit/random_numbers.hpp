#pragma once

#include <random>
#include <vector>

/// Numbers for tests: the same on every run.
struct random_numbers {
  std::mt19937 engine{20240917};

  std::vector<double> normal(std::size_t size) {
    std::normal_distribution<double> draw;
    std::vector<double> result(size);
    for (double& x : result) x = draw(engine);
    return result;
  }
  /// 0 or 1, of which `share` are 1.
  std::vector<int> flags(std::size_t size, double share) {
    std::bernoulli_distribution draw(share);
    std::vector<int> result(size);
    for (int& x : result) x = draw(engine);
    return result;
  }
  std::vector<int> ids(std::size_t size, int end) {
    std::uniform_int_distribution<int> draw(0, end - 1);
    std::vector<int> result(size);
    for (int& x : result) x = draw(engine);
    return result;
  }
};
