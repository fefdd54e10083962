#pragma once

// What the first page of README.md speaks of and does not declare: two responses of three and two tokens over five ids.
#include <emend/core/thread_pool.hpp>
#include <emend/eigen.hpp>

#include <cmath>
#include <vector>

namespace snippets::first_page {

inline Eigen::MatrixXf model(const std::vector<int>& tokens) {
  Eigen::MatrixXf scores(static_cast<Eigen::Index>(tokens.size()), 5);
  for (Eigen::Index i = 0; i < scores.rows(); ++i)
    for (Eigen::Index j = 0; j < 5; ++j)
      scores(i, j) = static_cast<float>(
          std::sin(3.0 * static_cast<double>(j) + static_cast<double>(i + tokens[static_cast<std::size_t>(i)])));
  return scores;
}

inline const std::vector<int> tokens{0, 1, 2, 3, 4}, targets{1, 2, 3, 4, 0}, response = targets;
inline const std::vector<double> advantage{1, -1, 0.5, 2, -0.3}, old_log_prob{-1.6, -1.2, -2, -0.9, -1.4},
    reference = old_log_prob, values{0.1, 0.2, 0, -0.1, 0.3};
inline const std::vector<char> mask{1, 1, 0, 1, 1};
inline const double count = 4;
inline const std::vector<emend::index> offsets{0, 3, 5};
inline const Eigen::MatrixXf reward_logits = model(response);

}  // namespace snippets::first_page
