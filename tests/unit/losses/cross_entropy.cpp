#include <emend/losses/cross_entropy.hpp>

#include <doctest/doctest.h>

#include "token_of.hpp"

namespace {

using namespace emend;

TEST_CASE("cross entropy is minus the log-probability") {
  CHECK(cross_entropy{}(token_of(-1.5)) == 1.5);
  CHECK(cross_entropy{}(token_of(one_derivative::variable(-1.5, 0))).derivative[0] == -1);
}

}  // namespace
