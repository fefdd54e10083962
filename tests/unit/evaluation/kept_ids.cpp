#include <emend/core/matrix.hpp>
#include <emend/distillation/top_k_divergence.hpp>
#include <emend/evaluation/statistics.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "throws.hpp"

using namespace emend;

TEST_CASE("kept ids: each once, and never without their offsets") {
  const matrix<double> x(2, 3, {1, 2, 3, 4, 5, 6});
  const auto log_z = [&](const id_column& offsets, const id_column& ids) {
    return statistics(x, {1, 2}, {.kept = {.offsets = offsets, .ids = ids}}).log_z;
  };
  CHECK(log_z({0, 2, 4}, {0, 1, 0, 2})[0] == doctest::Approx(std::log(std::exp(1.0) + std::exp(2.0))));
  // In any order.
  CHECK(log_z({0, 2, 5}, {1, 0, 2, 0, 1})[1] ==
        doctest::Approx(std::log(std::exp(4.0) + std::exp(5.0) + std::exp(6.0))));
  CHECK_THROWS_NAMING(log_z({0, 3, 4}, {0, 1, 1, 0}), "kept.ids");
  CHECK_THROWS_NAMING(log_z({0, 1, 4}, {0, 2, 1, 2}), "kept.ids");
  CHECK_THROWS_NAMING(log_z({}, {0, 1}), "kept.offsets");
  // The same id in two rows is no repetition.
  CHECK(log_z({0, 1, 2}, {1, 1})[0] == 2);
}

TEST_CASE("the ids of a top-k divergence: each once, with log-probabilities") {
  const matrix<double> x(1, 3, {1, 2, 3});
  const std::vector<double> log_probs{std::log(0.3), std::log(0.6)};
  CHECK(top_k_divergence(x, {.offsets = {0, 2}, .ids = {2, 1}, .teacher_log_prob = log_probs}).value > 0);
  CHECK_THROWS_NAMING(top_k_divergence(x, {.offsets = {0, 2}, .ids = {1, 1}, .teacher_log_prob = log_probs}), "ids");
  CHECK_THROWS_NAMING(top_k_divergence(x, {.offsets = {0, 2}, .ids = {2, 1}, .teacher_log_prob = {0.3, 0.6}}),
                      "teacher_log_prob");
}
