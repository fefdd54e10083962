#include <emend/core/matrix.hpp>
#include <emend/distillation/sampled_distillation.hpp>
#include <emend/evaluation/evaluate.hpp>

#include <doctest/doctest.h>

#include <cmath>

#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using numbers = std::vector<double>;

constexpr kl_kind every_estimate[] = {kl_kind::k1, kl_kind::k2, kl_kind::k3};

TEST_CASE("sampled distillation as a loss: values by hand, gradients by finite differences") {
  matrix<double> x(3, 3, {1, 0, -1, 0.5, 2, 0, 30, 0, 0});
  const std::vector<int> targets{0, 2, 1};
  const numbers teacher{-0.7, -1.2, -2};
  for (const kl_kind estimate : every_estimate) {
    const sampled_distillation loss{.teacher_log_prob = teacher, .estimate = estimate};
    numbers per_token;
    const auto got = evaluate(loss, x, targets, {.per_token = &per_token});
    for (index i = 0; i < 3; ++i) {
      double sum = 0;
      for (index j = 0; j < 3; ++j) sum += std::exp(x(i, j));
      const double d =
          x(i, targets[static_cast<std::size_t>(i)]) - std::log(sum) - teacher[static_cast<std::size_t>(i)];
      const double want = estimate == kl_kind::k1 ? d : estimate == kl_kind::k2 ? d * d / 2 : std::exp(-d) - 1 + d;
      CHECK(per_token[static_cast<std::size_t>(i)] ==
            doctest::Approx(std::fmin(std::fmax(want, -10), 10)).epsilon(1e-12));
      for (index j = 0; j < 3; ++j) {
        const double from = x(i, j), step = 1e-5;
        x(i, j) = from + step;
        const double above = evaluate_value(loss, x, targets);
        x(i, j) = from - step;
        const double below = evaluate_value(loss, x, targets);
        x(i, j) = from;
        CHECK(got.gradient(i, j) == doctest::Approx((above - below) / (2 * step)).epsilon(1e-6).scale(0.01));
      }
    }
    CHECK(got.metrics[1] == doctest::Approx(1.0 / 3));  // the last token's
  }
}

TEST_CASE("k2 as a loss has the gradient of the divergence, in the mean over the student's samples") {
  const matrix<double> student(1, 4, {0.3, -0.5, 1, 0}), teacher(1, 4, {1, 0, 0.5, -1});
  double log_p = 0, log_q = 0;
  for (index j = 0; j < 4; ++j) log_p += std::exp(student(0, j)), log_q += std::exp(teacher(0, j));
  double divergence = 0;
  numbers p(4), ratio(4), mean(4, 0.0);
  for (index j = 0; j < 4; ++j) {
    const auto k = static_cast<std::size_t>(j);
    p[k] = std::exp(student(0, j)) / log_p;
    ratio[k] = std::log(p[k]) - (teacher(0, j) - std::log(log_q));
    divergence += p[k] * ratio[k];
  }
  for (int sample = 0; sample < 4; ++sample) {
    const auto k = static_cast<std::size_t>(sample);
    const numbers teacher_log_prob{std::log(p[k]) - ratio[k]};
    const std::vector<int> targets{sample};
    const auto got = evaluate(sampled_distillation{.teacher_log_prob = teacher_log_prob}, student, targets);
    for (std::size_t j = 0; j < 4; ++j) mean[j] += p[k] * got.gradient.data()[j];
  }
  for (std::size_t j = 0; j < 4; ++j) CHECK(mean[j] == doctest::Approx(p[j] * (ratio[j] - divergence)).epsilon(1e-12));
}

TEST_CASE("sampled distillation as an advantage, with a task's own") {
  const numbers log_prob{-1, -2, -30, -1}, teacher{-0.5, -3, -1, -9}, mask{1, 1, 1, 0}, task{1, 1, 1, 1};
  CHECK(distillation_advantage(log_prob, teacher, padded(2, 2, mask)) == numbers{0.5, -1, 10, 0});
  CHECK(distillation_advantage(log_prob, teacher, padded(2, 2, mask), {.clamp = HUGE_VAL})[2] == 29);
  const auto mixed = distillation_advantage(log_prob, teacher, padded(2, 2, mask),
                                            {.estimate = kl_kind::k2, .coefficient = 0.5, .task_advantage = task});
  CHECK(mixed == numbers{1 - 0.0625, 0.75, 1 - 5, 0});
  CHECK(distillation_advantage(log_prob, teacher, padded(2, 2, mask), {.estimate = kl_kind::k3})[0] ==
        doctest::Approx(-(std::exp(0.5) - 1.5)));
  CHECK_THROWS_NAMING(distillation_advantage(log_prob, teacher, padded(1, 3)), "log_prob");
  CHECK_THROWS_NAMING(distillation_advantage(log_prob, numbers{1}, padded(2, 2)), "teacher_log_prob");
  CHECK_THROWS_NAMING(distillation_advantage(log_prob, teacher, padded(2, 2), {.clamp = 0}), "clamp");
  CHECK_THROWS_NAMING(distillation_advantage(log_prob, teacher, padded(2, 2), {.task_advantage = numbers{1}}),
                      "task_advantage");
  const matrix<double> x(1, 2);
  const std::vector<int> targets{0};
  CHECK_THROWS_NAMING(evaluate_value(sampled_distillation{.teacher_log_prob = task}, x, targets), "teacher_log_prob");
}

}  // namespace
