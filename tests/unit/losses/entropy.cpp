#include <emend/losses/entropy.hpp>

#include <doctest/doctest.h>

#include "token_of.hpp"

namespace {

using namespace emend;

TEST_CASE("the entropy bonus is minus its coefficient times the entropy") {
  CHECK(entropy_bonus{0.1}(token_of(-1.5, 2.0)) == doctest::Approx(-0.2));
  CHECK(entropy_bonus{0.1}(token_of(one_derivative(-1.5), one_derivative::variable(2, 0))).derivative[0] == -0.1);
}

}  // namespace
