#include <emend/core/token.hpp>

#include <doctest/doctest.h>

#include <vector>

#include "throws.hpp"

using namespace emend;

TEST_CASE("a token reads the entry of its position, as a constant") {
  const std::vector<double> values{1, 2, 3};
  const token_dual x = token_dual::variable(-1, detail::of_score);
  const token<token_dual> t{x, x, x, x, x, x, 2};
  const token_dual entry = t(values);
  CHECK(entry.value == 3);
  for (const double d : entry.derivative) CHECK(d == 0);
  CHECK(t.number(values) == 3);
  const token<double> plain{-1, 0, -1, 0, 0, 0, 1};
  CHECK(plain(values) == 2);
  CHECK_THROWS_NAMING(token<double>({-1, 0, -1, 0, 0, 0, 3}).number(values), "a column read by the loss");
  CHECK(as_number(7) == 7.0);
}

namespace {

struct likelihood {
  auto operator()(const auto& t) const { return -t.log_prob; }
};
struct constant {
  double operator()(const auto&) const { return 1.0; }
};
struct of_double_alone {
  double operator()(const token<double>& t) const { return t.log_prob; }
};

}  // namespace
static_assert(token_loss<likelihood> && token_loss<constant> && !token_loss<of_double_alone> && !token_loss<int>);
