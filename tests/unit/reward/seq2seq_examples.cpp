#include <emend/reward/seq2seq_examples.hpp>

#include <doctest/doctest.h>

#include <vector>

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

using ids = std::vector<index>;
const seq2seq_template form{.prompt_separator = 90, .given_separator = 91, .target_separator = 92};

TEST_CASE("an example: each separator precedes its part, labels are the target's tokens alone") {
  const ids prompt{1, 2}, chosen{3, 4, 5}, rejected{6};
  const seq2seq_example correction = correction_example(form, prompt, chosen, rejected);
  CHECK(correction.ids == ids{90, 1, 2, 91, 6, 92, 3, 4, 5});
  CHECK(correction.label == ids{-1, -1, -1, -1, -1, 3, 4, 5, -1});
  CHECK(correction.target_start == 5);
  const seq2seq_example identity = identity_example(form, prompt, chosen);
  CHECK(identity.ids == ids{90, 1, 2, 91, 3, 4, 5, 92, 3, 4, 5});
  CHECK(identity.label == ids{-1, -1, -1, -1, -1, -1, -1, 3, 4, 5, -1});
  CHECK(extraction_example(form, prompt, chosen).ids == identity.ids);
}

TEST_CASE("an example of empty parts") {
  const ids none, prompt{1};
  const seq2seq_example example = correction_example(form, prompt, none, none);
  CHECK(example.ids == ids{90, 1, 91, 92});
  CHECK(example.label == ids(4, -1));
  CHECK(example.target_start == 3);
}

}  // namespace
