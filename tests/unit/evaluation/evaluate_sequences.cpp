// evaluate_sequences: losses whose factor depends on the whole sequence.
#include <emend/core/matrix.hpp>
#include <emend/core/thread_pool.hpp>
#include <emend/evaluation/evaluate_sequences.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

struct gspo {
  column old_log_prob, advantage;
  auto summand(const auto& t) const { return t.log_prob - t(old_log_prob); }
  auto operator()(const auto& t, auto summary, index length) const {
    const auto ratio = emend::exp(summary / double(length));
    return -emend::min(ratio * t(advantage), emend::clamp(ratio, 0.8, 1.2) * t(advantage));
  }
};
/// Every statistic, times the summary.
struct mixed {
  auto summand(const auto& t) const { return t.log_prob + 0.3 * t.entropy; }
  auto operator()(const auto& t, auto summary, index length) const {
    return emend::square(summary) * t.log_prob / double(length) + t.log_z;
  }
};

matrix<double> scores(index rows, index vocab) {
  matrix<double> x(rows, vocab);
  for (index i = 0; i < rows; ++i)
    for (index j = 0; j < vocab; ++j) x(i, j) = static_cast<double>((i * 37 + j * 101) % 97) * 0.03 - 1;
  return x;
}

template <class Loss, class L>
void check_gradient(const Loss& loss, const L& layout, const evaluation_options& options) {
  matrix<double> x = scores(6, 7);
  const std::vector<int> targets{0, 3, 6, 2, 2, 1};
  const auto got = evaluate_sequences(loss, x, targets, layout, options);
  for (index i = 0; i < x.rows(); ++i)
    for (index j = 0; j < x.columns(); ++j) {
      const double at = x(i, j), step = 1e-5;
      x(i, j) = at + step;
      const double above = evaluate_sequences(loss, x, targets, layout, options).value;
      x(i, j) = at - step;
      const double below = evaluate_sequences(loss, x, targets, layout, options).value;
      x(i, j) = at;
      CHECK(got.gradient(i, j) == doctest::Approx((above - below) / (2 * step)).epsilon(1e-6).scale(0.1));
    }
}

TEST_CASE("gradients are central finite differences, for every layout") {
  const std::vector<double> old{-2, -2.1, -1.9, -2, -2, -2.2}, advantage{1, 1, 1, -2, -2, -2},
      weight{1, 0.5, 0, 2, 1, 1};
  const std::vector<int> mask{1, 0, 1, 1, 1, 0}, offsets{0, 2, 2, 6}, packed_ids{1, 0, 1, -1, 0, 0};
  const evaluation_options plain{}, weighted{.weight = weight, .normaliser = 3}, masked{.mask = mask};
  for (const evaluation_options& options : {plain, weighted, masked}) {
    check_gradient(gspo{old, advantage}, padded(2, 3), options);
    check_gradient(gspo{old, advantage}, padded(2, 3, mask), options);
    check_gradient(mixed{}, ragged(offsets), options);
    check_gradient(mixed{}, packed(packed_ids), options);
  }
}

TEST_CASE("the value is that of the formula") {
  const matrix<double> x = scores(4, 7);
  const std::vector<int> targets{0, 3, 6, 2}, mask{1, 1, 1, 0};
  const std::vector<double> old{-2, -2, -2, -2}, advantage{1, 1, 3, 3};
  std::vector<double> per_token;
  const auto got = evaluate_sequences(gspo{old, advantage}, x, targets, padded(2, 2, mask),
                                      {.normaliser = 2, .per_token = &per_token});
  double log_prob[4];
  for (index i = 0; i < 4; ++i) {
    double sum = 0;
    for (index j = 0; j < 7; ++j) sum += std::exp(x(i, j));
    log_prob[i] = x(i, targets[static_cast<std::size_t>(i)]) - std::log(sum);
  }
  const auto loss = [](double ratio, double a) {
    return -std::fmin(ratio * a, std::fmin(std::fmax(ratio, 0.8), 1.2) * a);
  };
  const double first = loss(std::exp((log_prob[0] + log_prob[1] + 4) / 2), 1),
               second = loss(std::exp(log_prob[2] + 2), 3);
  CHECK(got.value == doctest::Approx((2 * first + second) / 2).epsilon(1e-12));
  CHECK(got.evaluated == 3);
  REQUIRE(per_token.size() == 4);
  CHECK(per_token[1] == doctest::Approx(first));
  CHECK(per_token[3] == 0);
  const auto value = evaluate_sequences_value(gspo{old, advantage}, x, targets, padded(2, 2, mask), {.normaliser = 2});
  CHECK(value.value == got.value);
  CHECK(value.evaluated == 3);
}

TEST_CASE("the same bits for any number of threads; errors name the argument") {
  const matrix<double> x = scores(6, 700);
  const std::vector<int> targets{0, 3, 6, 2, 2, 1}, rows{0, 1, 2, 3, 4, 5}, short_column{1, 1, 1};
  const auto alone = evaluate_sequences(mixed{}, x, targets, padded(2, 3));
  for (int threads : {1, 2, 3}) {
    thread_pool pool(threads);
    const auto got = evaluate_sequences(mixed{}, x, targets, padded(2, 3), {}, pool);
    CHECK(got.value == alone.value);
    CHECK(std::memcmp(got.gradient.data(), alone.gradient.data(), sizeof(double) * 6 * 700) == 0);
  }
  CHECK_THROWS_NAMING(evaluate_sequences(mixed{}, x, targets, padded(2, 2)), "targets");
  CHECK_THROWS_NAMING(evaluate_sequences(mixed{}, x, targets, padded(2, 3), {.rows = rows}), "rows");
  CHECK_THROWS_NAMING(evaluate_sequences(mixed{}, x, targets, padded(2, 3), {.weight = short_column}), "weight");
  CHECK_THROWS_NAMING(evaluate_sequences(mixed{}, x, targets, padded(2, 3), {.mask = short_column}), "mask");
  CHECK_THROWS_NAMING(evaluate_sequences(mixed{}, x, targets, padded(2, 3), {.normaliser = -1}), "normaliser");
}

}  // namespace
