// hidden x weight with [N, V] never stored: against the same scores stored, and the chain rule through the product.
#include "suite.hpp"

#include <emend/core/thread_pool.hpp>
#include <emend/evaluation/evaluate.hpp>

#include <cstring>

#include "throws.hpp"

namespace suite {

template <class T>
static matrix<T> random_matrix(index rows, index columns, std::uint64_t seed) {
  const table x = random_table(rows, columns, 1, seed);
  matrix<T> m(rows, columns);
  for (index i = 0; i < rows * columns; ++i)
    m.data()[i] = T(static_cast<arithmetic<T>>(x.values[static_cast<std::size_t>(i)]));
  return m;
}
template <class T>
static double at(const matrix<T>& m, index i, index j) {
  return static_cast<double>(static_cast<arithmetic<T>>(m(i, j)));
}

struct products {
  std::vector<double> d_hidden, d_weight;
};

/// The reference on the product in double, and its gradient back through the product.
template <class T>
static expectation through_product(const matrix<T>& hidden, const matrix<T>& weight, const request& r,
                                   products& expected) {
  const index n = hidden.rows(), v = weight.rows(), d = hidden.columns();
  table x{n, v};
  for (index i = 0; i < n; ++i)
    for (index j = 0; j < v; ++j)
      for (index k = 0; k < d; ++k) x(i, j) += at(hidden, i, k) * at(weight, j, k);
  const expectation result = reference(x, r);
  expected.d_hidden.assign(static_cast<std::size_t>(n * d), 0);
  expected.d_weight.assign(static_cast<std::size_t>(v * d), 0);
  for (index i = 0; i < n; ++i)
    for (index j = 0; j < v; ++j) {
      const double g = result.gradient[static_cast<std::size_t>(i * v + j)];
      if (g == 0) continue;
      for (index k = 0; k < d; ++k) {
        expected.d_hidden[static_cast<std::size_t>(i * d + k)] += g * at(weight, j, k);
        expected.d_weight[static_cast<std::size_t>(j * d + k)] += g * at(hidden, i, k);
      }
    }
  return result;
}

template <class T>
static void check_near(const matrix<T>& got, const std::vector<double>& expected, double bar) {
  double worst = 0;
  for (index i = 0; i < got.rows(); ++i)
    for (index j = 0; j < got.columns(); ++j)
      worst = std::max(worst, std::abs(at(got, i, j) - expected[static_cast<std::size_t>(i * got.columns() + j)]));
  CHECK(worst <= bar);
}

TEST_CASE_TEMPLATE("d_hidden and d_weight are the chain rule through the product", T, float, double) {
  const double bar = std::is_same_v<T, double> ? 1e-11 : 2e-5;
  // More rows than a chunk of 512; widths around a block of columns and a panel.
  for (auto [n, v, d] : {std::array<index, 3>{1, 1, 1}, {3, 7, 2}, {5, 600, 17}, {530, 40, 9}, {50, 513, 300}})
    for (instruction_set set : every_instruction_set) {
      CAPTURE(n);
      CAPTURE(v);
      CAPTURE(d);
      const matrix<T> hidden = random_matrix<T>(n, d, 3), weight = random_matrix<T>(v, d, 4);
      const request r{
          .targets = random_targets(n, v),
          .loss = {-1, 0, 0.5, 0.25, 0.0625},
          .options = {.normaliser = static_cast<double>(n), .with_log_sum_squares = true, .instructions = set}};
      products expected;
      const expectation reference_value = through_product(hidden, weight, r, expected);
      const auto got = evaluate(r.loss, linear_scores{hidden, weight}, r.targets, r.options);
      CHECK(got.value == doctest::Approx(reference_value.value).epsilon(bar));
      check_near(got.gradient.d_hidden, expected.d_hidden, bar);
      check_near(got.gradient.d_weight, expected.d_weight, bar);
    }
}

TEST_CASE_TEMPLATE("half storage: sums in float, gradients rounded once", T, bfloat16, float16) {
  const matrix<T> hidden = random_matrix<T>(9, 12, 3), weight = random_matrix<T>(33, 12, 4);
  const request r{.targets = random_targets(9, 33)};
  products expected;
  const expectation reference_value = through_product(hidden, weight, r, expected);
  const auto got = evaluate(r.loss, linear_scores{hidden, weight}, r.targets);
  CHECK(got.value == doctest::Approx(reference_value.value).epsilon(1e-5));
  const double epsilon = std::is_same_v<T, bfloat16> ? 0x1p-8 : 0x1p-11;
  check_near(got.gradient.d_hidden, expected.d_hidden, 8 * epsilon);
  check_near(got.gradient.d_weight, expected.d_weight, 8 * epsilon);
}

TEST_CASE("masks, shared rows, links, kept ids and temperatures, through the product") {
  const index n = 6, v = 21, d = 5;
  const matrix<double> hidden = random_matrix<double>(n, d, 3), weight = random_matrix<double>(v, d, 4);
  const std::vector<int> mask{1, 0, 1, 1, 0, 1}, rows{2, 0, 2, 5, 1, 0}, links{1, 4, -1, 0, -1, 3};
  const std::vector<int> offsets{0, 3, 6, 9, 12, 14, 17}, ids{0, 5, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 0, 11, 12};
  const std::vector<index> inside{5, 2, 6, 7, 1, 12};
  const std::vector<double> temperatures{0.5, 1, 2, 1, 0.8, 1.5};
  const evaluation_options cases[] = {{.mask = mask},
                                      {.mask = mask, .rows = rows},
                                      {.mask = mask, .links = links},
                                      {.rows = rows, .links = links},
                                      {.mask = mask, .transform = {.temperatures = temperatures}},
                                      {.mask = mask, .transform = {.temperatures = temperatures, .soft_cap = 2}},
                                      {.mask = mask, .kept = {offsets, ids}},
                                      {.mask = mask,
                                       .links = links,
                                       .transform = {.temperatures = temperatures, .soft_cap = 3},
                                       .kept = {offsets, ids}}};
  for (const evaluation_options& options : cases) {
    const request r{.targets = inside, .loss = {-1, 0, 0.5, 0, 0.0625, 0.3}, .options = options};
    products expected;
    const expectation reference_value = through_product(hidden, weight, r, expected);
    const auto got = evaluate(r.loss, linear_scores{hidden, weight}, r.targets, r.options);
    CHECK(got.value == doctest::Approx(reference_value.value).epsilon(1e-12));
    check_near(got.gradient.d_hidden, expected.d_hidden, 1e-12);
    check_near(got.gradient.d_weight, expected.d_weight, 1e-12);
  }
}

TEST_CASE("masked rows of NaN and rows with nothing to pass back leave no trace in d_weight") {
  matrix<float> hidden = random_matrix<float>(5, 4, 3);
  const matrix<float> weight = random_matrix<float>(9, 4, 4);
  const std::vector<int> mask{1, 0, 1, 1, 1}, targets{0, 1, 2, 3, 4};
  const std::vector<double> advantage{1, 1, 0, -2, 1};
  const auto loss = [&](const auto& t) { return -t(advantage) * t.log_prob; };
  const auto before = evaluate(loss, linear_scores{hidden, weight}, targets, {.mask = mask});
  for (index k = 0; k < 4; ++k) hidden(1, k) = NAN;
  const auto after = evaluate(loss, linear_scores{hidden, weight}, targets, {.mask = mask});
  CHECK(before.value == after.value);
  CHECK(std::memcmp(before.gradient.d_weight.data(), after.gradient.d_weight.data(), sizeof(float) * 36) == 0);
  for (index k = 0; k < 4; ++k) {
    CHECK(after.gradient.d_hidden(1, k) == 0);
    CHECK(after.gradient.d_hidden(2, k) == 0);
  }
}

TEST_CASE("views of any stride, and the same bits for any number of threads") {
  const index n = 40, v = 1100, d = 11;
  const matrix<float> hidden = random_matrix<float>(n, d, 3), weight = random_matrix<float>(v, d, 4);
  matrix<float> columns(d, v);
  for (index j = 0; j < v; ++j)
    for (index k = 0; k < d; ++k) columns(k, j) = weight(j, k);
  const score_view<const float> weight_view{columns.data(), v, d, 1, v};
  const std::vector<index> targets = random_targets(n, v);
  const auto plain = evaluate(mixed_loss{-1, 0, 0.5}, linear_scores{hidden, weight}, targets);
  const auto strided = evaluate(mixed_loss{-1, 0, 0.5}, linear_scores{hidden, weight_view}, targets);
  CHECK(plain.value == strided.value);
  CHECK(std::memcmp(plain.gradient.d_hidden.data(), strided.gradient.d_hidden.data(), sizeof(float) * 40 * 11) == 0);
  CHECK(std::memcmp(plain.gradient.d_weight.data(), strided.gradient.d_weight.data(), sizeof(float) * 1100 * 11) == 0);
  for (int threads : {1, 2, 3}) {
    thread_pool pool(threads);
    const auto got = evaluate(mixed_loss{-1, 0, 0.5}, linear_scores{hidden, weight}, targets, {}, pool);
    CHECK(got.value == plain.value);
    CHECK(std::memcmp(plain.gradient.d_hidden.data(), got.gradient.d_hidden.data(), sizeof(float) * 40 * 11) == 0);
    CHECK(std::memcmp(plain.gradient.d_weight.data(), got.gradient.d_weight.data(), sizeof(float) * 1100 * 11) == 0);
  }
}

TEST_CASE("into existing gradients; errors name the argument") {
  const matrix<float> hidden = random_matrix<float>(4, 3, 3), weight = random_matrix<float>(5, 3, 4), narrow(5, 2);
  const std::vector<int> targets{0, 1, 2, 3};
  const linear_scores x{hidden, weight};
  const auto loss = [](const auto& t) { return -t.log_prob; };
  linear_gradient<matrix<float>, matrix<float>> out{matrix<float>(4, 3), matrix<float>(5, 3)};
  for (index i = 0; i < 15; ++i) out.d_weight.data()[i] = 9;
  evaluate_into(loss, x, targets, {}, out);
  const auto fresh = evaluate(loss, x, targets);
  CHECK(std::memcmp(out.d_weight.data(), fresh.gradient.d_weight.data(), sizeof(float) * 15) == 0);
  CHECK(std::memcmp(out.d_hidden.data(), fresh.gradient.d_hidden.data(), sizeof(float) * 12) == 0);
  linear_gradient<matrix<float>, matrix<float>> wrong_hidden{matrix<float>(3, 3), matrix<float>(5, 3)};
  linear_gradient<matrix<float>, matrix<float>> wrong_weight{matrix<float>(4, 3), matrix<float>(5, 2)};
  CHECK_THROWS_NAMING(evaluate_into(loss, x, targets, {}, wrong_hidden), "d_hidden");
  CHECK_THROWS_NAMING(evaluate_into(loss, x, targets, {}, wrong_weight), "d_weight");
  CHECK_THROWS_NAMING(evaluate(loss, linear_scores{hidden, narrow}, targets), "linear_scores");
  const matrix<double> other(5, 3);
  CHECK_THROWS_NAMING(evaluate(loss, linear_scores{hidden, other}, targets), "linear_scores");
}

}  // namespace suite
