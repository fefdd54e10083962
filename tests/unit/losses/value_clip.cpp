#include <emend/losses/value_clip.hpp>
#include <emend/evaluation/evaluate_numbers.hpp>

#include <doctest/doctest.h>

#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using numbers = std::vector<double>;

TEST_CASE("critics: clip, Huber, the edge") {
  const numbers old{0, 0, 0}, returns{1, -3, 1}, values{0.5, 0.1, 0.2};
  const auto plain = evaluate_values(value_clip{.old_value = {}, .returns = returns, .clip = detail::infinity}, values);
  CHECK(plain.value == doctest::Approx(0.5 * (0.25 + 3.1 * 3.1 + 0.64)));
  const auto clipped = evaluate_values(value_clip{old, returns, 0.2}, values);
  CHECK(clipped.value == doctest::Approx(0.5 * (0.64 + 3.1 * 3.1 + 0.64)));
  CHECK(clipped.gradient[0] == 0);
  CHECK(clipped.gradient[2] == doctest::Approx(-0.8));
  CHECK(clipped.metrics[0] == doctest::Approx(1 / 3.0));
  const auto halved =
      evaluate_values(value_clip{.old_value = old, .returns = returns, .clip = 0.2, .edge = clip_edge::half}, values);
  CHECK(halved.gradient[2] == doctest::Approx(-0.6));
  const auto alone = evaluate_values(
      value_clip{.old_value = old, .returns = returns, .clip = 0.05, .clipping = value_clipping::clipped}, values);
  CHECK(alone.gradient == numbers{0, 0, 0});
  const auto huber = evaluate_values(
      value_clip{.old_value = {}, .returns = returns, .clip = detail::infinity, .huber_delta = 1, .factor = 1}, values);
  CHECK(huber.value == doctest::Approx(0.25 + 2 * (3.1 - 0.5) + 0.64));
  CHECK(huber.gradient[1] == doctest::Approx(2));
  CHECK_THROWS_NAMING(evaluate_values(value_clip{numbers{1}, returns}, values), "old_value");
  CHECK_THROWS_NAMING(evaluate_values(value_clip{old, returns, 0}, values), "clip");
}

TEST_CASE("value_clip: the worse of two squares, and the derivative of that one") {
  const std::vector<double> values{1.5, 1.1, 0.5}, old{1, 1, 1}, returns{0, 2, 2};
  const auto got = evaluate_values(value_clip{old, returns, 0.2}, values);
  // Outside the clip and away from the return; inside; outside, where the clipped value is nearer.
  CHECK(got.value == doctest::Approx(0.5 * (1.5 * 1.5 + 0.9 * 0.9 + 1.5 * 1.5)));
  CHECK(got.gradient[0] == doctest::Approx(1.5));
  CHECK(got.gradient[1] == doctest::Approx(-0.9));
  CHECK(got.gradient[2] == doctest::Approx(-1.5));
  const auto clipped = evaluate_values(value_clip{old, returns, 0.2}, std::vector<double>{0.7, 1.5, 1});
  CHECK(clipped.gradient[0] == 0);  // clamp(0.7) = 0.8 is the worse one, and is closed
  CHECK(clipped.gradient[1] == 0);
}

}  // namespace
