#include <emend/evaluation/options.hpp>
#include <emend/core/matrix.hpp>
#include <emend/evaluation/evaluate.hpp>

#include <doctest/doctest.h>

#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

const auto likelihood = [](const auto& t) { return -t.log_prob; };

TEST_CASE("evaluation options: by default everything counts once") {
  const evaluation_options plain;
  CHECK(!plain.mask.is_given());
  CHECK(!plain.ignore_id);
  CHECK(plain.normaliser == 1);
  CHECK(plain.transform.temperature == 1);
  CHECK(plain.instructions == instruction_set::best);
  const matrix<double> x(3, 4, {0, 1, 2, 3, 3, 2, 1, 0, 1, 1, 1, 1});
  const std::vector<int> targets{0, 1, 2};
  const std::vector<double> ones{1, 1, 1};
  const double value = evaluate_value(likelihood, x, targets).value;
  CHECK(evaluate_value(likelihood, x, targets, {.mask = ones, .weight = ones}).value == value);
  CHECK(evaluate_value(likelihood, x, targets, {.normaliser = 2}).value == doctest::Approx(value / 2));
}

TEST_CASE("the head's part of the options is a view of them") {
  const std::vector<double> temperatures{1, 2};
  const std::vector<int> offsets{0, 1}, ids{3};
  const evaluation_options options{.transform = {.temperatures = temperatures, .soft_cap = 5},
                                   .kept = {offsets, ids},
                                   .instructions = instruction_set::portable};
  const auto head = emend::detail::head_part(options, true);
  CHECK(head.transform.temperatures[1] == 2);
  CHECK(head.transform.soft_cap == 5);
  CHECK(head.kept.ids[0] == 3);
  CHECK(head.instructions == instruction_set::portable);
  CHECK(head.with_extras);
}

}  // namespace
