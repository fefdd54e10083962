#include <emend/losses/preference.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using numbers = std::vector<double>;

TEST_CASE("pairwise and preference losses: derivatives, margins, ties, far scores") {
  const numbers chosen{1, 0, 800, -800}, rejected{0.5, 0, -800, 800}, margin{0.2, 0, 0, 0};
  const auto result = pairwise_loss(chosen, rejected, {.margin = margin});
  CHECK(result.value == doctest::Approx((std::log1p(std::exp(-0.3)) + std::log(2) + 0 + 1600) / 4));
  CHECK(result.accuracy == doctest::Approx(2.5 / 4));
  for (std::size_t p = 0; p < 4; ++p) {
    numbers up = chosen, down = chosen;
    up[p] += 1e-6;
    down[p] -= 1e-6;
    const double slope = (pairwise_loss(up, rejected, {.margin = margin}).value -
                          pairwise_loss(down, rejected, {.margin = margin}).value) /
                         2e-6;
    CHECK(result.chosen[p] == doctest::Approx(slope).epsilon(1e-4).scale(1e-3));
    CHECK(result.rejected[p] == -result.chosen[p]);
  }
  CHECK(pairwise_loss(numbers{}, numbers{}).value == 0);
  CHECK_THROWS_NAMING(pairwise_loss(chosen, numbers{1}), "rejected");

  const numbers reference_chosen{0.9, 0.2, 0, 0}, reference_rejected{0.4, 0.1, 0, 0};
  for (const double smoothing : {0.0, 0.1}) {
    const dpo_options options{.beta = 0.3, .label_smoothing = smoothing};
    const auto dpo = dpo_loss(chosen, rejected, reference_chosen, reference_rejected, options);
    for (std::size_t p = 0; p < 2; ++p) {
      numbers up = rejected, down = rejected;
      up[p] += 1e-6;
      down[p] -= 1e-6;
      const double slope = (dpo_loss(chosen, up, reference_chosen, reference_rejected, options).value -
                            dpo_loss(chosen, down, reference_chosen, reference_rejected, options).value) /
                           2e-6;
      CHECK(dpo.rejected[p] == doctest::Approx(slope).epsilon(1e-5));
    }
  }
  CHECK_THROWS_NAMING(dpo_loss(chosen, rejected, reference_chosen, reference_rejected, {.label_smoothing = 0.5}),
                      "label_smoothing");
}

}  // namespace
