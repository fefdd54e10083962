#include <emend/training/score_responses.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "one_by_one.hpp"
#include "throws.hpp"

namespace {

using namespace one_sequence_a_call;
using emend::index;  // not the one of <strings.h>
using numbers = std::vector<double>;

struct silent_critic : tabular::critic {
  using tabular::critic::critic;
  template <class F>
  void value(const token_batch&, F&& f) const {
    f(numbers{1}, std::vector<index>{0, 1});
  }
};

struct forgetful : tabular::policy {
  using tabular::policy::policy;
  template <class F>
  void score(const token_batch&, F&& f) const {
    f(matrix<double>(1, 3, {0, 0, 0}), std::vector<index>{1});
  }
};

TEST_CASE("a critic gives one value a token, and tokens that a model leaves out show") {
  token_batch batch;
  batch.add(std::vector<int>{0}, std::vector<int>{2, 1});
  silent_critic critic(3, 2);
  CHECK_THROWS_NAMING(value_responses(critic, batch), "values of the critic");
  forgetful policy(3, 2);
  const auto got = score_responses(policy, batch);
  CHECK(std::isnan(got.log_prob[0]));
  CHECK(got.log_prob[1] == doctest::Approx(-std::log(3)));
}

TEST_CASE("responses are scored and valued the same in one part or in many") {
  tabular::policy whole(3, 2);
  one_by_one parts(3, 2);
  whole.scores(whole.row(0, 0), 2) = parts.scores(parts.row(0, 0), 2) = 1.5;
  const rollout r = some_rollout(whole);
  CHECK(score_responses(parts, r.batch).log_prob == r.old_log_prob);
  CHECK(score_responses(parts, r.batch).entropy == score_responses(whole, r.batch).entropy);
  const tabular::critic of_all(3, 2);
  critic_one_by_one of_one(3, 2);
  tabular::critic whole_critic = of_all;
  CHECK(value_responses(of_one, r.batch) == value_responses(whole_critic, r.batch));
}

}  // namespace
