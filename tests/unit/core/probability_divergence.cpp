#include <emend/core/probability_divergence.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <initializer_list>

using namespace emend;

TEST_CASE("divergence of a token's probabilities: by the definitions, with their derivatives") {
  using number = dual<double, 1>;
  for (const double p : {0.2, 0.5, 0.9})
    for (const double q : {0.1, 0.5, 0.7}) {
      const auto at = [&](probability_divergence kind, const auto& x) {
        using R = std::remove_cvref_t<decltype(x)>;
        return detail::divergence_of(kind, x, R(q), R(emend::log(R(q) / x)));
      };
      CHECK(at(probability_divergence::total_variation, p) == std::abs(p - q));
      const double kl = q * std::log(q / p) + (1 - q) * std::log((1 - q) / (1 - p));
      CHECK(at(probability_divergence::binary_kl, p) == doctest::Approx(kl).epsilon(1e-14));
      CHECK(kl >= 0);
      const number x = number::variable(p, 0);
      CHECK(at(probability_divergence::binary_kl, x).derivative[0] ==
            doctest::Approx(-q / p + (1 - q) / (1 - p)).epsilon(1e-12));
      if (p != q) CHECK(at(probability_divergence::total_variation, x).derivative[0] == (p > q ? 1 : -1));
    }
  // A certain token, and one that was certain: the epsilon keeps the rest's term finite.
  CHECK(std::isfinite(detail::divergence_of(probability_divergence::binary_kl, 1.0, 0.5, std::log(0.5), 1e-8)));
  CHECK(detail::divergence_of(probability_divergence::binary_kl, 1.0, 1.0, 0.0, 1e-8) == 0);
}
