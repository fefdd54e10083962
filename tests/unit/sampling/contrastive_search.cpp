#include <emend/sampling/contrastive_search.hpp>

#include <doctest/doctest.h>

#include "../random_numbers.hpp"
#include "throws.hpp"

#include <cmath>
#include <limits>
#include <vector>

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

TEST_CASE("the most probable ids, lower ids first at ties, and no more than there are") {
  const double none = -std::numeric_limits<double>::infinity();
  const std::vector<double> row{1, 3, none, 3, 2, 3};
  const auto two = most_probable(row.data(), 6, 2);
  CHECK(two.id == std::vector<index>{1, 3});
  CHECK(two.probability[0] == doctest::Approx(std::exp(3.0) / (std::exp(1.0) + 3 * std::exp(3.0) + std::exp(2.0))));
  CHECK(most_probable(row.data(), 6, 100).id == std::vector<index>{1, 3, 5, 4, 0});
  CHECK(most_probable(row.data(), 1, 1).probability == std::vector<double>{1});
  CHECK_THROWS_NAMING(most_probable(row.data(), 6, 0), "k");
}

TEST_CASE("the choice against the definition") {
  random_numbers random;
  for (const index n : {1, 7}) {
    const matrix<double> candidate(4, 5, random.normal(20)),
        context(n, 5, random.normal(static_cast<std::size_t>(5 * n)));
    const std::vector<double> p{0.4, 0.3, 0.2, 0.05};
    for (const double alpha : {0.0, 0.6, 1.0}) {
      const auto result = contrastive_choice(p, candidate, context, alpha);
      double best = -2;
      for (index i = 0; i < 4; ++i) {
        double largest = -2;
        for (index j = 0; j < n; ++j) {
          double ab = 0, aa = 0, bb = 0;
          for (index k = 0; k < 5; ++k)
            ab += candidate(i, k) * context(j, k), aa += candidate(i, k) * candidate(i, k),
                bb += context(j, k) * context(j, k);
          largest = std::max(largest, ab / std::sqrt(aa * bb));
        }
        const auto at = static_cast<std::size_t>(i);
        CHECK(result.penalty[at] == doctest::Approx(largest));
        CHECK(result.score[at] == doctest::Approx((1 - alpha) * p[at] - alpha * largest));
        best = std::max(best, result.score[at]);
      }
      CHECK(result.score[static_cast<std::size_t>(result.selected)] == best);
    }
  }
}

TEST_CASE("no context, and hidden states of length 0") {
  const matrix<float> candidate(2, 3, {0, 0, 0, 1, 2, 3}), none(0, 3), zero(1, 3);
  const std::vector<double> p{0.5, 0.5};
  CHECK(contrastive_choice(p, candidate, none).penalty == std::vector<double>{0, 0});
  CHECK(contrastive_choice(p, candidate, none).selected == 0);
  CHECK(contrastive_choice(p, candidate, zero).penalty == std::vector<double>{0, 0});
  CHECK(contrastive_choice(p, candidate, matrix<float>(1, 3, {-1, -2, -3})).selected == 1);
  CHECK_THROWS_NAMING(contrastive_choice(p, candidate, none, 1.5), "alpha");
  CHECK_THROWS_NAMING(contrastive_choice({}, candidate, none), "probability");
  CHECK_THROWS_NAMING(contrastive_choice(std::vector<double>{1}, candidate, none), "candidate_hidden");
  CHECK_THROWS_NAMING(contrastive_choice(p, candidate, matrix<float>(1, 2)), "a row of context_hidden");
}

}  // namespace

TEST_CASE("contrastive choice: cosines of any finite length, and what is not finite is refused") {
  const double infinite = std::numeric_limits<double>::infinity(), unknown = std::numeric_limits<double>::quiet_NaN();
  const matrix<double> context(1, 1, {1e200});
  const matrix<double> candidates(2, 1, {1.0, 1e200});
  // Both point where the context points: equal penalties, so the likelier one.
  CHECK(contrastive_choice({.6, .4}, candidates, context).selected == 0);
  CHECK(contrastive_choice({.4, .6}, candidates, context, 0).selected == 1);
  CHECK_THROWS_NAMING(contrastive_choice({.6, unknown}, candidates, context), "probability");
  CHECK_THROWS_NAMING(contrastive_choice({.6, .4}, matrix<double>(2, 1, {1.0, unknown}), context), "candidate_hidden");
  CHECK_THROWS_NAMING(contrastive_choice({.6, .4}, candidates, matrix<double>(1, 1, {infinite})), "context_hidden");
}
