#include <emend/advantage/gae.hpp>

#include <doctest/doctest.h>

#include "throws.hpp"

namespace {

using namespace emend;

TEST_CASE("gae by hand, with and without a bootstrap") {
  const std::vector<double> reward{1, 2, 3}, value{0.5, 1, 1.5}, next{4};
  const auto got = gae(reward, value, padded(1, 3), {.gamma = 0.9, .lambda = 0.8});
  const double a2 = 3 - 1.5, a1 = 2 + 0.9 * 1.5 - 1 + 0.72 * a2, a0 = 1 + 0.9 * 1 - 0.5 + 0.72 * a1;
  CHECK(got.advantage[2] == doctest::Approx(a2));
  CHECK(got.advantage[1] == doctest::Approx(a1));
  CHECK(got.advantage[0] == doctest::Approx(a0));
  CHECK(got.returns[0] == doctest::Approx(a0 + 0.5));
  const auto cut = gae(reward, value, padded(1, 3), {.gamma = 0.9, .lambda = 0.8, .bootstrap = next});
  CHECK(cut.advantage[2] == doctest::Approx(a2 + 0.9 * 4));
}

TEST_CASE("lambda 1 without discount: returns are sums of rewards; lambda 0: one step") {
  const std::vector<double> reward{1, 2, 3}, value{0.5, 1, 1.5};
  CHECK(gae(reward, value, padded(1, 3), {.gamma = 1, .lambda = 1}).returns == std::vector<double>{6, 5, 3});
  CHECK(gae(reward, value, padded(1, 3), {.gamma = 1, .lambda = 0}).advantage == std::vector<double>{1.5, 2.5, 1.5});
}

TEST_CASE("layouts of the same sequences agree; uncounted tokens read nothing and get 0") {
  const double bad = __builtin_nan("");
  const std::vector<double> reward{1, 2, 3, 4}, value{0.5, 1, 1.5, 2};
  const std::vector<int> offsets{0, 3, 4}, mask{1, 1, 1, 0, 1, 0}, ids{0, -1, 0, 1, 0};
  const auto flat = gae(reward, value, ragged(offsets));
  const std::vector<double> padded_reward{1, 2, 3, bad, 4, bad}, padded_value{0.5, 1, 1.5, bad, 2, bad};
  const auto with_mask = gae(padded_reward, padded_value, padded(2, 3, mask));
  CHECK(with_mask.advantage ==
        std::vector<double>{flat.advantage[0], flat.advantage[1], flat.advantage[2], 0, flat.advantage[3], 0});
  const std::vector<double> packed_reward{1, bad, 2, 4, 3}, packed_value{0.5, bad, 1, 2, 1.5};
  const auto in_pack = gae(packed_reward, packed_value, packed(ids));
  CHECK(in_pack.returns == std::vector<double>{flat.returns[0], 0, flat.returns[1], flat.returns[3], flat.returns[2]});
}

TEST_CASE("a hole is carried over") {
  const std::vector<double> reward{1, 7, 3}, value{0.5, 9, 1.5}, short_reward{1, 3}, short_value{0.5, 1.5};
  const std::vector<int> mask{1, 0, 1};
  const auto hole = gae(reward, value, padded(1, 3, mask)), without = gae(short_reward, short_value, padded(1, 2));
  CHECK(hole.advantage[0] == without.advantage[0]);
  CHECK(hole.advantage[1] == 0);
  CHECK(hole.advantage[2] == without.advantage[1]);
}

TEST_CASE("errors name the argument") {
  const std::vector<double> two{1, 2}, three{1, 2, 3};
  CHECK_THROWS_NAMING(gae(two, three, padded(1, 3)), "reward");
  CHECK_THROWS_NAMING(gae(three, two, padded(1, 3)), "value");
  CHECK_THROWS_NAMING(gae(three, three, padded(1, 3), {.bootstrap = two}), "bootstrap");
}

}  // namespace

TEST_CASE("the outputs may be the inputs, in every layout") {
  const std::vector<double> reward{1, 2, 3, 4, 5}, value{.1, .2, .3, .4, .5};
  const auto check_layout = [&](const auto& layout) {
    const advantages expected = gae(reward, value, layout);
    std::vector<double> r = reward, v = value, apart(5);
    gae_into(r, v, layout, {}, apart, v);
    CHECK(apart == expected.advantage);
    CHECK(v == expected.returns);
    v = value;
    gae_into(r, v, layout, {}, v, r);
    CHECK(v == expected.advantage);
    CHECK(r == expected.returns);
  };
  check_layout(packed({0, 1, -1, 0, 1}));
  check_layout(packed({0, 0, 0, 0, 0}));
  check_layout(padded(1, 5));
  check_layout(ragged({0, 2, 5}));
  check_layout(padded(1, 5, {1, 0, 1, 1, 0}));
}
