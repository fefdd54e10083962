// Every option of evaluate and statistics, against the reference.
#include "suite.hpp"

namespace suite {

TEST_CASE_TEMPLATE_DEFINE("mask, weight and normaliser", Carrier, masks_and_weights) {
  const std::vector<int> mask{1, 0, 1, 1, 0, 1};
  const std::vector<double> weight{0.5, 1, 0, -2, 1, 3};
  for (index vocab : {3, 30}) {
    request r{.targets = random_targets(6, vocab),
              .loss = every_statistic,
              .options = {.mask = mask, .weight = weight, .normaliser = 2.5, .with_log_sum_squares = true}};
    std::vector<double> per_token;
    r.options.per_token = &per_token;
    const table x = rounded<Carrier>(random_table(6, vocab));
    const outcome got = check_against_reference<Carrier>(x, r);
    CHECK(got.evaluated == 3);
    const expectation expected = reference(x, r);
    REQUIRE(per_token.size() == 6);
    for (std::size_t i = 0; i < 6; ++i) CHECK(per_token[i] == doctest::Approx(expected.per_token[i]).epsilon(1e-5));
    for (std::size_t i : {1u, 2u, 4u}) {
      CHECK(per_token[i] == 0);
      for (index j = 0; j < vocab; ++j)
        CHECK(got.gradient[i * static_cast<std::size_t>(vocab) + static_cast<std::size_t>(j)] == 0);
    }
  }
}
TEST_CASE_TEMPLATE_APPLY(masks_and_weights, every_carrier);

TEST_CASE_TEMPLATE_DEFINE("everything masked: value 0, gradient 0, targets not looked at", Carrier, all_masked) {
  const std::vector<int> mask{0, 0, 0};
  const outcome got = evaluate_on<Carrier>(random_table(3, 8), {.targets = {-1, 99, 0}, .options = {.mask = mask}});
  CHECK(got.value == 0);
  CHECK(got.evaluated == 0);
  CHECK(got.metrics[0] == 0);
  for (double g : got.gradient) CHECK(g == 0);
}
TEST_CASE_TEMPLATE_APPLY(all_masked, every_carrier);

TEST_CASE_TEMPLATE_DEFINE("parts of a batch add up to the whole", Carrier, micro_batches) {
  const index vocab = 20;
  const table x = rounded<Carrier>(random_table(6, vocab));
  const std::vector<index> targets = random_targets(6, vocab);
  const request all{
      .targets = targets, .loss = every_statistic, .options = {.normaliser = 6, .with_log_sum_squares = true}};
  const outcome whole = evaluate_on<Carrier>(x, all);
  double value = 0;
  for (index first : {0, 2, 4}) {
    request part = all;
    part.targets = {targets.begin() + first, targets.begin() + first + 2};
    const table rows{2, vocab, {x.values.begin() + first * vocab, x.values.begin() + (first + 2) * vocab}};
    const outcome got = evaluate_on<Carrier>(rows, part);
    value += got.value;
    CHECK(same_bits(got.gradient.data(), whole.gradient.data() + first * vocab, 2 * vocab));
  }
  CHECK(value == doctest::Approx(whole.value).epsilon(1e-14));
}
TEST_CASE_TEMPLATE_APPLY(micro_batches, every_carrier);

TEST_CASE_TEMPLATE_DEFINE("temperature, one or per row, scale and soft cap, with their chain rule", Carrier,
                          transforms) {
  const traits carrier = traits_of<Carrier>();
  const std::vector<float> temperatures{0.5f, 1, 2, 0.25f};
  const score_transform cases[] = {{.temperature = 0.7},
                                   {.temperature = 1.7, .logit_scale = 0.3},
                                   {.temperatures = temperatures},
                                   {.temperatures = temperatures, .logit_scale = 1.3},
                                   {.temperature = 3, .temperatures = temperatures}};
  for (instruction_set set : every_instruction_set)
    for (index vocab : {1, 6, 50, 2100}) {
      if (vocab > carrier.max_vocab) continue;
      for (const score_transform& transform : cases) {
        const request r{.targets = random_targets(4, vocab),
                        .loss = every_statistic,
                        .options = {.transform = transform, .with_log_sum_squares = true, .instructions = set}};
        // The bar is per unit of z; the slope of the transform scales the gradient.
        table x = random_table(4, vocab);
        const table stored = rounded<Carrier>(x);
        expectation expected = reference(stored, r);
        for (index i = 0; i < 4; ++i)
          expected.adjoint[static_cast<std::size_t>(i)] *=
              std::max(1.0, transform.logit_scale /
                                (transform.temperatures.empty() ? transform.temperature : transform.temperatures[i]));
        const outcome got = evaluate_on<Carrier>(stored, r);
        check_value(carrier, got, expected);
        check_gradient(carrier, stored, got, expected);
      }
    }
}
TEST_CASE_TEMPLATE_APPLY(transforms, every_carrier);

TEST_CASE_TEMPLATE_DEFINE("soft cap", Carrier, soft_caps) {
  const traits carrier = traits_of<Carrier>();
  const std::vector<float> temperatures{0.5f, 1, 2, 0.25f};
  const score_transform cases[] = {{.soft_cap = 5},
                                   {.temperature = 1.5, .logit_scale = 2, .soft_cap = 30},
                                   {.temperatures = temperatures, .soft_cap = 2}};
  for (instruction_set set : every_instruction_set)
    for (index vocab : {1, 6, 50, 2100}) {
      if (vocab > carrier.max_vocab) continue;
      for (const score_transform& transform : cases) {
        CAPTURE(transform.soft_cap);
        const request r{.targets = random_targets(4, vocab),
                        .loss = every_statistic,
                        .options = {.transform = transform, .with_log_sum_squares = true, .instructions = set}};
        const table stored = rounded<Carrier>(random_table(4, vocab, 6));
        expectation expected = reference(stored, r);
        const outcome got = evaluate_on<Carrier>(stored, r);
        check_value(carrier, got, expected);
        for (index i = 0; i < 4; ++i) {
          const double temperature = transform.temperatures.empty() ? transform.temperature : transform.temperatures[i];
          // In float a capped score is known to 2e-7 of the cap, and a probability to that in nats.
          expected.adjoint[static_cast<std::size_t>(i)] *=
              std::max(1.0, transform.logit_scale / temperature) * (1 + 0.3 * transform.soft_cap / temperature);
        }
        check_gradient(carrier, stored, got, expected);
      }
    }
}
TEST_CASE_TEMPLATE_APPLY(soft_caps, every_carrier);

TEST_CASE_TEMPLATE_DEFINE("kept ids: statistics over a set, targets outside it, an empty set", Carrier, kept_sets) {
  const traits carrier = traits_of<Carrier>();
  const index vocab = 12;
  // The order within a set is the sampler's; row 3 keeps nothing, row 4 everything.
  const std::vector<int> offsets{0, 3, 4, 9, 9, 21},
      ids{7, 2, 5, 11, 0, 10, 3, 4, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  for (instruction_set set : every_instruction_set)
    for (double soft_cap : {0.0, 4.0}) {
      request r{.targets = {2, 11, 8, 0, 6},
                .loss = {-1, 0, 0.5, 0.25, 0.0625},
                .options = {.transform = {.temperature = 0.8, .soft_cap = soft_cap},
                            .kept = {offsets, ids},
                            .with_log_sum_squares = true,
                            .instructions = set}};
      const std::vector<int> mask{1, 1, 1, 0, 1};
      const table x = rounded<Carrier>(random_table(5, vocab));
      for (way how : {way::fresh, way::into, way::in_place}) {
        r.how = how;
        r.options.mask = mask;
        expectation expected = reference(x, r);
        for (double& adjoint : expected.adjoint) adjoint *= soft_cap == 0 ? 1.25 : 3;
        const outcome got = evaluate_on<Carrier>(x, r);
        check_value(carrier, got, expected);
        check_gradient(carrier, x, got, expected);
        for (index j : {0, 1, 3, 4, 6, 8, 9, 10, 11}) CHECK(got.gradient[static_cast<std::size_t>(j)] == 0);
      }
      // Outside the set, and a set of nothing: log-probability -inf, and no gradient at the target.
      r.options.mask = {};
      r.targets = {0, 0, 0, 0, 0};
      r.loss = {-1, 0, 0.5};
      const outcome outside = evaluate_on<Carrier>(x, r);
      CHECK(outside.value == inf);
      for (index i : {0, 1, 3}) CHECK(outside.gradient[static_cast<std::size_t>(i * vocab)] == 0);
      for (index j = 0; j < vocab; ++j) CHECK(outside.gradient[static_cast<std::size_t>(3 * vocab + j)] == 0);
      const auto columns = statistics_on<Carrier>(
          x, {2, 11, 8, 0, 6},
          {.transform = r.options.transform, .kept = r.options.kept, .with_arg_max = true, .instructions = set});
      const expectation expected = reference(x, r);
      CHECK(columns.log_z[3] == -inf);
      CHECK(columns.log_prob[3] == -inf);
      CHECK(columns.entropy[3] == 0);
      CHECK(columns.arg_max[1] == 11);
      for (std::size_t i : {0u, 2u, 4u}) {
        CHECK(columns.log_z[i] == doctest::Approx(expected.log_z[i]).epsilon(2e-6));
        CHECK(columns.arg_max[i] == expected.arg_max[i]);
      }
    }
}
TEST_CASE_TEMPLATE_APPLY(kept_sets, every_carrier);

TEST_CASE_TEMPLATE_DEFINE("many terms on one row are the sum of separate calls", Carrier, shared_rows) {
  const traits carrier = traits_of<Carrier>();
  const index vocab = 25;
  const table x = rounded<Carrier>(random_table(4, vocab));
  const std::vector<int> rows{2, 0, 2, 2, 3, 0, 2}, mask{1, 1, 1, 1, 1, 1, 0};  // row 1 is read by nobody
  const std::vector<double> weight{1, 2, 0.5, -1, 1, 1, 1};
  request r{.targets = {3, 4, 3, 9, 24, 0, 1},
            .loss = every_statistic,
            .options = {.mask = mask, .weight = weight, .rows = rows, .with_log_sum_squares = true}};
  for (way how : {way::fresh, way::into, way::in_place, way::value_only}) {
    r.how = how;
    check_against_reference<Carrier>(x, r);
  }
  r.how = way::fresh;
  const outcome together = evaluate_on<Carrier>(x, r);
  std::vector<double> sum(x.values.size());
  double value = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::vector<int> only(rows.size(), 0);
    only[i] = mask[i];
    request one = r;
    one.options.mask = only;
    const outcome got = evaluate_on<Carrier>(x, one);
    value += got.value;
    for (std::size_t k = 0; k < sum.size(); ++k) sum[k] += got.gradient[k];
  }
  CHECK(value == doctest::Approx(together.value).epsilon(1e-12));
  for (std::size_t k = 0; k < sum.size(); ++k)
    CHECK(std::abs(sum[k] - together.gradient[k]) <=
          (carrier.is_double ? 1e-13 : 2e-6) + 6 * carrier.epsilon * (1 + std::abs(sum[k])));
}
TEST_CASE_TEMPLATE_APPLY(shared_rows, every_carrier);

TEST_CASE_TEMPLATE_DEFINE("more rows than terms, no terms at all", Carrier, few_terms) {
  const table x = rounded<Carrier>(random_table(5, 7));
  const std::vector<int> rows{3};
  check_against_reference<Carrier>(x, {.targets = {2}, .options = {.rows = rows}});
}
TEST_CASE_TEMPLATE_APPLY(few_terms, every_carrier);

TEST_CASE_TEMPLATE_DEFINE("links: next_log_z and its gradient", Carrier, linked_rows) {
  for (instruction_set set : every_instruction_set)
    for (index vocab : {4, 40}) {
      const table x = rounded<Carrier>(random_table(5, vocab));
      const std::vector<int> links{1, 2, -1, 2, 4}, mask{1, 1, 1, 1, 0};
      request r{.targets = random_targets(5, vocab),
                .loss = {-1, 0.125, 0.5, 0.25, 0.0625, 0.3},
                .options = {.links = links, .with_log_sum_squares = true, .instructions = set}};
      for (way how : {way::fresh, way::into, way::in_place, way::value_only}) {
        r.how = how;
        check_against_reference<Carrier>(x, r);
      }
      // A linked row whose own term is masked is read all the same.
      const std::vector<int> to_masked{4, -1, -1, 4, 0};
      r.how = way::fresh;
      r.options.links = to_masked;
      r.options.mask = mask;
      const outcome got = check_against_reference<Carrier>(x, r);
      double largest = 0;
      for (index j = 0; j < vocab; ++j)
        largest = std::max(largest, std::abs(got.gradient[static_cast<std::size_t>(4 * vocab + j)]));
      CHECK(largest > 0);
      const std::vector<int> rows{4, 3, 2, 1, 0};
      r.options.rows = rows;
      check_against_reference<Carrier>(x, r);
    }
}
TEST_CASE_TEMPLATE_APPLY(linked_rows, every_carrier);

TEST_CASE_TEMPLATE_DEFINE("chosen ids beside the target", Carrier, chosen_ids) {
  const index vocab = 9;
  const table x = rounded<Carrier>(random_table(3, vocab));
  const std::vector<index> chosen{0, 8, 3, 3, 1, 2}, targets{4, 3, 0};
  const std::vector<int> mask{1, 0, 1};
  for (bool has_targets : {true, false}) {
    const auto got = statistics_on<Carrier>(x, has_targets ? targets : std::vector<index>{},
                                            {.mask = mask, .chosen = chosen, .chosen_per_row = 2});
    REQUIRE(got.chosen_log_prob.size() == 6);
    CHECK(got.log_prob.empty() == !has_targets);
    const expectation expected = reference(x, {.targets = targets});
    for (std::size_t i : {0u, 2u}) {
      if (has_targets) CHECK(got.log_prob[i] == doctest::Approx(expected.log_prob[i]).epsilon(1e-5));
      for (std::size_t k : {0u, 1u})
        CHECK(got.chosen_log_prob[2 * i + k] ==
              doctest::Approx(x(static_cast<index>(i), chosen[2 * i + k]) - expected.log_z[i]).epsilon(1e-5));
    }
    CHECK(got.chosen_log_prob[2] == 0);
    CHECK(got.log_z[1] == 0);
  }
}
TEST_CASE_TEMPLATE_APPLY(chosen_ids, every_carrier);

}  // namespace suite
