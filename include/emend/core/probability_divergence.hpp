#pragma once

#include <emend/carriers/dual.hpp>

namespace emend {

/// How far the sampled token's probability p is from q, another policy's.
///   total_variation  |p - q|
///   binary_kl        q log(q/p) + (1-q) log((1-q) / (1-p)), against all other tokens as one              [nats]
enum class probability_divergence { total_variation, binary_kl };

namespace detail {

/// log_q_p: log(q/p), which the caller may know better than p and q tell. epsilon: added to 1-q and 1-p.
template <class R>
constexpr R divergence_of(probability_divergence divergence, const R& p, const R& q, const R& log_q_p,
                          double epsilon = 0) {
  if (divergence == probability_divergence::total_variation) return emend::abs(p - q);
  return q * log_q_p + (1 - q) * emend::log((1 - q + epsilon) / (1 - p + epsilon));
}

}  // namespace detail

}  // namespace emend
