#include <emend/advantage/gae.hpp>
#include <emend/advantage/returns.hpp>

#include <doctest/doctest.h>

#include <algorithm>

#include "../random_numbers.hpp"
#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

/// The definition: the sum of all later differences, quadratic in the length.
advantages slow_gae(const std::vector<double>& reward, const std::vector<double>& value, const std::vector<int>& mask,
                    index rows, const gae_options& options) {
  advantages result{std::vector<double>(reward.size(), 0), std::vector<double>(reward.size(), 0)};
  const auto length = static_cast<index>(reward.size()) / rows;
  for (index b = 0; b < rows; ++b) {
    std::vector<std::size_t> steps;  // decay: from the first position to the last counted one
    std::vector<bool> is_counted;
    for (index t = b * length; t < (b + 1) * length; ++t) {
      const auto at = static_cast<std::size_t>(t);
      if (mask[at] == 0 && options.holes == hole_rule::carry) continue;
      steps.push_back(at);
      is_counted.push_back(mask[at] != 0);
    }
    while (!is_counted.empty() && !is_counted.back()) steps.pop_back(), is_counted.pop_back();
    const double end = options.bootstrap.empty() ? 0 : options.bootstrap[b];
    const double value_lambda = options.value_lambda < 0 ? options.lambda : options.value_lambda;
    double counted = 0;
    for (bool c : is_counted) counted += c;
    const double lambda = options.length_adaptive_alpha > 0
                              ? std::max(0.0, 1 - 1 / (options.length_adaptive_alpha * counted))
                              : options.lambda;
    const auto v = [&](std::size_t k) { return k == steps.size() ? end : is_counted[k] ? value[steps[k]] : 0; };
    for (std::size_t k = 0; k < steps.size(); ++k) {
      if (!is_counted[k]) continue;
      double a = 0, g = 0, decay = 1, value_decay = 1;
      for (std::size_t j = k; j < steps.size(); ++j) {
        const double delta = (is_counted[j] ? reward[steps[j]] : 0) + options.gamma * v(j + 1) - v(j);
        a += decay * delta;
        g += value_decay * delta;
        decay *= options.gamma * lambda;
        value_decay *= options.gamma * value_lambda;
      }
      result.advantage[steps[k]] = a;
      result.returns[steps[k]] = g + value[steps[k]];
    }
  }
  return result;
}

void check_same(const std::vector<double>& got, const std::vector<double>& want) {
  REQUIRE(got.size() == want.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    CAPTURE(i);
    CHECK(got[i] == doctest::Approx(want[i]).epsilon(1e-10));
  }
}

TEST_CASE("every convention is the sum of its definition, beyond one run of the scan") {
  random_numbers random;
  for (const auto& [rows, length] : {std::pair<index, index>{3, 7}, {2, 1300}}) {
    const auto size = static_cast<std::size_t>(rows * length);
    const std::vector<double> reward = random.normal(size), value = random.normal(size),
                              bootstrap = random.normal(static_cast<std::size_t>(rows));
    for (double share : {1.0, 0.6, 0.0}) {
      const std::vector<int> mask = random.flags(size, share);
      for (hole_rule holes : {hole_rule::carry, hole_rule::decay})
        for (const gae_options& options :
             {gae_options{.gamma = 0.99, .lambda = 0.9, .holes = holes},
              gae_options{.gamma = 0.9, .lambda = 0, .holes = holes},
              gae_options{.gamma = 1, .lambda = 0.95, .value_lambda = 1, .holes = holes, .bootstrap = bootstrap},
              gae_options{.gamma = 0.95, .length_adaptive_alpha = 0.5, .holes = holes, .bootstrap = bootstrap}}) {
          CAPTURE(share);
          const auto got = gae(reward, value, padded(rows, length, mask), options);
          const auto want = slow_gae(reward, value, mask, rows, options);
          check_same(got.advantage, want.advantage);
          check_same(got.returns, want.returns);
        }
    }
  }
}

TEST_CASE("the bits of a sequence depend on nothing beside it") {
  random_numbers random;
  const index rows = 19, length = 300;
  const std::vector<double> reward = random.normal(static_cast<std::size_t>(rows * length)),
                            value = random.normal(static_cast<std::size_t>(rows * length));
  const std::vector<int> mask = random.flags(static_cast<std::size_t>(rows * length), 0.9);
  const gae_options options{.gamma = 0.99, .value_lambda = 1};
  const auto all = gae(reward, value, padded(rows, length, mask), options);
  for (index b = 0; b < rows; ++b) {
    // Alone, and without its holes.
    std::vector<double> r, v;
    std::vector<std::size_t> at;
    for (index t = b * length; t < (b + 1) * length; ++t)
      if (const auto i = static_cast<std::size_t>(t); mask[i] != 0)
        r.push_back(reward[i]), v.push_back(value[i]), at.push_back(i);
    const auto alone = gae(r, v, padded(1, static_cast<index>(r.size())), options);
    bool is_same = true;
    for (std::size_t k = 0; k < at.size(); ++k)
      is_same = is_same && alone.advantage[k] == all.advantage[at[k]] && alone.returns[k] == all.returns[at[k]];
    CHECK(is_same);
  }
}

TEST_CASE("columns of float are scanned in place, with the same bits; the result may take the place of the rewards") {
  random_numbers random;
  for (double share : {1.0, 0.7}) {
    const index rows = 3, length = 701;
    const auto size = static_cast<std::size_t>(rows * length);
    std::vector<double> reward = random.normal(size), value = random.normal(size);
    for (double& x : reward) x = static_cast<float>(x);
    for (double& x : value) x = static_cast<float>(x);
    std::vector<float> narrow_reward(reward.begin(), reward.end()), narrow_value(value.begin(), value.end());
    std::vector<int> mask = random.flags(size, share);
    for (index t = 300; t < 640; ++t) mask[static_cast<std::size_t>(t)] = 1;  // whole runs between holes
    const padded layout(rows, length, mask);
    const gae_options options{.gamma = 0.99, .lambda = 0.9, .value_lambda = 1};
    const auto want = gae(reward, value, layout, options);
    const auto got = gae(narrow_reward, narrow_value, layout, options);
    CHECK(got.advantage == want.advantage);
    CHECK(got.returns == want.returns);
    gae_into(narrow_reward, narrow_value, layout, options, narrow_reward, narrow_value);
    CHECK(narrow_reward == std::vector<float>(want.advantage.begin(), want.advantage.end()));
    CHECK(narrow_value == std::vector<float>(want.returns.begin(), want.returns.end()));
  }
}

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

TEST_CASE("discounted returns") {
  const std::vector<double> reward{1, 2, 4}, next{8};
  const std::vector<int> mask{1, 0, 1};
  CHECK(discounted_returns(reward, padded(1, 3), {.gamma = 0.5}) == std::vector<double>{3, 4, 4});
  CHECK(discounted_returns(reward, padded(1, 3, mask), {.gamma = 0.5}) == std::vector<double>{3, 0, 4});
  CHECK(discounted_returns(reward, padded(1, 3, mask), {.gamma = 0.5, .holes = hole_rule::decay}) ==
        std::vector<double>{2, 0, 4});
  CHECK(discounted_returns(reward, padded(1, 3), {.gamma = 0.5, .bootstrap = next})[2] == 8);
  CHECK_THROWS_NAMING(discounted_returns(reward, padded(1, 2)), "reward");
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
