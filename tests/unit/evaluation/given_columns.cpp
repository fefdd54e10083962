// What a call takes: empty columns, ignored targets, temperatures at the ends of their range, views that cannot be
// right.
#include <emend/core/matrix.hpp>
#include <emend/distillation/divergence.hpp>
#include <emend/evaluation/evaluate.hpp>
#include <emend/evaluation/evaluate_sequences.hpp>
#include <emend/evaluation/statistics.hpp>
#include <emend/losses/cross_entropy.hpp>
#include <emend/losses/ppo_clip.hpp>
#include <emend/losses/sequence_level.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "instruction_sets.hpp"
#include "throws.hpp"

using namespace emend;

namespace {

using numbers = std::vector<double>;

template <class T>
matrix<T> scores(emend::index rows, emend::index vocab) {
  matrix<T> x(rows, vocab);
  for (emend::index i = 0; i < rows; ++i)
    for (emend::index j = 0; j < vocab; ++j) x(i, j) = static_cast<T>((i * 37 + j * 101) % 97) * T(0.11) - T(4);
  return x;
}
template <class T>
bool is_same(const matrix<T>& a, const matrix<T>& b) {
  for (emend::index i = 0; i < a.rows(); ++i)
    for (emend::index j = 0; j < a.columns(); ++j)
      if (a(i, j) != b(i, j)) return false;
  return true;
}

TEST_CASE("a column without entries is given, and has the wrong length") {
  const matrix<float> x = scores<float>(3, 5);
  const std::vector<int> targets{0, 1, 2}, no_ids;
  const std::vector<char> no_mask;
  const numbers none;
  CHECK_THROWS_NAMING(evaluate(cross_entropy{}, x, targets, {.mask = no_mask}), "mask");
  CHECK_THROWS_NAMING(evaluate(cross_entropy{}, x, targets, {.weight = none}), "weight");
  CHECK_THROWS_NAMING(evaluate(cross_entropy{}, x, targets, {.rows = no_ids}), "rows");
  CHECK_THROWS_NAMING(evaluate(cross_entropy{}, x, targets, {.links = no_ids}), "links");
  CHECK_THROWS_NAMING(evaluate(cross_entropy{}, x, targets, {.transform = {.temperatures = none}}), "temperatures");
  CHECK_THROWS_NAMING(evaluate(cross_entropy{}, x, targets, {.kept = {.offsets = no_ids}}), "kept.offsets");
  CHECK_THROWS_NAMING(statistics(x, no_ids), "targets");
  CHECK_THROWS_NAMING(statistics(x, targets, {.mask = no_mask}), "mask");
  CHECK_THROWS_NAMING(statistics(x, targets, {.chosen_per_row = 2}), "chosen");
  CHECK_THROWS_NAMING(divergence(divergence_kind::forward_kl, x, x, {.mask = no_mask}), "mask");
  CHECK_THROWS_NAMING(padded(2, 3, no_mask), "padded mask");
  CHECK(statistics(x, {}).log_prob.empty());
  // Terms that there are none of.
  const auto got = evaluate(cross_entropy{}, x, no_ids, {.rows = no_ids});
  CHECK(got.value == 0);
  CHECK(got.evaluated == 0);
  CHECK(is_same(got.gradient, matrix<float>(3, 5)));
}

TEST_CASE("an ignored target is as a masked one") {
  const matrix<float> x = scores<float>(5, 7);
  const std::vector<int> ids{3, -100, 0, -100, 6}, masked{3, 0, 0, 0, 6}, mask{1, 0, 1, 0, 1};
  numbers per_token, expected_per_token;
  const auto got = evaluate(cross_entropy{}, x, ids, {.ignore_id = -100, .per_token = &per_token});
  const auto expected = evaluate(cross_entropy{}, x, masked, {.mask = mask, .per_token = &expected_per_token});
  CHECK(got.value == expected.value);
  CHECK(got.evaluated == 3);
  CHECK(is_same(got.gradient, expected.gradient));
  CHECK(per_token == expected_per_token);
  CHECK_THROWS_NAMING(evaluate(cross_entropy{}, x, ids), "targets");
  CHECK_THROWS_NAMING(evaluate(cross_entropy{}, x, ids, {.ignore_id = -1}), "targets");
  // An id of the vocabulary can be the one, too: 0, a padding id.
  CHECK(evaluate(cross_entropy{}, x, masked, {.ignore_id = 0}).evaluated == 2);

  const statistics_columns s = statistics(x, ids, {.ignore_id = -100}), plain = statistics(x, masked, {.mask = mask});
  CHECK(s.log_prob == plain.log_prob);
  CHECK(s.entropy == plain.entropy);
  const std::vector<int> chosen{1, 2, 3, 4, 5};
  const auto with_chosen = statistics(x, ids, {.ignore_id = -100, .chosen = chosen, .chosen_per_row = 1});
  CHECK(with_chosen.chosen_log_prob[1] == 0);
  CHECK(with_chosen.chosen_log_prob[2] == doctest::Approx(static_cast<double>(x(2, 3)) - plain.log_z[2]));
  CHECK(with_chosen.log_prob == plain.log_prob);

  // In a sequence it is no token: its length and summary are those of the others.
  const numbers old{-2, -2, -2.5, -2, -1.5}, advantage{1, 1, 1, -1, -1};
  const sequence_level<ppo_clip> loss{{old, advantage}};
  const std::vector<int> offsets{0, 3, 5};
  const auto by_sequence = evaluate_sequences(loss, x, ids, ragged(offsets), {.ignore_id = -100});
  const auto by_mask = evaluate_sequences(loss, x, masked, ragged(offsets), {.mask = mask});
  CHECK(by_sequence.value == by_mask.value);
  CHECK(by_sequence.evaluated == 3);
  CHECK(is_same(by_sequence.gradient, by_mask.gradient));
}

TEST_CASE("a token of weight 0 has its say in the summary, and no loss") {
  const matrix<double> x = scores<double>(4, 5);
  const std::vector<int> targets{0, 1, 2, 3}, offsets{0, 4};
  const numbers old{-2, -2, -2, -2}, advantage{1, 2, std::numeric_limits<double>::infinity(), 1}, weight{1, 1, 0, 2};
  numbers per_token;
  const sequence_level<ppo_clip> loss{{old, advantage}};
  const auto got = evaluate_sequences(loss, x, targets, ragged(offsets), {.weight = weight, .per_token = &per_token});
  CHECK(got.evaluated == 3);
  CHECK(per_token[2] == 0);
  CHECK(std::isfinite(got.value));
  const auto s = statistics(x, targets);
  double summary = 0;
  for (std::size_t t = 0; t < 4; ++t) summary += s.log_prob[t] + 2;
  const double ratio = std::exp(summary / 4);
  const auto surrogate = [&](double a) { return -std::min(ratio * a, std::clamp(ratio, 0.8, 1.2) * a); };
  CHECK(per_token[1] == doctest::Approx(surrogate(2)));
  CHECK(got.value == doctest::Approx(surrogate(1) + surrogate(2) + 2 * surrogate(1)));
  CHECK(got.gradient(2, 2) != 0);
}

TEST_CASE("one number a sequence stands for its tokens") {
  const matrix<double> x = scores<double>(5, 4);
  const std::vector<int> targets{0, 1, 2, 3, 0}, offsets{0, 3, 5};
  const ragged layout(offsets);
  const numbers old{-2, -2, -2, -2, -2}, of_tokens{2, 2, 2, -1, -1}, weight{0.5, 3}, weights{0.5, 0.5, 0.5, 3, 3};
  const numbers of_sequences{2, -1};
  const auto got = evaluate(ppo_clip{old, per_sequence(of_sequences, layout)}, x, targets);
  const auto expected = evaluate(ppo_clip{old, of_tokens}, x, targets);
  CHECK(got.value == expected.value);
  CHECK(is_same(got.gradient, expected.gradient));
  const sequence_level<ppo_clip> loss{{old, of_tokens}};
  const auto by_sequence = evaluate_sequences(loss, x, targets, layout, {.mask = {1, 0}, .weight = weight});
  const auto by_token = evaluate_sequences(loss, x, targets, layout, {.mask = {1, 1, 1, 0, 0}, .weight = weights});
  CHECK(by_sequence.value == by_token.value);
  CHECK(by_sequence.evaluated == 3);
  CHECK(is_same(by_sequence.gradient, by_token.gradient));
  CHECK_THROWS_NAMING(per_sequence(of_tokens, layout), "per_sequence");
  CHECK_THROWS_NAMING(evaluate_sequences(loss, x, targets, layout, {.weight = {1, 2, 3}}), "weight");
}

template <class T>
void check_temperature(double temperature, instruction_set set) {
  CAPTURE(temperature);
  const emend::index vocab = 37;
  matrix<T> x(2, vocab);
  for (emend::index j = 0; j < vocab; ++j) {
    x(0, j) = static_cast<T>(j % 11) * T(0.5) - T(2);
    x(1, j) = j == 5 ? T(30) : T(-30);
  }
  const auto loss = [](const auto& t) { return -t.log_prob + 0.5 * t.entropy; };
  for (const bool has_one_each : {false, true}) {
    evaluation_options options{.instructions = set};
    if (has_one_each)
      options.transform.temperatures = {temperature, temperature};
    else
      options.transform.temperature = temperature;
    const auto got = evaluate(loss, x, {3, 5}, options);
    double expected = 0;
    for (emend::index i = 0; i < 2; ++i) {
      long double sum = 0, weighted = 0;
      const long double largest = i == 0 ? 3 : 30;
      const auto z = [&](emend::index j) { return (static_cast<long double>(x(i, j)) - largest) / temperature; };
      for (emend::index j = 0; j < vocab; ++j) sum += std::exp(z(j)), weighted += std::exp(z(j)) * z(j);
      const long double log_sum = std::log(sum), log_p = z(i == 0 ? 3 : 5) - log_sum,
                        entropy = log_sum - (weighted == 0 ? 0 : weighted / sum);
      expected += static_cast<double>(-log_p + 0.5L * entropy);
      const double tolerance = sizeof(T) == 4 ? 2e-6 : 1e-11;
      for (emend::index j = 0; j < vocab; ++j) {
        const long double p = std::exp(z(j) - log_sum), slope = p - (j == (i == 0 ? 3 : 5) ? 1 : 0) -
                                                                (p == 0 ? 0 : 0.5L * p * ((z(j) - log_sum) + entropy));
        const double gradient = static_cast<double>(slope / temperature);
        CHECK(std::fabs(static_cast<double>(got.gradient(i, j)) - gradient) <=
              tolerance * (std::fabs(gradient) + std::fabs(1 / temperature)) +
                  static_cast<double>(std::numeric_limits<T>::denorm_min()));
      }
    }
    CHECK(got.value == doctest::Approx(expected).epsilon(sizeof(T) == 4 ? 4e-6 : 1e-12));
  }
}

TEST_CASE("temperatures at the ends of their range are right, or refused") {
  for (const instruction_set set : supported_instruction_sets()) {
    for (const double temperature : {1.0, 1e10, 1e37, 1e38}) check_temperature<float>(temperature, set);
    for (const double temperature : {1.0, 1e37, 1e40, 1e300}) check_temperature<double>(temperature, set);
    // A gradient beyond float's range is infinite there, as 1 / temperature is; in double it is a number.
    check_temperature<double>(1e-3, set);
    check_temperature<float>(1e-3, set);
  }
  const matrix<float> x = scores<float>(2, 5);
  const std::vector<int> targets{0, 1};
  for (const double temperature : {1e-320, 0.0, -1.0, std::numeric_limits<double>::infinity(), std::nan("")}) {
    CHECK_THROWS_NAMING(evaluate(cross_entropy{}, x, targets, {.transform = {.temperature = temperature}}),
                        "temperature");
    CHECK_THROWS_NAMING(statistics(x, targets, {.transform = {.temperatures = {1.0, temperature}}}), "temperatures");
    CHECK_THROWS_NAMING(
        divergence(divergence_kind::forward_kl, x, x, {.teacher_transform = {.temperature = temperature}}),
        "teacher_transform.temperature");
  }
  CHECK_THROWS_NAMING(statistics(x, targets, {.transform = {.temperature = 1e300, .logit_scale = 1e-300}}),
                      "temperature");
  // For every float temperature 1e40 is a uniform distribution.
  CHECK(statistics(x, targets, {.transform = {.temperature = 1e40}}).entropy[0] == doctest::Approx(std::log(5.0)));
  const auto kl = divergence(divergence_kind::forward_kl, x, x, {.student_transform = {.temperature = 1e40}});
  double expected = 0;
  for (emend::index i = 0; i < 2; ++i)
    expected += std::log(5.0) - statistics(x, targets).entropy[static_cast<std::size_t>(i)];
  CHECK(kl.value == doctest::Approx(expected).epsilon(1e-5));
}

TEST_CASE("a braced list of one number is a list of values") {
  const matrix<float> x(1, 1, {5});
  CHECK(x.rows() == 1);
  CHECK(x.columns() == 1);
  CHECK(x(0, 0) == 5);
  CHECK(matrix<double>(1, 2, {0.5, 2})(0, 1) == 2);
  CHECK(matrix<float>(2, 3, 4).rows() == 6);
  CHECK(matrix<float>(2, 3, 4).columns() == 4);
  CHECK(matrix<bfloat16>(1, 1, {bfloat16(2.0f)})(0, 0).bits == bfloat16(2.0f).bits);
  CHECK_THROWS_NAMING(matrix<float>(1, 2, {5}), "matrix values");
  CHECK_THROWS_NAMING(matrix<float>(-1, 2), "matrix extents");
  CHECK_THROWS_NAMING(matrix<float>(emend::index{1} << 40, emend::index{1} << 40), "matrix extents");
  CHECK_THROWS_NAMING(matrix<float>(emend::index{1} << 40, emend::index{1} << 40, 1), "matrix extents");
}

TEST_CASE("packed takes memory for the sequences that there can be") {
  CHECK_THROWS_NAMING(packed({1000000000, 0}), "packed sequence ids");
  CHECK_THROWS_NAMING(packed({0, 2}), "packed sequence ids");
  CHECK_THROWS_NAMING(packed({0, 2}, 2), "packed sequence ids");
  CHECK_THROWS_NAMING(packed({0, -2}), "packed sequence ids");
  CHECK_THROWS_NAMING(packed({0}, -2), "packed sequences");
  CHECK(packed({0, 1}).sequences() == 2);
  CHECK(packed({1, -1}).sequences() == 2);
  CHECK(packed({1, -1}).length(0) == 0);
  CHECK(packed({2, 0}, 5).sequences() == 5);
  CHECK(packed({2, 0}, 5).length(4) == 0);
  CHECK(packed({2, 0}, 5).position(2, 0) == 0);
  CHECK(packed(std::vector<int>{}).sequences() == 0);
}

}  // namespace

