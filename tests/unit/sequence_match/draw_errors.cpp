#include <emend/sequence_match/draw_errors.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using ids = std::vector<index>;

TEST_CASE("errors come at the level's rate, the same ones at a higher level, and only where they may") {
  const index length = 20000;
  std::vector<int> allowed(static_cast<std::size_t>(length), 1);
  std::fill(allowed.begin(), allowed.begin() + 100, 0);
  const auto few = draw_errors(length, uniform_noise{7, 3}, {.level = 0.02, .is_allowed = allowed, .seed = 5});
  const auto more = draw_errors(length, uniform_noise{7, 3}, {.level = 0.1, .is_allowed = allowed, .seed = 5});
  const auto count = [](const drawn_errors& e) {
    return std::count_if(e.run_length.begin(), e.run_length.end(), [](index n) { return n > 0; });
  };
  CHECK(std::abs(static_cast<double>(count(few)) - 0.02 * 19900) < 5 * std::sqrt(0.02 * 19900));
  CHECK(std::abs(static_cast<double>(count(more)) - 0.1 * 19900) < 5 * std::sqrt(0.1 * 19900));
  for (std::size_t t = 0; t < few.run_length.size(); ++t) {
    CHECK((few.run_length[t] == 0 || more.run_length[t] == 1));
    if (t < 100) CHECK(more.run_length[t] == 0);
  }
  ids seen(10, 0);
  for (const index id : more.noise_tokens) ++seen.at(static_cast<std::size_t>(id));
  for (std::size_t id = 0; id < 10; ++id) CHECK((seen[id] > 200) == (id >= 3));
  CHECK(draw_errors(length, uniform_noise{7}, {.level = 0.1, .seed = 5, .stream = 1}).run_length !=
        draw_errors(length, uniform_noise{7}, {.level = 0.1, .seed = 5}).run_length);
  CHECK(draw_errors(length, uniform_noise{7}, {.level = 0.1, .seed = 6}).run_length !=
        draw_errors(length, uniform_noise{7}, {.level = 0.1, .seed = 5}).run_length);
  CHECK(draw_errors(10, uniform_noise{7}, {.level = 0}).noise_tokens.empty());
  CHECK(draw_errors(0, uniform_noise{7}, {.level = 1}).run_length.empty());
}

TEST_CASE("runs of errors: fixed, or of geometric length; the noise from a callable or a model") {
  const auto fixed = draw_errors(5, [](index position, double) { return position; }, {.level = 1, .run_length = 2});
  CHECK(fixed.run_length == ids{2, 2, 2, 2, 2});
  CHECK(fixed.noise_tokens == ids{0, 0, 1, 1, 2, 2, 3, 3, 4, 4});
  const auto geometric =
      draw_errors(20000, uniform_noise{3}, {.level = 1, .continuation = 0.5, .longest_run = 4, .seed = 2});
  double mean = 0;
  for (const index n : geometric.run_length) {
    CHECK((n >= 1 && n <= 4));
    mean += static_cast<double>(n) / 20000;
  }
  CHECK(mean == doctest::Approx(1 + 0.5 + 0.25 + 0.125).epsilon(0.02));
  CHECK(geometric.noise_tokens.size() == static_cast<std::size_t>(std::lround(mean * 20000)));
  // A model that is certain: its choice at each place.
  const float scores[] = {0, 90, 0, 90, 0, 0};
  const auto certain = draw_errors(2, model_noise<float>{scores, 3, 3}, {.level = 1});
  CHECK(certain.noise_tokens == ids{1, 0});
  CHECK_THROWS_NAMING(draw_errors(2, uniform_noise{3}, {.level = 1.5}), "level");
  CHECK_THROWS_NAMING(draw_errors(2, uniform_noise{3}, {.continuation = -1}), "continuation");
  CHECK_THROWS_NAMING(draw_errors(2, uniform_noise{3}, {.run_length = 0}), "run_length");
  CHECK_THROWS_NAMING(draw_errors(2, uniform_noise{3}, {.longest_run = 1001}), "longest_run");
  CHECK_THROWS_NAMING(draw_errors(-1, uniform_noise{3}, {}), "length");
  CHECK_THROWS_NAMING(draw_errors(2, uniform_noise{3}, {.is_allowed = std::vector<int>{1}}), "is_allowed");
}

}  // namespace
