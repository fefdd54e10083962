#include <emend/advantage/gae.hpp>
#include <emend/advantage/returns.hpp>

#include <doctest/doctest.h>

#include <algorithm>

#include "../random_numbers.hpp"
#include "slow_gae.hpp"
#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

TEST_CASE("a hole decays, or is carried; padding on either side changes nothing") {
  const std::vector<double> reward{9, 1, 9, 3, 9}, value{9, 0, 9, 0, 9};
  const std::vector<int> mask{0, 1, 0, 1, 0};
  const gae_options options{.gamma = 0.5, .lambda = 1};
  CHECK(gae(reward, value, padded(1, 5, mask), options).advantage == std::vector<double>{0, 2.5, 0, 3, 0});
  gae_options decaying = options;
  decaying.holes = hole_rule::decay;
  CHECK(gae(reward, value, padded(1, 5, mask), decaying).advantage == std::vector<double>{0, 1.75, 0, 3, 0});
}

TEST_CASE("a bootstrap stands behind the last counted token, not behind the padding") {
  const std::vector<double> reward{1, 9, 9}, value{0, 9, 9}, next{8};
  const std::vector<int> mask{1, 0, 0};
  for (hole_rule holes : {hole_rule::carry, hole_rule::decay})
    CHECK(gae(reward, value, padded(1, 3, mask), {.gamma = 0.5, .holes = holes, .bootstrap = next}).advantage[0] == 5);
}

TEST_CASE("no sequence, no token, a row that is all masked") {
  CHECK(gae({}, {}, padded(0, 5)).advantage.empty());
  CHECK(gae({}, {}, padded(3, 0)).advantage.empty());
  const std::vector<double> bad{__builtin_nan(""), __builtin_inf()};
  const std::vector<int> none{0, 0};
  CHECK(gae(bad, bad, padded(1, 2, none)).returns == std::vector<double>{0, 0});
}

TEST_CASE("sequences closed by dones are those of offsets") {
  const std::vector<int> done{0, 1, 1, 0, 0}, open{0, 0};
  CHECK(offsets_from_ends(done) == std::vector<index>{0, 2, 3, 5});
  CHECK(offsets_from_ends(open) == std::vector<index>{0, 2});
  CHECK(offsets_from_ends({}) == std::vector<index>{0});
}

TEST_CASE("into memory of the caller: the same numbers, in float rounded") {
  random_numbers random;
  const std::vector<double> reward = random.normal(600), value = random.normal(600);
  const std::vector<int> mask = random.flags(600, 0.8);
  const auto want = gae(reward, value, padded(1, 600, mask));
  std::vector<double> advantage(600, 7), returns(600, 7);
  gae_into(reward, value, padded(1, 600, mask), {}, advantage, returns);
  CHECK(advantage == want.advantage);
  CHECK(returns == want.returns);
  std::vector<float> narrow(600, 7), narrow_returns(600, 7);
  gae_into(reward, value, padded(1, 600, mask), {}, narrow, narrow_returns);
  for (std::size_t i = 0; i < narrow.size(); ++i) CHECK(narrow[i] == static_cast<float>(want.advantage[i]));
  const std::vector<int> ids{0, -1};
  std::vector<float> a(2, 7), g(2, 7);
  gae_into(std::vector<double>{1, 2}, std::vector<double>{0, 0}, packed(ids), {}, a, g);
  CHECK(a == std::vector<float>{1, 0});
}

/// A layout of somebody's own: the required expressions, and no more.
struct backwards_pair {
  index tokens() const { return 4; }
  index sequences() const { return 2; }
  template <class F>
  void for_each_token(index b, F&& f) const {
    f(1 - b);
    f(3 - b);
  }
};
static_assert(sequence_layout<backwards_pair>);

TEST_CASE("a layout of one's own") {
  const std::vector<double> reward{1, 2, 3, 4}, value{0.5, 0, 1, 2};
  const std::vector<int> ids{1, 0, 1, 0};
  const auto own = gae(reward, value, backwards_pair{}), in_pack = gae(reward, value, packed(ids));
  CHECK(own.advantage == in_pack.advantage);
  CHECK(own.returns == in_pack.returns);
  CHECK(discounted_returns(reward, backwards_pair{}) == std::vector<double>{4, 6, 3, 4});
}

TEST_CASE("errors name the argument") {
  const std::vector<double> x{1, 2, 3};
  std::vector<double> three(3), two(2);
  const padded layout(1, 3);
  CHECK_THROWS_NAMING(gae(x, x, layout, {.gamma = -1}), "gamma");
  CHECK_THROWS_NAMING(gae(x, x, layout, {.lambda = 1.5}), "lambda");
  CHECK_THROWS_NAMING(gae(x, x, layout, {.value_lambda = 1.5}), "value_lambda");
  CHECK_THROWS_NAMING(gae(x, x, layout, {.length_adaptive_alpha = -1}), "length_adaptive_alpha");
  CHECK_THROWS_NAMING(gae_into(x, x, layout, {}, two, three), "advantage");
  CHECK_THROWS_NAMING(gae_into(x, x, layout, {}, three, two), "returns");
}

}  // namespace
