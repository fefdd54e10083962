// Scores that are not ordinary numbers: -inf, NaN, +inf, huge magnitudes, ties, rows of one certain id.
#include "suite.hpp"

#include <algorithm>

namespace suite {

/// The row is NaN in value, and only it.
static void check_others_unharmed(const table& x, const outcome& got, const expectation& expected, index bad_row) {
  for (index i = 0; i < x.rows; ++i) {
    if (i == bad_row) continue;
    for (index j = 0; j < x.vocab; ++j) {
      const std::size_t k = static_cast<std::size_t>(i * x.vocab + j);
      REQUIRE(std::abs(got.gradient[k] - expected.gradient[k]) < 1e-2);
    }
  }
}

TEST_CASE_TEMPLATE_DEFINE("-inf has probability and gradient 0", Carrier, minus_infinity) {
  const traits carrier = traits_of<Carrier>();
  if (!carrier.takes_infinities) return;
  for (instruction_set set : every_instruction_set)
    for (index vocab : {2, 9, 40, 300}) {
      table x = random_table(5, vocab);
      request r{.targets = {1, 1, 1, 1, 0},
                .loss = {-1, 0, 0.5, 0.25, 0.0625},
                .options = {.with_log_sum_squares = true, .instructions = set}};
      x(0, 0) = -inf;                                                   // one
      for (index j = 0; j < vocab; j += 2) x(1, j) = -inf;              // every other
      for (index j = 0; j < vocab; ++j) x(2, j) = j == 1 ? 2.5 : -inf;  // all but one: a certain id
      x(3, vocab - 1) = vocab > 2 ? -inf : 0;
      const outcome got = check_against_reference<Carrier>(x, r);
      for (index i : {0, 1, 2})
        for (index j = 0; j < vocab; ++j)
          if (x(i, j) == -inf) CHECK(got.gradient[static_cast<std::size_t>(i * vocab + j)] == 0);
      r.targets = {0, 0, 0, 0,
                   0};  // targets outside the support, too: value -inf or inf, gradients all the same finite
      r.options.weight = {};
      const outcome outside = evaluate_on<Carrier>(rounded<Carrier>(x), r);
      CHECK(outside.value == inf);
      check_gradient(carrier, x, outside, reference(rounded<Carrier>(x), r));
    }
}
TEST_CASE_TEMPLATE_APPLY(minus_infinity, every_carrier);

TEST_CASE_TEMPLATE_DEFINE("whole blocks of -inf, then numbers", Carrier, blocks_of_minus_infinity) {
  const traits carrier = traits_of<Carrier>();
  if (!carrier.takes_infinities) return;
  for (instruction_set set : every_instruction_set)
    for (index first : {2047, 2048, 2049, 4096, 4500}) {
      CAPTURE(first);
      table x = random_table(2, 5000);
      for (index j = 0; j < first; ++j) x(0, j) = -inf;
      for (index j = first; j < 5000; ++j) x(1, j) = -inf;
      const request r{.targets = {4999, 0},
                      .loss = {-1, 0, 0.5, 0.25, 0.0625},
                      .options = {.with_log_sum_squares = true, .instructions = set}};
      check_against_reference<Carrier>(x, r);
      const auto got =
          statistics_on<Carrier>(rounded<Carrier>(x), r.targets, {.with_arg_max = true, .instructions = set});
      const expectation expected = reference(rounded<Carrier>(x), r);
      CHECK(got.arg_max == expected.arg_max);
    }
}
TEST_CASE_TEMPLATE_APPLY(blocks_of_minus_infinity, in_memory);

TEST_CASE_TEMPLATE_DEFINE("a row of nothing but -inf", Carrier, nothing_possible) {
  if (!traits_of<Carrier>().takes_infinities) return;
  for (instruction_set set : every_instruction_set)
    for (index vocab : {1, 2, 17, 100}) {
      table x = random_table(3, vocab);
      for (index j = 0; j < vocab; ++j) x(1, j) = -inf;
      const auto got = statistics_on<Carrier>(
          x, {0, 0, 0}, {.with_log_sum_squares = true, .with_arg_max = true, .instructions = set});
      CHECK(got.log_z[1] == -inf);
      CHECK(got.entropy[1] == 0);
      CHECK(got.log_prob[1] == -inf);
      CHECK(got.log_sum_squares[1] == -inf);
      CHECK(got.arg_max[1] == 0);
      const request r{.targets = {0, 0, 0}, .options = {.instructions = set}};
      const outcome loss = evaluate_on<Carrier>(rounded<Carrier>(x), r);
      CHECK(loss.value == inf);
      for (index j = 0; j < vocab; ++j) CHECK(loss.gradient[static_cast<std::size_t>(vocab + j)] == 0);
      check_others_unharmed(x, loss, reference(rounded<Carrier>(x), r), 1);
    }
}
TEST_CASE_TEMPLATE_APPLY(nothing_possible, every_carrier);

TEST_CASE_TEMPLATE_DEFINE("NaN and +inf show in the value of their row, and harm no other", Carrier, not_numbers) {
  if (!traits_of<Carrier>().takes_infinities) return;
  for (instruction_set set : every_instruction_set)
    for (double bad : {nan, inf})
      for (index vocab : {1, 3, 16, 50, 2100})
        for (index at : {index{0}, vocab / 2, vocab - 1}) {
          CAPTURE(bad);
          CAPTURE(vocab);
          CAPTURE(at);
          table x = random_table(3, vocab);
          x(1, at) = bad;
          const table stored = rounded<Carrier>(x);
          request r{.targets = {0, vocab - 1, 0}, .loss = {-1, 0, 0.5}, .options = {.instructions = set}};
          const outcome got = evaluate_on<Carrier>(stored, r);
          CHECK(std::isnan(got.value));
          check_others_unharmed(x, got, reference(stored, r), 1);
          const auto columns = statistics_on<Carrier>(
              stored, r.targets,
              {.with_log_sum_squares = true, .with_mean_score = true, .with_arg_max = true, .instructions = set});
          CHECK(std::isnan(columns.log_z[1]));
          CHECK(std::isnan(columns.entropy[1]));
          CHECK(std::isnan(columns.log_prob[1]));
          CHECK(std::isnan(columns.log_sum_squares[1]));
          CHECK(columns.arg_max[1] == -1);
          CHECK(std::isfinite(columns.log_z[0]));
          CHECK(std::isfinite(columns.log_z[2]));
        }
}
TEST_CASE_TEMPLATE_APPLY(not_numbers, every_carrier);

TEST_CASE_TEMPLATE_DEFINE("a masked row of NaN is not read: zeros, no NaN", Carrier, masked_not_numbers) {
  for (index vocab : {1, 7, 64}) {
    table x = random_table(4, vocab);
    for (double bad : {nan, inf, -inf}) {
      for (index j = 0; j < vocab; ++j) x(2, j) = bad;
      const std::vector<int> mask{1, 1, 0, 1};
      for (way how : {way::fresh, way::into, way::in_place}) {
        if (!traits_of<Carrier>().takes_infinities && bad == -inf) continue;
        request r{.targets = {0, 0, -100, 0}, .loss = {-1, 0, 0.5}, .options = {.mask = mask}, .how = how};
        const outcome got = evaluate_on<Carrier>(rounded<Carrier>(x), r);
        CHECK(std::isfinite(got.value));
        CHECK(got.evaluated == 3);
        for (double g : got.gradient) CHECK(std::isfinite(g));
        for (index j = 0; j < vocab; ++j) CHECK(got.gradient[static_cast<std::size_t>(2 * vocab + j)] == 0);
      }
      const auto columns =
          statistics_on<Carrier>(rounded<Carrier>(x), {0, 0, -100, 0}, {.mask = mask, .with_arg_max = true});
      CHECK(columns.log_z[2] == 0);
      CHECK(columns.log_prob[2] == 0);
      CHECK(columns.entropy[2] == 0);
      CHECK(columns.arg_max[2] == -1);
      CHECK(columns.is_arg_max[2] == 0);
    }
  }
}
TEST_CASE_TEMPLATE_APPLY(masked_not_numbers, every_carrier);

TEST_CASE_TEMPLATE_DEFINE("huge magnitudes", Carrier, huge_scores) {
  const traits carrier = traits_of<Carrier>();
  const double large = std::min(1e30, carrier.highest / 4);
  for (instruction_set set : every_instruction_set)
    for (index vocab : {2, 5, 33, 150, 2500}) {
      if (vocab > carrier.max_vocab) continue;
      CAPTURE(vocab);
      table x = random_table(7, vocab);
      for (index j = 0; j < vocab; ++j) {
        if (j % 2) x(0, j) = large;                                         // ties at a huge score
        x(1, j) -= large;                                                   // all far below
        if (j % 3) x(2, j) = -large;                                        // a usual mask value
        if (carrier.takes_infinities && j % 3) x(3, j) = -carrier.highest;  // the lowest number, as a mask
        x(4, j) = j == vocab / 2 ? large : x(4, j);                         // one id is certain
        if (carrier.takes_infinities) x(5, j) = -carrier.highest;           // everything masked: uniform
        x(6, j) += 1000;
      }
      for (const mixed_loss& loss : {mixed_loss{}, mixed_loss{-1, 0, 0.5}}) {
        const request r{.targets = std::vector<index>(7, 0), .loss = loss, .options = {.instructions = set}};
        const table stored = rounded<Carrier>(x);
        const expectation expected = reference(stored, r);
        const outcome got = evaluate_on<Carrier>(stored, r);
        REQUIRE(got.gradient.size() == expected.gradient.size());
        for (std::size_t k = 0; k < got.gradient.size(); ++k) {
          // The arithmetic's share, and the rounding of the type that the gradient is stored in.
          const double bar = (carrier.is_double ? 1e-11 : 2e-5) + carrier.epsilon * std::abs(expected.gradient[k]);
          CHECK_MESSAGE(std::abs(got.gradient[k] - expected.gradient[k]) <= bar, "row ", static_cast<index>(k) / vocab,
                        ": ", got.gradient[k], " is not ", expected.gradient[k]);
        }
        const auto columns = statistics_on<Carrier>(stored, r.targets, {.instructions = set});
        for (std::size_t i = 0; i < 7; ++i) {
          CAPTURE(i);
          CAPTURE(static_cast<int>(set));
          CAPTURE(expected.log_z[i]);
          CAPTURE(columns.log_z[i]);
          CHECK(columns.log_z[i] == doctest::Approx(expected.log_z[i]).epsilon(carrier.is_double ? 1e-12 : 2e-6));
          CHECK(columns.log_prob[i] == doctest::Approx(expected.log_prob[i]).epsilon(carrier.is_double ? 1e-12 : 2e-6));
          CHECK(columns.entropy[i] == doctest::Approx(expected.entropy[i]).epsilon(carrier.is_double ? 1e-10 : 1e-4));
        }
      }
    }
}
TEST_CASE_TEMPLATE_APPLY(huge_scores, every_carrier);

TEST_CASE_TEMPLATE_DEFINE("arg_max is the lowest id at ties", Carrier, ties) {
  const traits carrier = traits_of<Carrier>();
  for (instruction_set set : every_instruction_set)
    for (index vocab : {1, 2, 8, 31, 100, 2048, 4100}) {
      if (vocab > carrier.max_vocab) continue;
      for (index first : {index{0}, vocab / 3, vocab / 2, vocab - 1}) {
        table x = rounded<Carrier>(random_table(2, vocab));
        for (index j = 0; j < vocab; ++j) x(1, j) = -2;  // all the same
        for (index j = first; j < vocab; j += 7) x(0, j) = 50;
        const auto got = statistics_on<Carrier>(x, {first, vocab - 1}, {.with_arg_max = true, .instructions = set});
        CHECK(got.arg_max[0] == first);
        CHECK(got.arg_max[1] == 0);
        CHECK(got.is_arg_max[0] == 1);
        CHECK(got.is_arg_max[1] == (vocab == 1));
      }
    }
}
TEST_CASE_TEMPLATE_APPLY(ties, every_carrier);

TEST_CASE_TEMPLATE_DEFINE("one id: probability 1, entropy 0, gradient 0", Carrier, one_id) {
  for (instruction_set set : every_instruction_set)
    for (double score : {0.0, 5.5, -3.25}) {
      const table x{1, 1, {score}};
      const request r{.targets = {0}, .loss = {-1, 0, 0.5}, .options = {.instructions = set}};
      const outcome got = evaluate_on<Carrier>(x, r);
      CHECK(std::abs(got.value) < 1e-6);
      CHECK(std::abs(got.gradient[0]) < 1e-6);
      const auto columns = statistics_on<Carrier>(x, {0}, {.instructions = set});
      CHECK(columns.entropy[0] >= 0);
      CHECK(columns.entropy[0] <= (traits_of<Carrier>().is_double ? 1e-12 : 2e-6));
      CHECK(std::abs(columns.log_prob[0]) <= (traits_of<Carrier>().is_double ? 1e-12 : 2e-6));
    }
}
TEST_CASE_TEMPLATE_APPLY(one_id, every_carrier);

}  // namespace suite
