#pragma once

#include <array>

#include <emend/sequence_match/sequence_match_objective.hpp>

namespace sequence_match {

/// What a model is trained by. `cloning` is maximum likelihood of data with errors and their backspaces; the rest are SequenceMatch.
enum class loss_kind { likelihood, cloning, chi2, chi2_mixture, forward_kl, reverse_kl, jensen_shannon, hellinger };
inline constexpr std::array<const char*, 8> loss_names{"MLE", "BC", "chi2", "chi2 mixture", "forward KL", "reverse KL", "Jensen-Shannon", "Hellinger"};
inline const char* name_of(loss_kind kind) { return loss_names[static_cast<std::size_t>(kind)]; }
inline bool is_sequence_match(loss_kind kind) { return kind != loss_kind::likelihood && kind != loss_kind::cloning; }

/// A divergence that is chosen at run time, so that everything behind it is compiled once: to the library one of the caller's own.
struct chosen_divergence {
  loss_kind kind = loss_kind::chi2;

  static constexpr double lowest = -emend::detail::infinity;

 private:
  template <class F>
  auto of_kind(F&& f) const {
    namespace div = emend::divergences;
    switch (kind) {
      case loss_kind::likelihood:
      case loss_kind::cloning: return f(emend::continued<div::identity>{});
      case loss_kind::chi2:
      case loss_kind::chi2_mixture: return f(emend::continued<div::pearson_chi2>{});
      case loss_kind::forward_kl: return f(emend::continued<div::forward_kl>{});
      case loss_kind::reverse_kl: return f(emend::continued<div::reverse_kl>{});
      case loss_kind::jensen_shannon: return f(emend::continued<div::jensen_shannon>{});
      case loss_kind::hellinger: return f(emend::continued<div::squared_hellinger>{});
    }
    return f(emend::continued<div::identity>{});
  }

 public:
  template <class R>
  R phi(const R& x) const {
    return of_kind([&](const auto& d) { return d.phi(x); });
  }
  double derivative(double x) const {
    return of_kind([&](const auto& d) { return static_cast<double>(d.derivative(x)); });
  }
  bool is_outside(double x) const {
    return of_kind([&](const auto& d) { return d.is_outside(x); });
  }
};

using chosen_objective = emend::sequence_match_objective<chosen_divergence>;

/// Plain maximum likelihood does not discount. Rollouts take part in the mixture alone: elsewhere their value terms telescope to that of
/// the prompt, which is the data's.
inline chosen_objective objective_of(loss_kind kind, double alpha, double gamma) {
  const bool has_rollouts = kind == loss_kind::chi2_mixture;
  return {.divergence = {kind},
          .alpha = alpha,
          .gamma = kind == loss_kind::likelihood ? 1 : gamma,
          .data_value_weight = has_rollouts ? 0.5 : 1,
          .mixture_coefficient = has_rollouts ? 0.25 : 0};
}

}  // namespace sequence_match
