#pragma once

#include <emend/base/errors.hpp>
#include <emend/carriers/real.hpp>

namespace emend {

/// A share with its confidence interval.
struct share {
  double value = 0, low = 0, high = 1;
};

/// Wilson score interval of a share of `successes` (halves allowed, for ties) among `trials`.
///   p = successes / trials;  centre (p + z^2/2n) / (1 + z^2/n),  half width z sqrt(p(1-p)/n + z^2/4n^2) / (1 + z^2/n)
/// z: the normal quantile of (1 + confidence) / 2, 1.96 for 95 %. No trial: value 0.5, interval [0, 1].
/// Throws std::invalid_argument unless 0 <= successes <= trials and z > 0. Wilson 1927.
inline share wilson_interval(double successes, double trials, double z = 1.959963984540054) {
  if (!(successes >= 0 && successes <= trials))
    detail::fail("successes", "a number in [0, trials]", std::to_string(successes));
  detail::require_positive("z", z);
  if (trials == 0) return {0.5, 0, 1};
  const double p = successes / trials, spread = z * z / trials, scale = 1 / (1 + spread);
  const double centre = (p + spread / 2) * scale;
  const double half = z * sqrt(p * (1 - p) / trials + spread / (4 * trials)) * scale;
  return {p, max(centre - half, 0.0), min(centre + half, 1.0)};
}

}  // namespace emend
