#include <emend/sampling/backtracking_model.hpp>

#include <doctest/doctest.h>

#include <vector>

#include "tabular_model.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

struct without_roll_back {
  index vocab() const { return 1; }
  index longest() const { return 1; }
  score_view<const float> open(const std::vector<std::vector<index>>&) { return {}; }
  score_view<const float> advance(const std::vector<index>&, const std::vector<index>&) { return {}; }
};
struct of_integers : without_roll_back {
  std::vector<int> open(const std::vector<std::vector<index>>&) { return {}; }
  void roll_back(index, index) {}
};
static_assert(backtracking_model<tabular_model> && !backtracking_model<without_roll_back> &&
              !backtracking_model<of_integers>);

TEST_CASE("a model that takes tokens back has the scores of its state, however it came about") {
  tabular_model model(5, 9);
  model.open({{1, 2}, {3}});
  model.advance({0, 1}, {4, 0});
  model.roll_back(0, 1);
  const auto scores = model.advance({0}, {2});
  for (index j = 0; j < 5; ++j) CHECK(scores(0, j) == tabular_model::score_of({1, 2}, j));
}

}  // namespace
