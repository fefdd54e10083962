#include <emend/advantage/gae_scan.hpp>

#include <doctest/doctest.h>

#include <vector>

#include "../random_numbers.hpp"
#include "slow_gae.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

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

}  // namespace
