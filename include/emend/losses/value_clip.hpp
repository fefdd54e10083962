#pragma once

#include <emend/evaluation/evaluate_numbers.hpp>

namespace emend {

/// Squared error of a critic, its step from the old value clipped; a loss for `evaluate_values`.
///   loss_i = 1/2 max((V_i - G_i)^2, (clamp(V_i, V_old_i - clip, V_old_i + clip) - G_i)^2)
/// old_value, returns: [N], constants; clip: above 0. Throws std::invalid_argument if a length is not N.
/// Schulman et al. 2017's reference code; the factor 1/2 is that of TRL, verl and align-anything.
struct value_clip {
  column old_value;
  column returns;
  double clip = 0.2;

  void check(index n) const {
    detail::require_length("old_value", old_value.size(), n);
    detail::require_length("returns", returns.size(), n);
    detail::require_positive("clip", clip);
  }

  template <class R>
  R operator()(const number<R>& v) const {
    const double old = emend::value_of(v(old_value));
    const R clipped = emend::clamp(v.value, old - clip, old + clip);
    return 0.5 * emend::max(emend::square(v.value - v(returns)), emend::square(clipped - v(returns)));
  }
};

}  // namespace emend
