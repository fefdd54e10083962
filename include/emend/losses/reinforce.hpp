#pragma once

#include <emend/core/token.hpp>

namespace emend {

/// The policy gradient itself: no ratio, no clip.
///   loss_i = -A_i log_prob_i                                                                                   [nats]
/// advantage: [N], constants. Throws std::invalid_argument if its length is not N. A token of advantage 0 has loss 0.
/// Williams 1992. Also GPG (Chu et al. 2025; verl "gpg"), NeMo's disable_ppo_ratio, and with the advantages of
/// `reinforce_plus_plus` the loss of REINFORCE++.
struct reinforce {
  column advantage;
  static constexpr bool uses_entropy = false, uses_log_sum_squares = false;
  void check(index n) const { detail::require_length("advantage", advantage.size(), n); }
  template <class R>
  R operator()(const token<R>& t) const {
    const auto a = t.number(advantage);
    return emend::select(a == 0, R(0), -a * t.log_prob);
  }
};

}  // namespace emend