namespace views {

/// Scores whose view is whatever a test says.
struct block {
  score_view<float> view;
  int calls = 1;
};

}  // namespace views

template <>
struct emend::backend<views::block> {
  static matrix<float> like(const views::block& b) { return matrix<float>(b.view.rows(), b.view.vocab); }
  static void visit(const views::block& b, auto&& f) {
    for (int k = 0; k < b.calls; ++k) f(score_view<const float>(b.view));
  }
  static void visit(views::block& b, auto&& f) {
    for (int k = 0; k < b.calls; ++k) f(b.view);
  }
};

namespace {

TEST_CASE("views that cannot be right are refused") {
  std::vector<float> memory(12, 0.5f);
  const std::vector<int> targets{0, 1};
  const auto value = [&](views::block b) { return evaluate_value(cross_entropy{}, b, targets).value; };
  const score_view<float> good{memory.data(), 2, 3, 3, 1};
  CHECK(value({good}) == doctest::Approx(2 * std::log(3.0)));
  CHECK_THROWS_NAMING(value({good, 0}), "scores");
  CHECK_THROWS_NAMING(value({good, 2}), "scores");
  CHECK_THROWS_NAMING(value({{nullptr, 2, 3, 3, 1}}), "scores");
  CHECK_THROWS_NAMING(value({{memory.data(), -2, 3, 3, 1}}), "scores");
  CHECK_THROWS_NAMING(value({{memory.data(), 2, -3, 3, 1}}), "scores");
  CHECK_THROWS_NAMING(value({{memory.data(), emend::index{1} << 40, emend::index{1} << 40, 3, 1}}), "scores");
  // An expanded row is an input, no output.
  CHECK(value({{memory.data(), 2, 3, 0, 1}}) == doctest::Approx(2 * std::log(3.0)));
  const matrix<float> x(2, 3);
  for (const score_view<float> out : {score_view<float>{memory.data(), 2, 3, 0, 1}, {memory.data(), 2, 3, 3, 0}}) {
    views::block gradient{out};
    CHECK_THROWS_NAMING(evaluate_into(cross_entropy{}, x, targets, {}, gradient), "gradient");
  }
  views::block twice{good, 2};
  CHECK_THROWS_NAMING(evaluate_into(cross_entropy{}, x, targets, {}, twice), "gradient");
}

TEST_CASE("more than 2^31 scores in one block are addressed") {
  // Rows that lie 2^31 + 11 scores apart, in memory that is never touched between them.
  constexpr emend::index apart = (emend::index{1} << 31) + 11, vocab = 5;
  constexpr auto bytes = static_cast<std::size_t>(apart + vocab) * sizeof(bfloat16);
  auto* const memory = static_cast<bfloat16*>(std::calloc(bytes, 1));
  if (memory == nullptr) {
    MESSAGE("skipped: no 4 GiB of address space");
    return;
  }
  matrix<bfloat16> expected(2, vocab);
  for (emend::index j = 0; j < vocab; ++j) {
    expected(0, j) = memory[j] = bfloat16(static_cast<float>(j));
    expected(1, j) = memory[apart + j] = bfloat16(static_cast<float>(3 - 2 * j));
  }
  const score_view<bfloat16> far_rows{memory, 2, vocab, apart, 1}, far_ids{memory, 1, 2, 1, apart};
  const std::vector<int> targets{1, 4};
  const auto near_by = evaluate(cross_entropy{}, expected, targets);
  const auto far_off = evaluate(cross_entropy{}, far_rows, targets);
  CHECK(far_off.value == near_by.value);
  for (emend::index i = 0; i < 2; ++i)
    for (emend::index j = 0; j < vocab; ++j) CHECK(far_off.gradient(i, j).bits == near_by.gradient(i, j).bits);
  CHECK(statistics(far_ids, {1}).log_prob[0] == doctest::Approx(3 - std::log(1 + std::exp(3.0))).epsilon(1e-6));
  std::free(memory);
  // 2^32 entries by an expanded row: only the last is counted.
  const std::vector<bfloat16> row(1 << 17);
  const score_view<const bfloat16> expanded{row.data(), 1 << 15, 1 << 17, 0, 1};
  std::vector<char> mask(1 << 15, 0);
  mask.back() = 1;
  const std::vector<int> ids(1 << 15, 7);
  const auto value = evaluate_value(cross_entropy{}, expanded, ids, {.mask = mask});
  CHECK(value.evaluated == 1);
  CHECK(value.value == doctest::Approx(17 * std::log(2.0)).epsilon(1e-6));
}

}  // namespace
