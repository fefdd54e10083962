#pragma once

#include <emend/base/index.hpp>

namespace emend {

/// A number that moves from one value to another over some steps, and stays there.
///   value(step) = from + (to - from) clamp((step - first_step) / (last_step - first_step), 0, 1)
/// first_step == last_step: a jump, `to` from that step on. For alpha, the share of likelihood, a learning rate.
struct linear_schedule {
  double from, to;
  index first_step, last_step;

  constexpr double operator()(index step) const {
    if (step >= last_step) return to;
    if (step <= first_step) return from;
    return from + (to - from) * static_cast<double>(step - first_step) / static_cast<double>(last_step - first_step);
  }
};

}  // namespace emend
