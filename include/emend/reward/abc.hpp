#pragma once

#include <emend/core/layout.hpp>
#include <emend/losses/kl_estimators.hpp>

namespace emend {

/// An attention row averaged over heads.
///   mean_t = (1 / heads) sum_h attention[h, t]
/// attention: [heads, T] flattened, of the reward model's last token over all it attends to -> [T]. Throws
/// std::invalid_argument if the length is no multiple of heads.
inline std::vector<double> mean_over_heads(column attention, index heads) {
  if (heads < 1 || attention.size() % heads != 0)
    detail::fail("heads", "a divisor of " + std::to_string(attention.size()), std::to_string(heads));
  const index length = attention.size() / heads;
  std::vector<double> mean(static_cast<std::size_t>(length), 0);
  for (index h = 0; h < heads; ++h)
    for (index t = 0; t < length; ++t) mean[static_cast<std::size_t>(t)] += attention[h * length + t];
  for (double& x : mean) x /= static_cast<double>(heads);
  return mean;
}

/// The share of each token in its sequence's attention, over the counted (response) tokens.
///   w_t = a_t / sum_s a_s
/// attention: [layout.tokens()], finite and not below 0, of any scale, as `mean_over_heads`; not given: uniform, 1 / T.
/// A sequence whose attention adds up to 0 gets uniform shares. What is not counted is not read. Throws
/// std::invalid_argument on a length that does not fit, or a counted entry that is NaN, infinite or below 0.
template <layout_argument L>
std::vector<double> attention_shares(column attention, const L& layout) {
  if (attention.is_given()) detail::require_length("attention", attention.size(), layout.tokens());
  std::vector<double> share(static_cast<std::size_t>(layout.tokens()), 0);
  for (index b = 0; b < layout.sequences(); ++b) {
    // The sum of fewer than 2^64 entries does not overflow at the second scale.
    double scale = 1, total = 0, length = 0;
    layout.for_each_token(b, [&](index t) {
      length += 1;
      if (!attention.is_given()) return;
      if (const double x = attention[t]; !(x >= 0 && x < detail::infinity))
        detail::fail("attention", "entry " + std::to_string(t) + " finite and not below 0", detail::text_of(x));
      total += attention[t];
    });
    if (!(total < detail::infinity)) {
      scale = 0x1p-64;
      total = 0;
      layout.for_each_token(b, [&](index t) { total += scale * attention[t]; });
    }
    layout.for_each_token(b, [&](index t) {
      share[static_cast<std::size_t>(t)] = total > 0 ? scale * attention[t] / total : 1 / length;
    });
  }
  return share;
}

/// Options of `abc_rewards`.
struct abc_options {
  double beta = 0.5;  ///< the part of the reward that is spread; the rest stays at the end
};

/// Attention-based credit: a sequence's reward spread over its tokens as the reward model attended to them.
///   r_t = beta w_t R + [t last] (1 - beta) R
/// share: [layout.tokens()] (`attention_shares`); reward: [B]. A beta or a share of 0 leaves its term out, and at beta
/// 0 the share is not used. As the score of `token_rewards` it gets its divergence term. Throws std::invalid_argument
/// on a length that does not fit. Chan et al. 2024, arXiv 2402.00782.
template <layout_argument L>
std::vector<double> abc_rewards(column share, column reward, const L& layout, const abc_options& options = {}) {
  detail::require_length("share", share.size(), layout.tokens());
  detail::require_length("reward", reward.size(), layout.sequences());
  std::vector<double> result(static_cast<std::size_t>(layout.tokens()), 0);
  for (index b = 0; b < layout.sequences(); ++b) {
    index last = -1;
    layout.for_each_token(b, [&](index t) {
      result[static_cast<std::size_t>(t)] =
          detail::scaled_or_zero(detail::scaled_or_zero(options.beta, share[t]), reward[b]);
      last = t;
    });
    if (last >= 0) result[static_cast<std::size_t>(last)] += detail::scaled_or_zero(1 - options.beta, reward[b]);
  }
  return result;
}

}  // namespace emend
