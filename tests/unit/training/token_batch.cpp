#include <emend/training/token_batch.hpp>

#include <doctest/doctest.h>

#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

TEST_CASE("a batch of tokens: ids, responses and their positions") {
  token_batch batch;
  batch.add(std::vector<int>{7, 8}, std::vector<int>{1, 2, 3});
  batch.add(std::vector<int>{9}, std::vector<int>{});
  batch.add(std::vector<int>{5}, std::vector<int>{4});
  CHECK(batch.sequences() == 3);
  CHECK(batch.tokens() == 4);
  CHECK(batch.ids() == std::vector<index>{7, 8, 1, 2, 3, 9, 5, 4});
  CHECK(batch.offsets() == std::vector<index>{0, 5, 6, 8});
  CHECK(batch.targets() == std::vector<index>{1, 2, 3, 4});
  CHECK(batch.token_offsets() == std::vector<index>{0, 3, 3, 4});
  CHECK(batch.response_begin(2) == 7);
  CHECK(batch.response_length(0) == 3);
  CHECK(batch.response_length(1) == 0);
  CHECK(batch.layout().sequences() == 3);
  CHECK(batch.prompt(0)[1] == 8);
  CHECK(batch.response(2)[0] == 4);
  const token_batch chosen = batch.select(std::vector<int>{2, 0, 2});
  CHECK(chosen.ids() == std::vector<index>{5, 4, 7, 8, 1, 2, 3, 5, 4});
  CHECK(token_batch().tokens() == 0);
}

TEST_CASE("a batch of tokens: a sequence without a prompt, and one that is not there, are refused") {
  token_batch batch;
  CHECK_THROWS_NAMING(batch.add(std::vector<index>{}, std::vector<index>{1}), "prompt");
  batch.add(std::vector<int>{0, 1}, std::vector<int>{2});
  CHECK_THROWS_NAMING(batch.select(std::vector<int>{1}), "sequences");
}

TEST_CASE("entries at tokens outside a column are refused") {
  CHECK(gather({1, 2, 3}, {2, 0}) == std::vector<double>{3, 1});
  CHECK_THROWS_NAMING(gather({1, 2, 3}, {7}), "tokens");
  CHECK_THROWS_NAMING(gather({1, 2, 3}, {1000000000}), "tokens");
}

TEST_CASE("sequences that are not in the batch are refused") {
  token_batch batch;
  batch.add({1}, {2, 3});
  batch.add({1}, {4});
  CHECK(tokens_of(batch, {1, 0}) == std::vector<index>{2, 0, 1});
  CHECK_THROWS_NAMING(tokens_of(batch, {2}), "sequences");
  CHECK_THROWS_NAMING(tokens_of(batch, {-1}), "sequences");
}

}  // namespace
