// Every wrong argument is refused before anything is written, with a message that names it.
#include "suite.hpp"

#include <emend/core/matrix.hpp>
#include <emend/evaluation/evaluate.hpp>
#include <emend/losses/ppo_clip.hpp>

#include <functional>
#include <string>

#include "throws.hpp"

namespace suite {

TEST_CASE_TEMPLATE_DEFINE("evaluate: wrong lengths, ids and options", Carrier, evaluate_errors) {
  const table x = random_table(3, 5);
  const std::vector<index> good{0, 1, 2};
  const std::vector<int> two{1, 1}, rows_out{0, 3, 1}, rows_below{0, -1, 1}, links_out{0, 3, -1},
      links_below{0, -2, -1};
  const std::vector<int> offsets{0, 1, 2, 3}, late{1, 1, 2, 3}, falling{0, 2, 1, 3}, few{0, 3}, ids{0, 1, 2},
      ids_out{0, 5, 2}, ids_few{0, 1};
  const std::vector<float> temperatures{1, 1}, zero_temperature{1, 0, 1}, nan_temperature{1, 1, NAN};
  struct wrong {
    const char* argument;
    std::vector<index> targets;
    evaluation_options options;
  };
  const wrong cases[] = {{"targets", {0, 1}, {}},
                         {"targets", {}, {}},
                         {"targets", {0, 1, 2, 3}, {}},
                         {"targets", {0, 5, 1}, {}},
                         {"targets", {0, -1, 1}, {}},
                         {"mask", good, {.mask = two}},
                         {"weight", good, {.weight = two}},
                         {"rows", good, {.rows = two}},
                         {"rows", good, {.rows = rows_out}},
                         {"rows", good, {.rows = rows_below}},
                         {"links", good, {.links = two}},
                         {"links", good, {.links = links_out}},
                         {"links", good, {.links = links_below}},
                         {"normaliser", good, {.normaliser = 0}},
                         {"normaliser", good, {.normaliser = -1}},
                         {"normaliser", good, {.normaliser = nan}},
                         {"normaliser", good, {.normaliser = inf}},
                         {"temperature", good, {.transform = {.temperature = 0}}},
                         {"temperature", good, {.transform = {.temperature = nan}}},
                         {"temperatures", good, {.transform = {.temperatures = temperatures}}},
                         {"temperatures", good, {.transform = {.temperatures = zero_temperature}}},
                         {"temperatures", good, {.transform = {.temperatures = nan_temperature}}},
                         {"logit_scale", good, {.transform = {.logit_scale = -2}}},
                         {"soft_cap", good, {.transform = {.soft_cap = -1}}},
                         {"soft_cap", good, {.transform = {.soft_cap = inf}}},
                         {"kept.offsets", good, {.kept = {few, ids}}},
                         {"kept.offsets", good, {.kept = {late, ids}}},
                         {"kept.offsets", good, {.kept = {falling, ids}}},
                         {"kept.ids", good, {.kept = {offsets, ids_few}}},
                         {"kept.ids", good, {.kept = {offsets, ids_out}}}};
  for (const wrong& w : cases)
    for (way how : {way::fresh, way::value_only}) {
      CAPTURE(w.argument);
      CHECK_THROWS_NAMING(evaluate_on<Carrier>(x, {.targets = w.targets, .options = w.options, .how = how}),
                          w.argument);
    }
}
TEST_CASE_TEMPLATE_APPLY(evaluate_errors, every_carrier);

TEST_CASE_TEMPLATE_DEFINE("statistics: wrong lengths, ids and options", Carrier, statistics_errors) {
  const table x = random_table(3, 5);
  const std::vector<index> good{0, 1, 2}, chosen{0, 1, 2, 3}, chosen_out{0, 1, 9};
  const std::vector<int> two{1, 1};
  CHECK_THROWS_NAMING(statistics_on<Carrier>(x, {0, 1}, {}), "targets");
  CHECK_THROWS_NAMING(statistics_on<Carrier>(x, {0, 1, 5}, {}), "targets");
  CHECK_THROWS_NAMING(statistics_on<Carrier>(x, good, {.mask = two}), "mask");
  CHECK_THROWS_NAMING(statistics_on<Carrier>(x, good, {.transform = {.temperature = -1}}), "temperature");
  CHECK_THROWS_NAMING(statistics_on<Carrier>(x, good, {.chosen = chosen, .chosen_per_row = 2}), "chosen");
  CHECK_THROWS_NAMING(statistics_on<Carrier>(x, good, {.chosen = chosen_out, .chosen_per_row = 1}), "targets");
  CHECK_THROWS_NAMING(statistics_on<Carrier>(x, good, {.chosen = chosen, .chosen_per_row = -1}), "chosen_per_row");
}
TEST_CASE_TEMPLATE_APPLY(statistics_errors, every_carrier);

TEST_CASE_TEMPLATE_DEFINE("a vocabulary of nothing is refused", Carrier, no_vocabulary) {
  CHECK_THROWS_NAMING(evaluate_on<Carrier>(table{2, 0}, {.targets = {0, 0}}), "scores");
}
TEST_CASE_TEMPLATE_APPLY(no_vocabulary, every_carrier);

constexpr auto loss = [](const auto& t) { return -t.log_prob; };

TEST_CASE("a gradient of another shape or storage type") {
  const matrix<float> x(3, 5);
  const std::vector<int> targets{0, 1, 2};
  matrix<float> fewer_rows(2, 5), fewer_columns(3, 4);
  matrix<double> other(3, 5);
  CHECK_THROWS_NAMING(evaluate_into(loss, x, targets, {}, fewer_rows), "gradient");
  CHECK_THROWS_NAMING(evaluate_into(loss, x, targets, {}, fewer_columns), "gradient");
  CHECK_THROWS_NAMING(evaluate_into(loss, x, targets, {}, other), "gradient");
}

TEST_CASE("a gradient that overlaps the scores is refused, exactly theirs and apart from them are not") {
  std::vector<float> memory(200);
  const std::vector<int> targets{0, 1, 2};
  const score_view<const float> x{memory.data() + 50, 3, 5, 5, 1};
  const auto into = [&](score_view<float> out) { return evaluate_into(loss, x, targets, {}, out); };
  for (index shift : {-14, -5, -1, 1, 7, 14})
    CHECK_THROWS_NAMING(into({memory.data() + 50 + shift, 3, 5, 5, 1}), "gradient");
  CHECK_THROWS_NAMING(into({memory.data() + 50, 3, 5, 1, 3}), "gradient");
  CHECK_THROWS_NAMING(into({memory.data() + 50, 3, 5, 10, 1}), "gradient");
  CHECK_THROWS_NAMING(into({memory.data() + 64, 3, 5, -5, -1}), "gradient");
  CHECK_NOTHROW(into({memory.data() + 65, 3, 5, 5, 1}));
  CHECK_NOTHROW(into({memory.data() + 35, 3, 5, 5, 1}));
  CHECK_NOTHROW(into({memory.data() + 50, 3, 5, 5, 1}));
}

TEST_CASE("an error leaves the gradient as it was") {
  const matrix<float> x(3, 5);
  matrix<float> gradient(3, 5);
  for (index i = 0; i < 15; ++i) gradient.data()[i] = 3;
  const std::vector<int> out_of_range{0, 1, 5}, good{0, 1, 2};
  const std::vector<double> two{1, 2};
  CHECK_THROWS_AS(evaluate_into(loss, x, out_of_range, {}, gradient), std::invalid_argument);
  CHECK_THROWS_NAMING(evaluate_into(ppo_clip{two, two}, x, good, {}, gradient), "old_log_prob");
  for (index i = 0; i < 15; ++i) CHECK(gradient.data()[i] == 3);
}

TEST_CASE("a message says what was expected and what came") {
  const matrix<float> x(3, 5);
  const auto message_of = [&](const std::vector<int>& targets, const evaluation_options& options) -> std::string {
    try {
      evaluate(loss, x, targets, options);
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "";
  };
  const std::vector<int> mask{1};
  CHECK(message_of({0, 1}, {}) == "emend: targets: expected 3 entries, got 2");
  CHECK(message_of({0, 7, 1}, {}) == "emend: targets: expected entry 1 in [0, 5), got 7");
  CHECK(message_of({0, 1, 2}, {.mask = mask}) == "emend: mask: expected 3 entries, got 1");
}

TEST_CASE("inputs of stride 0: one row for all tokens, one batch entry for all") {
  const table one = random_table(1, 40), three = random_table(3, 40);
  const std::vector<float> row(one.values.begin(), one.values.end()), rows(three.values.begin(), three.values.end());
  const std::vector<int> four{1, 2, 3, 4}, six{1, 2, 3, 4, 5, 6};
  const score_view<const float> same_row{row.data(), 4, 40, 0, 1};
  const score_view<const float> same_batch{rows.data(), 3, 40, 40, 1, 2, 0};
  matrix<float> copy_of_row(4, 40), copy_of_batch(6, 40);
  for (index i = 0; i < 4 * 40; ++i) copy_of_row.data()[i] = row[static_cast<std::size_t>(i % 40)];
  for (index i = 0; i < 6 * 40; ++i) copy_of_batch.data()[i] = rows[static_cast<std::size_t>(i % 120)];
  const auto check = [&](const auto& expanded, const auto& copied, const std::vector<int>& targets) {
    const auto a = evaluate(mixed_loss{-1, 0, 0.5}, expanded, targets),
               b = evaluate(mixed_loss{-1, 0, 0.5}, copied, targets);
    CHECK(a.value == b.value);
    for (index i = 0; i < copied.rows() * 40; ++i) REQUIRE(a.gradient.data()[i] == b.gradient.data()[i]);
  };
  check(same_row, copy_of_row, four);
  check(same_batch, copy_of_batch, six);
}

}  // namespace suite
