#pragma once

#include <emend/advantage/gae.hpp>

namespace emend {

/// Options of `discounted_returns`.
struct return_options {
  double gamma = 1;
  hole_rule holes = hole_rule::carry;  ///< carry: verl; decay: OpenRLHF
  column bootstrap = {};               ///< [B] what follows the last token; empty: 0
};

/// The discounted sum of the rewards from each token on, over every sequence of a layout.
///   G_t = r_t + gamma G_{t+1}
/// reward: [layout.tokens()]; 0 where a token is not counted. Throws std::invalid_argument on a length that does not
/// fit.
template <layout_argument L>
std::vector<double> discounted_returns(column reward, const L& layout, const return_options& options = {}) {
  detail::require_length("reward", reward.size(), layout.tokens());
  // Values of 0 make every advantage a return.
  const double zero = 0;
  return gae(reward, column(&zero, reward.size(), 0), layout,
             {.gamma = options.gamma, .lambda = 1, .holes = options.holes, .bootstrap = options.bootstrap})
      .returns;
}

}  // namespace emend
