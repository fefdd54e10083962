#pragma once

#include <emend/core/layout.hpp>

namespace emend {

/// Token rewards as the changes of a predicted return.
///   r_t = g_t - g_{t-1},   before the first token g = 0
/// return_prediction: [layout.tokens()]; 0 where a token is not counted. They add up to the last prediction. Throws
/// std::invalid_argument on a length that does not fit. Arjona-Medina et al. 2019.
template <layout_argument L>
std::vector<double> rudder_rewards(column return_prediction, const L& layout) {
  detail::require_length("return_prediction", return_prediction.size(), layout.tokens());
  std::vector<double> result(static_cast<std::size_t>(layout.tokens()), 0);
  for (index b = 0; b < layout.sequences(); ++b) {
    double before = 0;
    layout.for_each_token(b, [&](index t) {
      result[static_cast<std::size_t>(t)] = return_prediction[t] - before;
      before = return_prediction[t];
    });
  }
  return result;
}

}  // namespace emend
