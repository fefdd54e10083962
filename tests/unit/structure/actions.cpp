#include <emend/structure/actions.hpp>

#include <doctest/doctest.h>

#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

const action_ids words{.end = 9, .backspace = 10, .reset = 11, .erase = {{12, 1}, {13, 2}, {14, 3}}};

TEST_CASE("ids of a vocabulary are actions") {
  const auto is = [](index id, action_kind kind, index argument) {
    const action a = words.action_of(id);
    return a.kind == kind && a.argument == argument;
  };
  CHECK(is(0, action_kind::append, 0));
  CHECK(is(9, action_kind::append, 9));
  CHECK(is(10, action_kind::erase, 1));
  CHECK(is(11, action_kind::reset, 0));
  CHECK(is(12, action_kind::erase, 1));
  CHECK(is(14, action_kind::erase, 3));
  CHECK(is(15, action_kind::append, 15));
  CHECK(action_ids{}.action_of(3).kind == action_kind::append);
  CHECK_THROWS_NAMING(words.action_of(-1), "id");
}

}  // namespace
