#include <emend/sequence_match/augment.hpp>

#include <doctest/doctest.h>

#include <vector>

#include "text_after.hpp"
#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using ids = std::vector<index>;

TEST_CASE("errors with their backspaces end in the clean text, whatever the treatment") {
  const ids tokens{1, 2, 3}, runs{0, 2, 1}, noise{8, 9, 2};
  const auto paper = augment_with_errors(tokens, runs, noise, 5);
  CHECK(paper.pushed == ids{1, 8, 9, 5, 5, 2, 2, 5, 3});
  CHECK(paper.label == ids{1, 2, 5, 5, 5, 2, 3, 5, 3});
  CHECK(augment_with_errors(tokens, runs, noise, 5, noise_treatment::as_action).label ==
        ids{1, 8, 9, 5, 5, 2, 2, 5, 3});
  CHECK(augment_with_errors(tokens, runs, noise, 5, noise_treatment::drop).label == ids{1, -1, -1, 5, 5, 2, -1, 5, 3});
  std::vector<action> actions;
  for (const index a : paper.pushed)
    actions.push_back(a == 5 ? action{action_kind::erase, 1} : action{action_kind::append, a});
  CHECK(text_after({0}, actions, actions.size(), 1) == ids{0, 1, 2, 3});
  const auto none = augment_with_errors(ids{}, ids{}, ids{}, 5);
  CHECK(none.pushed.empty());
  CHECK_THROWS_NAMING(augment_with_errors(tokens, ids{0, 1}, noise, 5), "run_length");
  CHECK_THROWS_NAMING(augment_with_errors(tokens, ids{0, -1, 1}, noise, 5), "run_length");
  CHECK_THROWS_NAMING(augment_with_errors(tokens, runs, ids{8}, 5), "noise_tokens");
}

}  // namespace
