#include <emend/training/rollout.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "tabular.hpp"
#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

TEST_CASE("collect: responses one after the other, their groups, and what both policies say of them") {
  tabular::policy policy(3, 2), reference(3, 2);
  policy.scores(policy.row(0, 0), 1) = 2;
  const rollout r = collect(policy, reference, {{0}, {1}}, {.responses_per_prompt = 3, .seed = 4});
  CHECK(r.group == std::vector<index>{0, 0, 0, 1, 1, 1});
  CHECK(r.batch.sequences() == 6);
  CHECK(r.batch.tokens() == 12);
  CHECK(r.old_log_prob == score_responses(policy, r.batch).log_prob);
  for (const double x : r.reference_log_prob) CHECK(x == doctest::Approx(-std::log(3)));
  CHECK(r.advantage.empty());
  // The seed decides, and nothing else.
  CHECK(collect(policy, reference, {{0}, {1}}, {.responses_per_prompt = 3, .seed = 4}).batch.ids() == r.batch.ids());
  CHECK(collect(policy, reference, {{0}, {1}}, {.responses_per_prompt = 3, .seed = 5}).batch.ids() != r.batch.ids());
  CHECK_THROWS_NAMING(collect(policy, reference, {{0}}, {.responses_per_prompt = 0}), "responses_per_prompt");
}

TEST_CASE("collect: a policy that gives another number of responses is refused") {
  struct forgetful : tabular::policy {
    using tabular::policy::policy;
    std::vector<std::vector<index>> respond(const std::vector<std::vector<index>>&, std::uint64_t) const { return {}; }
  };
  forgetful policy(3, 2);
  CHECK_THROWS_AS(collect(policy, policy, {{0}}), std::invalid_argument);
}

}  // namespace
