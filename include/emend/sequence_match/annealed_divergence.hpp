#pragma once

#include <emend/sequence_match/divergences.hpp>

namespace emend {

/// A divergence on the way from maximum likelihood to itself: the objective with this phi is the mixture of the two
/// objectives.
///   phi(x) = share x + (1 - share) phi_D(x),   J = share J_likelihood + (1 - share) J_D
/// share: 1 is maximum likelihood, 0 the divergence; between them phi is concave, with phi(0) = 0 and phi'(0) = 1 if D
/// has them. A penalty on rollouts is not part of phi: scale `mixture_coefficient` by 1 - share. Throws
/// std::invalid_argument from `check`.
template <occupancy_divergence D>
struct annealed_divergence {
  D divergence = {};
  double share = 0;

  static constexpr double lowest = D::lowest;
  template <real R>
  constexpr R phi(const R& x) const {
    return share == 1 ? x : R(share * x + (1 - share) * divergence.phi(x));
  }
  template <real R>
  constexpr R derivative(const R& x) const {
    return share == 1 ? R(1) : R(share + (1 - share) * divergence.derivative(x));
  }
  template <real R>
  constexpr auto is_outside(const R& x) const {
    if constexpr (requires { divergence.is_outside(x); })
      return share != 1 && divergence.is_outside(x);
    else
      return share != 1 && x < D::lowest;
  }
  void check() const {
    if (!(share >= 0 && share <= 1)) detail::fail("share", "a number in [0, 1]", std::to_string(share));
    if constexpr (requires { divergence.check(); }) divergence.check();
  }
};

}  // namespace emend
