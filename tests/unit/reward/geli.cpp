#include <emend/reward/geli.hpp>

#include <doctest/doctest.h>

#include <vector>

#include "../gradient_differences.hpp"
#include "throws.hpp"

namespace {

using namespace emend;
using numbers = std::vector<double>;

const std::vector<int> hole{1, 0, 1, 0, 0, 0};  // two rows of three; the second has no token

TEST_CASE("GELI: returns decomposed, over all tokens or over a sample") {
  const numbers reward{1, 9, 3, 9, 9, 9}, whole{5, 2};
  const std::vector<int> sample{1, 0, 0, 1, 1, 1};
  const padded layout(2, 3, hole);
  const auto full = geli_loss(reward, whole, layout);
  CHECK(full.value == 1);  // (1 + 3 - 5)^2, and nothing of the sequence without tokens
  CHECK(full.gradient == numbers{-2, 0, -2, 0, 0, 0});
  const auto part = geli_loss(reward, whole, layout, sample, 2);
  CHECK(part.value == doctest::Approx(9.0 / 2));  // (2/1 * 1 - 5)^2
  check_gradient(part.gradient, central_differences(reward, [&](const numbers& x) {
                   return geli_loss(x, whole, layout, sample, 2).value;
                 }));
  CHECK_THROWS_NAMING(geli_loss(whole, whole, layout), "token_reward");
  CHECK_THROWS_NAMING(geli_loss(reward, reward, layout), "episode_return");
  CHECK_THROWS_NAMING(geli_loss(reward, whole, layout, whole), "is_sampled");
  CHECK_THROWS_NAMING(geli_loss(reward, whole, layout, {}, 0), "normaliser");
}

}  // namespace
