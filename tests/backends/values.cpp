// Values and gradients of ordinary scores, over sizes, instruction sets and ways to call.
#include "suite.hpp"

namespace suite {

TEST_CASE_TEMPLATE_DEFINE("statistics are those of the reference, for every size and instruction set", Carrier,
                          statistics_of_sizes) {
  const traits carrier = traits_of<Carrier>();
  for (instruction_set set : every_instruction_set)
    for (index vocab : {1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 64, 100, 127, 130, 2047, 2048, 2049, 5000}) {
      if (vocab > carrier.max_vocab) continue;
      CAPTURE(static_cast<int>(set));
      CAPTURE(vocab);
      const table x = rounded<Carrier>(random_table(3, vocab));
      const std::vector<index> targets = random_targets(3, vocab);
      const auto got = statistics_on<Carrier>(
          x, targets,
          {.with_log_sum_squares = true, .with_mean_score = true, .with_arg_max = true, .instructions = set});
      const expectation expected = reference(x, {.targets = targets});
      const double bar = carrier.is_double ? 1e-12 : 2e-6;
      for (std::size_t i = 0; i < 3; ++i) {
        const double scale = std::max(1.0, std::abs(expected.log_z[i]));
        CHECK(std::abs(got.log_z[i] - expected.log_z[i]) <= bar * scale);
        CHECK(std::abs(got.log_prob[i] - expected.log_prob[i]) <= bar * scale);
        CHECK(std::abs(got.entropy[i] - expected.entropy[i]) <= bar * scale);
        CHECK(std::abs(got.log_sum_squares[i] - expected.log_sum_squares[i]) <= 2 * bar * scale);
        CHECK(std::abs(got.mean_score[i] - expected.mean_score[i]) <= bar * scale);
        CHECK(got.arg_max[i] == expected.arg_max[i]);
        CHECK(got.is_arg_max[i] == (expected.arg_max[i] == targets[i]));
      }
    }
}
TEST_CASE_TEMPLATE_APPLY(statistics_of_sizes, every_carrier);

TEST_CASE_TEMPLATE_DEFINE("gradients are those of the reference, for every size up to 130", Carrier,
                          gradients_of_small_sizes) {
  for (instruction_set set : every_instruction_set)
    for (index vocab = 1; vocab <= 130; ++vocab) {
      CAPTURE(static_cast<int>(set));
      const request r{.targets = random_targets(4, vocab),
                      .loss = every_statistic,
                      .options = {.normaliser = 3, .with_log_sum_squares = true, .instructions = set}};
      check_against_reference<Carrier>(random_table(4, vocab), r);
    }
}
TEST_CASE_TEMPLATE_APPLY(gradients_of_small_sizes, every_carrier);

TEST_CASE_TEMPLATE_DEFINE("gradients are those of the reference, around a block and beyond", Carrier,
                          gradients_of_large_sizes) {
  if (traits_of<Carrier>().max_vocab < 5000) return;
  for (instruction_set set : every_instruction_set)
    for (index vocab : {2047, 2048, 2049, 2050, 5000})
      for (const mixed_loss& loss : {mixed_loss{}, mixed_loss{.entropy = 0.5}, every_statistic}) {
        CAPTURE(static_cast<int>(set));
        const request r{.targets = random_targets(3, vocab),
                        .loss = loss,
                        .options = {.with_log_sum_squares = true, .instructions = set}};
        check_against_reference<Carrier>(random_table(3, vocab, 8), r);
      }
}
TEST_CASE_TEMPLATE_APPLY(gradients_of_large_sizes, in_memory);

TEST_CASE_TEMPLATE_DEFINE("every way to call gives the same bits", Carrier, ways_to_call) {
  for (index vocab : {1, 5, 64, 100}) {
    const table x = rounded<Carrier>(random_table(6, vocab));
    request r{.targets = random_targets(6, vocab), .loss = every_statistic, .options = {.with_log_sum_squares = true}};
    const outcome fresh = check_against_reference<Carrier>(x, r);
    for (way how : {way::into, way::in_place, way::value_only}) {
      r.how = how;
      const outcome got = check_against_reference<Carrier>(x, r);
      CHECK(got.value == fresh.value);
      CHECK(got.metrics == fresh.metrics);
    }
  }
}
TEST_CASE_TEMPLATE_APPLY(ways_to_call, every_carrier);

TEST_CASE_TEMPLATE_DEFINE("no rows: value 0, an empty gradient", Carrier, no_rows) {
  const outcome got = evaluate_on<Carrier>(table{0, 5}, {});
  CHECK(got.value == 0);
  CHECK(got.evaluated == 0);
  CHECK(got.gradient.empty());
  const auto columns = statistics_on<Carrier>(table{0, 5}, {}, {.with_arg_max = true});
  CHECK(columns.log_z.empty());
  CHECK(columns.arg_max.empty());
}
TEST_CASE_TEMPLATE_APPLY(no_rows, every_carrier);

TEST_CASE_TEMPLATE_DEFINE("gradients are central finite differences of the value", Carrier, finite_differences) {
  const traits carrier = traits_of<Carrier>();
  if (!carrier.is_double) return;
  const std::vector<index> links{1, -1, 0}, offsets{0, 4, 9, 11}, ids{0, 2, 5, 6, 1, 2, 3, 4, 8, 0, 7};
  const std::vector<double> weight{0.5, 2, 1}, temperatures{0.7, 1, 2};
  const evaluation_options cases[] = {
      {},
      {.weight = weight, .links = links, .normaliser = 2},
      {.transform = {.temperature = 0.6, .logit_scale = 1.5}},
      {.transform = {.temperatures = temperatures, .soft_cap = 4}},
      {.kept = {offsets, ids}},
      {.links = links, .transform = {.temperature = 2, .logit_scale = 0.5, .soft_cap = 3}, .kept = {offsets, ids}}};
  for (const evaluation_options& options : cases) {
    request r{.targets = {5, 2, 0}, .loss = {-1, 0.125, 0.5, 0.25, 0.0625, 0.3}, .options = options};
    r.options.with_log_sum_squares = true;
    table x = random_table(3, 9, 2);
    const std::vector<double> gradient = evaluate_on<Carrier>(x, r).gradient;
    r.how = way::value_only;
    for (std::size_t k = 0; k < x.values.size(); ++k) {
      const double at = x.values[k], step = 1e-5;
      x.values[k] = at + step;
      const double above = evaluate_on<Carrier>(x, r).value;
      x.values[k] = at - step;
      const double below = evaluate_on<Carrier>(x, r).value;
      x.values[k] = at;
      CHECK(gradient[k] == doctest::Approx((above - below) / (2 * step)).epsilon(1e-6).scale(1e-1));
    }
  }
}
TEST_CASE_TEMPLATE_APPLY(finite_differences, every_carrier);

}  // namespace suite
