#pragma once

#include <emend/core/matrix.hpp>
#include <emend/sampling/sampler.hpp>

namespace emend {

/// The ids among which contrastive search chooses.
struct contrastive_candidates {
  std::vector<index> id;            ///< [k] by descending probability, lower ids first at ties
  std::vector<double> probability;  ///< [k] under the softmax over the whole vocabulary
};

/// The k most probable ids of a row.
/// row: V scores with any stride; k at least 1; with fewer ids above -inf there are fewer. Throws std::invalid_argument
/// on a k below 1, and as `candidates`. Cost: reads the row once, one exponential a score. Su et al. 2022 (arXiv
/// 2202.06417), section 3.2.
template <score_type T>
contrastive_candidates most_probable(const T* row, index vocab, index k, index stride = 1) {
  if (k < 1) detail::fail("k", "at least 1", std::to_string(k));
  const detail::scratch_lease<candidates<arithmetic<T>>> lease;
  candidates<arithmetic<T>>& c = *lease;
  c.assign(row, vocab, stride);
  const double log_z = c.log_z();
  c.keep_largest(k);
  struct entry {
    index id;
    double score;
  };
  std::vector<entry> sorted;  // few: equals of the k-th are all that there can be beyond k
  for (index i = 0; i < c.size(); ++i) {
    const entry e{c.id(i), c.score(i)};
    if (e.score == -detail::infinity) continue;
    if (static_cast<index>(sorted.size()) == k) {
      if (!(e.score > sorted.back().score)) continue;
      sorted.pop_back();
    }
    auto place = sorted.end();
    while (place != sorted.begin() && (place - 1)->score < e.score) --place;
    sorted.insert(place, e);
  }
  contrastive_candidates result;
  for (const entry& e : sorted) {
    result.id.push_back(e.id);
    result.probability.push_back(emend::exp(e.score - log_z));
  }
  return result;
}

namespace detail {

/// A power of two that brings the largest entry of each row near 1: squares of scaled entries neither overflow nor
/// vanish. 1 for a row of zeros. Throws std::invalid_argument on an entry that is not finite.
template <score_type T>
std::vector<double> row_scales(const char* argument, const matrix<T>& rows) {
  std::vector<double> scale;
  for (index i = 0; i < rows.rows(); ++i) {
    double largest = 0;
    for (index j = 0; j < rows.columns(); ++j) {
      const double x = static_cast<double>(static_cast<arithmetic<T>>(rows(i, j)));
      if (x - x != 0) fail(argument, "entry (" + std::to_string(i) + ", " + std::to_string(j) + ") finite", text_of(x));
      largest = emend::max(largest, emend::abs(x));
    }
    const int exponent = largest > 0 ? __builtin_ilogb(largest) : 0;
    // 2^1023 is the largest power; the smallest numbers become 2^-51.
    scale.push_back(__builtin_ldexp(1.0, exponent < -1023 ? 1023 : -exponent));
  }
  return scale;
}

}  // namespace detail

/// What `contrastive_choice` returns.
struct contrastive_result {
  index selected = 0;           ///< which candidate, the first of equals
  std::vector<double> penalty;  ///< [k] largest cosine with the context
  std::vector<double> score;    ///< [k]
};

/// The candidate that is probable and unlike what stands already.
///   penalty_i = max_j cos(h_i, h_j),   score_i = (1 - alpha) p_i - alpha penalty_i,   selected = argmax_i score_i
/// probability: [k]; candidate_hidden: [k, d], the model's last hidden state after each candidate; context_hidden: [n,
/// d], those of the text so far; alpha in [0, 1]. Without context the penalty is 0; a hidden state of length 0 has
/// cosine 0 with all. Cosines are right at every finite length. Throws std::invalid_argument on an extent that does not
/// fit, no candidate, another alpha, or a probability or hidden state that is not finite. Cost: k n d. Su et al. 2022,
/// equation 5.
template <score_type T>
contrastive_result contrastive_choice(column probability, const matrix<T>& candidate_hidden,
                                      const matrix<T>& context_hidden, double alpha = 0.6) {
  const index k = probability.size();
  if (k < 1) detail::fail("probability", "at least one candidate", "none");
  if (!(alpha >= 0 && alpha <= 1)) detail::fail("alpha", "a number in [0, 1]", std::to_string(alpha));
  detail::require_length("candidate_hidden", candidate_hidden.rows(), k);
  if (context_hidden.rows() > 0)
    detail::require_length("a row of context_hidden", context_hidden.columns(), candidate_hidden.columns());
  for (index i = 0; i < k; ++i)
    if (const double p = probability[i]; p - p != 0)
      detail::fail("probability", "entry " + std::to_string(i) + " finite", detail::text_of(p));
  const std::vector<double> candidate_scale = detail::row_scales("candidate_hidden", candidate_hidden),
                            context_scale = detail::row_scales("context_hidden", context_hidden);
  const index d = candidate_hidden.columns();
  const auto product = [&](const T* a, double scale_a, const T* b, double scale_b) {
    double sum = 0;
    for (index i = 0; i < d; ++i)
      sum += scale_a * static_cast<double>(static_cast<arithmetic<T>>(a[i])) *
             (scale_b * static_cast<double>(static_cast<arithmetic<T>>(b[i])));
    return sum;
  };
  std::vector<double> length;
  for (index j = 0; j < context_hidden.rows(); ++j) {
    const double scale = context_scale[static_cast<std::size_t>(j)];
    length.push_back(emend::sqrt(product(context_hidden.row(j), scale, context_hidden.row(j), scale)));
  }
  contrastive_result result;
  for (index i = 0; i < k; ++i) {
    const double scale = candidate_scale[static_cast<std::size_t>(i)];
    const double own = emend::sqrt(product(candidate_hidden.row(i), scale, candidate_hidden.row(i), scale));
    double penalty = context_hidden.rows() > 0 ? -detail::infinity : 0;
    for (index j = 0; j < context_hidden.rows(); ++j) {
      const double lengths = own * length[static_cast<std::size_t>(j)];
      const double cosine = lengths > 0 ? product(candidate_hidden.row(i), scale, context_hidden.row(j),
                                                  context_scale[static_cast<std::size_t>(j)]) /
                                              lengths
                                        : 0;
      penalty = cosine > penalty ? cosine : penalty;
    }
    result.penalty.push_back(penalty);
    result.score.push_back((1 - alpha) * probability[i] - alpha * penalty);
    if (result.score.back() > result.score[static_cast<std::size_t>(result.selected)]) result.selected = i;
  }
  return result;
}

}  // namespace emend
