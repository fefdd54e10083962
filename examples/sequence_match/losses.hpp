#pragma once

#include <array>

#include <emend/sequence_match/least_squares_objective.hpp>
#include <emend/sequence_match/sequence_match_objective.hpp>

namespace sequence_match {

/// What a model is trained by. `cloning` is maximum likelihood of data with errors and their backspaces; the rest are
/// SequenceMatch.
enum class loss_kind {
  likelihood,
  cloning,
  chi2,
  chi2_mixture,
  least_squares,
  forward_kl,
  reverse_kl,
  jensen_shannon,
  hellinger
};
inline constexpr std::array<const char*, 9> loss_names{
    "MLE", "BC", "chi2", "chi2 mixture", "least squares", "forward KL", "reverse KL", "Jensen-Shannon", "Hellinger"};
inline const char* name_of(loss_kind kind) { return loss_names[static_cast<std::size_t>(kind)]; }
/// Whether the model's own writing takes part.
inline bool has_rollouts(loss_kind kind) { return kind == loss_kind::chi2_mixture || kind == loss_kind::least_squares; }

/// A divergence that is chosen at run time, so that everything behind it is compiled once: to the library one of the
/// caller's own.
struct chosen_divergence {
  loss_kind kind = loss_kind::chi2;

  static constexpr double lowest = -emend::detail::infinity;

 private:
  template <class F>
  auto of_kind(F&& f) const {
    namespace div = emend::divergences;
    switch (kind) {
      case loss_kind::likelihood:
      case loss_kind::cloning:
        return f(emend::continued<div::identity>{});
      case loss_kind::chi2:
      case loss_kind::chi2_mixture:
      case loss_kind::least_squares:
        return f(emend::continued<div::pearson_chi2>{});
      case loss_kind::forward_kl:
        return f(emend::continued<div::forward_kl>{});
      case loss_kind::reverse_kl:
        return f(emend::continued<div::reverse_kl>{});
      case loss_kind::jensen_shannon:
        return f(emend::continued<div::jensen_shannon>{});
      case loss_kind::hellinger:
        return f(emend::continued<div::squared_hellinger>{});
    }
    return f(emend::continued<div::identity>{});
  }

 public:
  template <class R>
  R phi(const R& x) const {
    return of_kind([&](const auto& d) { return d.phi(x); });
  }
  template <class R>
  R derivative(const R& x) const {
    return of_kind([&](const auto& d) { return d.derivative(x); });
  }
  template <class R>
  auto is_outside(const R& x) const {
    return of_kind([&](const auto& d) { return d.is_outside(x); });
  }
};

/// f(objective) of a loss. Plain maximum likelihood does not discount. The value term is taken over the data alone:
/// rollouts begin with prompts of the data, so that their half of it, V at the prompt, is the same in expectation, and
/// only noisier.
template <class F>
auto with_objective(loss_kind kind, double alpha, double gamma, F&& f) {
  if (kind == loss_kind::least_squares) return f(emend::least_squares_objective{.alpha = alpha, .gamma = gamma});
  return f(emend::sequence_match_objective<chosen_divergence>{.divergence = {kind},
                                                              .alpha = alpha,
                                                              .gamma = kind == loss_kind::likelihood ? 1 : gamma,
                                                              .data_value_weight = 1,
                                                              .mixture_coefficient = has_rollouts(kind) ? 0.25 : 0});
}

}  // namespace sequence_match
