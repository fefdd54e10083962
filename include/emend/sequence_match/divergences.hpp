#pragma once

#include <emend/base/errors.hpp>
#include <emend/carriers/real.hpp>

#include <string>

namespace emend {

/// A divergence between occupancy measures, by its concave phi: D = max_r E_data[phi(r)] - E_model[r].
///
/// Valid expressions, with `d` a const D, x a double:
///   d.phi(x) -> double         phi itself, inside its domain
///   d.derivative(x) -> double  phi'
///   D::lowest                  where the domain ends below, -infinity for the whole line
/// Optional: d.is_outside(x) -> bool, whether x is beyond the domain, where `lowest` does not say it; d.check(), which
/// throws std::invalid_argument. A user's own divergence is such a value. If all of these take any `real` R, it also
/// serves trajectories whose scores stay on a device:
///   template <emend::real R>
///   R phi(const R& x) const { using emend::log1p, emend::select; return select(x < 0, x, log1p(x)); }
/// with functions called by their plain names, so that those of the carrier are found, select in place of `if`, and not
/// noexcept. What the compiler cannot check: that phi is concave, phi' its derivative, and, where the objective is to
/// go to maximum likelihood as alpha goes to 0, that phi(0) = 0 and phi'(0) = 1. Models: those of namespace
/// `divergences`. Cundy and Ermon 2024 (arXiv 2306.05426), section 3; Garg et al. 2021 (IQ-Learn).
template <class D>
concept occupancy_divergence = requires(const D& d, double x) {
  { d.phi(x) } -> std::convertible_to<double>;
  { d.derivative(x) } -> std::convertible_to<double>;
  { D::lowest } -> std::convertible_to<double>;
};

/// With u = rho_model / rho_data and D = E_data[f(u)]: phi(x) = -f*(-x), all normalised to phi(0) = 0 and phi'(0) = 1
/// but for the two raw forms.
namespace divergences {

/// phi = x: maximum likelihood, whatever alpha; behavioural cloning.
struct identity {
  static constexpr double lowest = -detail::infinity;
  template <real R>
  constexpr R phi(const R& x) const {
    return x;
  }
  template <real R>
  constexpr R derivative(const R&) const {
    return R(1);
  }
};

/// KL(data || model), f = -log u + u - 1:   phi = log(1 + x),   x > -1
struct forward_kl {
  static constexpr double lowest = -1;
  template <real R>
  constexpr R phi(const R& x) const {
    return log1p(x);
  }
  template <real R>
  constexpr R derivative(const R& x) const {
    return 1 / (1 + x);
  }
};

/// KL(data || model) as IQ-Learn's table has it, f = -log u:   phi = 1 + log x,   x > 0
struct forward_kl_raw {
  static constexpr double lowest = 0;
  template <real R>
  constexpr R phi(const R& x) const {
    return 1 + log(x);
  }
  template <real R>
  constexpr R derivative(const R& x) const {
    return 1 / x;
  }
};

/// KL(model || data), f = u log u - u + 1:   phi = 1 - e^-x   (IQ-Learn's code: "kl_fix")
struct reverse_kl {
  static constexpr double lowest = -detail::infinity;
  template <real R>
  constexpr R phi(const R& x) const {
    return -expm1(-x);
  }
  template <real R>
  constexpr R derivative(const R& x) const {
    return exp(-x);
  }
};

/// KL(model || data), f = u log u:   phi = -e^(-x-1)   (IQ-Learn's code: "kl")
struct reverse_kl_raw {
  static constexpr double lowest = -detail::infinity;
  template <real R>
  constexpr R phi(const R& x) const {
    return -exp(-x - 1);
  }
  template <real R>
  constexpr R derivative(const R& x) const {
    return exp(-x - 1);
  }
};

/// Twice the Jensen-Shannon divergence, f = u log u - (u+1) log((u+1)/2):   phi = log(2 - e^-x),   x > -log 2
struct jensen_shannon {
  static constexpr double lowest = -0.693147180559945309417;
  template <real R>
  constexpr R phi(const R& x) const {
    return log1p(-expm1(-x));
  }
  template <real R>
  constexpr R derivative(const R& x) const {
    return 1 / (2 * expm1(x) + 1);
  }
};

/// Squared Hellinger distance, f = (sqrt u - 1)^2:   phi = x / (1 + x),   x > -1
struct squared_hellinger {
  static constexpr double lowest = -1;
  template <real R>
  constexpr R phi(const R& x) const {
    return x / (1 + x);
  }
  template <real R>
  constexpr R derivative(const R& x) const {
    return 1 / ((1 + x) * (1 + x));
  }
};

/// Pearson's chi-square(model || data), f = (u-1)^2:   phi = x - x^2 / 4, the paper's
struct pearson_chi2 {
  static constexpr double lowest = -detail::infinity;
  bool is_clipped_at_maximum = false;  ///< the tight conjugate: 1 for x >= 2. The paper's formula goes down again there
  template <real R>
  constexpr R phi(const R& x) const {
    const R value = x - 0.25 * square(x);
    return is_clipped_at_maximum ? select(x < 2, value, R(1)) : value;
  }
  template <real R>
  constexpr R derivative(const R& x) const {
    const R slope = 1 - 0.5 * x;
    return is_clipped_at_maximum ? select(x < 2, slope, R(0)) : slope;
  }
};

/// Neyman's chi-square(data || model), f = (u-1)^2 / u:   phi = 2 sqrt(1 + x) - 2,   x >= -1
struct neyman_chi2 {
  static constexpr double lowest = -1;
  template <real R>
  constexpr R phi(const R& x) const {
    return 2 * x / (sqrt(1 + x) + 1);
  }  // the same without cancellation
  template <real R>
  constexpr R derivative(const R& x) const {
    return 1 / sqrt(1 + x);
  }
};

/// chi-square(model || mean of model and data) in its exact form, f = (u-1)^2 / (u+1):   phi = 4 sqrt(1 + x) - 4 - x,
/// x >= -1. The paper's practical algorithm has pearson_chi2 with a penalty on rollouts instead.
struct mixture_chi2 {
  static constexpr double lowest = -1;
  bool is_clipped_at_maximum = false;  ///< the tight conjugate: 1 for x >= 3
  template <real R>
  constexpr R phi(const R& x) const {
    const R value = 4 * x / (sqrt(1 + x) + 1) - x;
    return is_clipped_at_maximum ? select(x < 3, value, R(1)) : value;
  }
  template <real R>
  constexpr R derivative(const R& x) const {
    const R slope = 2 / sqrt(1 + x) - 1;
    return is_clipped_at_maximum ? select(x < 3, slope, R(0)) : slope;
  }
};

/// Total variation, 2 bound TV, f = |u-1| bound:   phi = min(x, bound) with a quadratic penalty below -bound
///   bound for x > bound;  x for -bound <= x <= bound;  x - penalty/2 (x + bound)^2 for x < -bound
/// Without the penalty nothing holds the reward back, and phi = x is maximum likelihood. The penalty is ours.
struct total_variation {
  static constexpr double lowest = -detail::infinity;
  double bound = 0.5;
  double penalty = 1;
  template <real R>
  constexpr R phi(const R& x) const {
    const R penalised = x - 0.5 * penalty * square(x + bound);
    return select(x > bound, R(bound), select(x < -bound, penalised, x));
  }
  template <real R>
  constexpr R derivative(const R& x) const {
    const R penalised = 1 - penalty * (x + bound);
    return select(x > bound, R(0), select(x < -bound, penalised, R(1)));
  }
  template <real R>
  constexpr auto is_outside(const R& x) const {
    return x < -bound;
  }
};

}  // namespace divergences

/// A divergence on the whole line: below x_0 = lowest + epsilon phi goes on along its tangent there.
///   phi(x) = phi(x_0) + phi'(x_0) (x - x_0)   for x < x_0           concave, smooth, of finite slope
/// epsilon above 0 (not looked at where the domain is the whole line). Throws std::invalid_argument from `check`.
template <occupancy_divergence D>
struct continued {
  D divergence;
  double epsilon = 1e-3;

  static constexpr double lowest = -detail::infinity;
  constexpr double start() const { return D::lowest == -detail::infinity ? D::lowest : D::lowest + epsilon; }
  /// Whether phi is its tangent at x: the share of such steps tells whether alpha is too large.
  template <real R>
  constexpr auto is_outside(const R& x) const {
    if constexpr (requires { divergence.is_outside(x); })
      return divergence.is_outside(x);
    else
      return x < start();
  }
  template <real R>
  constexpr R phi(const R& x) const {
    if constexpr (D::lowest == -detail::infinity)
      return divergence.phi(x);
    else
      return select(x < start(), R(divergence.phi(start()) + divergence.derivative(start()) * (x - start())),
                    R(divergence.phi(inside(x))));
  }
  template <real R>
  constexpr R derivative(const R& x) const {
    if constexpr (D::lowest == -detail::infinity)
      return divergence.derivative(x);
    else
      return divergence.derivative(inside(x));
  }
  void check() const {
    if (D::lowest != -detail::infinity) detail::require_positive("epsilon", epsilon);
  }

 private:
  template <class R>
  constexpr R inside(const R& x) const {
    return select(x < start(), R(start()), x);
  }
};

}  // namespace emend
