#pragma once

#include <emend/core/column.hpp>
#include <emend/core/id_column.hpp>
#include <emend/core/scratch_lease.hpp>
#include <emend/sampling/candidates.hpp>

namespace emend {

/// A step that makes scores into the distribution that is drawn from: it removes ids or changes scores.
///
/// Valid expressions, with `p` a const P and `c` a candidates<A>&, A float and double:
///   p(c)   removes ids of c, or changes their scores; leaves at least one id
/// Models: the values below, and any lambda: `[](auto& c) { c.keep_if([](emend::index id, double) { return id % 2 == 0;
/// }); }`. What the compiler cannot check: that the result depends on c alone, not on earlier calls.
template <class P>
concept score_processor = requires(const P& p, candidates<float>& single, candidates<double>& twice) {
  p(single);
  p(twice);
};

/// Scores divided by a temperature: x / t.
/// t: not below 0; at 0, and below 1e-6, the highest score alone is left, of equals the lowest id; at infinity all
/// scores above -inf are equal. Throws std::invalid_argument on another number. Cost: none of
/// its own.
struct temperature_scaling {
  double temperature = 1;

  template <class A>
  void operator()(candidates<A>& c) const {
    detail::require_not_negative("temperature", temperature);
    if (temperature < 1e-6)
      c.keep_highest();
    else if (temperature != 1)
      c.scale(1 / temperature);
  }
};

namespace detail {

inline void require_minimum(index min_tokens_to_keep) {
  if (min_tokens_to_keep < 0) fail("min_tokens_to_keep", "a number not below 0", std::to_string(min_tokens_to_keep));
}

}  // namespace detail

/// The k highest scores, and what equals the last of them.
///   keep x_j >= k-th largest x,   k = max(k, min_tokens_to_keep)
/// k: 0 is no limit, and from the number of ids on it keeps all, too. keeps_exactly_k: of what equals the k-th only the
/// lowest ids are kept, so that k are left. Throws std::invalid_argument on a number below 0.
/// Cost: reads what can be among the k, a few hundred scores, a second time. Fan et al. 2018; convention: transformers'
/// TopKLogitsWarper keeps equals, llama.cpp and torch.topk keep k; 0 as in the generation of transformers and
/// llama.cpp.
struct top_k_filter {
  index k = 50;
  index min_tokens_to_keep = 1;
  bool keeps_exactly_k = false;

  template <class A>
  void operator()(candidates<A>& c) const {
    if (k < 0) detail::fail("k", "at least 1, or 0 for no limit", std::to_string(k));
    detail::require_minimum(min_tokens_to_keep);
    if (k > 0) c.keep_largest(k > min_tokens_to_keep ? k : min_tokens_to_keep, keeps_exactly_k);
  }
};

/// The fewest highest scores whose probability reaches p (the nucleus), what equals the last of them, and the
/// min_tokens_to_keep best.
///   keep x_j if sum_{k: x_k > x_j} p_k < p
/// p in [0, 1]: 0 keeps the best alone, 1 everything. A sum that is below p by no more than
/// `candidates<A>::rounding` has reached it: of .5 .3 .1 .1, p = .8 keeps two. Throws std::invalid_argument on another
/// number.
/// Cost: one exponential a score, then what is not surely outside is parted by buckets; no sort. Holtzman et al. 2020;
/// transformers' TopPLogitsWarper, which parts equals by chance.
struct top_p_filter {
  double p = 1;
  index min_tokens_to_keep = 1;

  template <class A>
  void operator()(candidates<A>& c) const {
    if (!(p >= 0 && p <= 1)) detail::fail("p", "a number in [0, 1]", std::to_string(p));
    detail::require_minimum(min_tokens_to_keep);
    if (p < 1) c.keep_share(p, min_tokens_to_keep);
  }
};

/// What is at least a share of the most probable: keep p_j >= min_p max p, and the min_tokens_to_keep best.
/// min_p in [0, 1]. Equal up to rounding is at least. Throws std::invalid_argument on another number. Cost: no
/// exponential, reads what is kept a second time. Nguyen et al. 2024; transformers' MinPLogitsWarper.
struct min_p_filter {
  double min_p = 0;
  index min_tokens_to_keep = 1;

  template <class A>
  void operator()(candidates<A>& c) const {
    if (!(min_p >= 0 && min_p <= 1)) detail::fail("min_p", "a number in [0, 1]", std::to_string(min_p));
    detail::require_minimum(min_tokens_to_keep);
    if (min_p > 0) c.keep_within(-emend::log(min_p), min_tokens_to_keep);
  }
};

/// The ids whose information is nearest to the entropy H, up to a probability of p, and the min_tokens_to_keep nearest.
///   order by |-log p_j - H| ascending; keep the shortest prefix that reaches p, and all as near as its last
/// p in [0, 1]; 1 keeps everything; a sum that is below p by no more than `candidates<A>::rounding` has reached it.
/// Throws std::invalid_argument on another number. Cost: as top_p_filter, over all
/// ids. Meister et al. 2023; transformers' TypicalLogitsWarper.
struct typical_filter {
  double p = 1;
  index min_tokens_to_keep = 1;

  template <class A>
  void operator()(candidates<A>& c) const {
    if (!(p >= 0 && p <= 1)) detail::fail("p", "a number in [0, 1]", std::to_string(p));
    detail::require_minimum(min_tokens_to_keep);
    if (p < 1) c.keep_typical(p, min_tokens_to_keep);
  }
};

/// What has a probability of at least epsilon, and the min_tokens_to_keep best.
/// epsilon in [0, 1]. Equal up to rounding is at least. Throws std::invalid_argument on another number. Cost: one
/// exponential a score. Hewitt et al. 2022; transformers' EpsilonLogitsWarper.
struct epsilon_filter {
  double epsilon = 0;
  index min_tokens_to_keep = 1;

  template <class A>
  void operator()(candidates<A>& c) const {
    if (!(epsilon >= 0 && epsilon <= 1)) detail::fail("epsilon", "a number in [0, 1]", std::to_string(epsilon));
    detail::require_minimum(min_tokens_to_keep);
    if (epsilon > 0) c.keep_within(-c.log_z_above_maximum() - emend::log(epsilon), min_tokens_to_keep);
  }
};

/// The same with a bound that falls where the distribution is flat: keep p_j >= min(eta, sqrt(eta) exp(-H)).
/// eta in [0, 1]. Equal up to rounding is at least. Throws std::invalid_argument on another number. Cost: one
/// exponential a score, and the entropy. Hewitt et al. 2022; transformers' EtaLogitsWarper.
struct eta_filter {
  double eta = 0;
  index min_tokens_to_keep = 1;

  template <class A>
  void operator()(candidates<A>& c) const {
    if (!(eta >= 0 && eta <= 1)) detail::fail("eta", "a number in [0, 1]", std::to_string(eta));
    detail::require_minimum(min_tokens_to_keep);
    if (eta == 0) return;
    const double log_eta = emend::log(eta), falling = log_eta / 2 - c.entropy();
    c.keep_within(-c.log_z_above_maximum() - (log_eta < falling ? log_eta : falling), min_tokens_to_keep);
  }
};

namespace detail {

/// Memory of the penalties: the ids so far, each once.
struct penalty_scratch {
  std::vector<index> ids, counts;
};

}  // namespace detail

/// Makes what the text has already less probable.
///   each distinct id of `previous`:  x < 0: x penalty,  else x / penalty
/// penalty above 0; above 1 it discourages. Throws std::invalid_argument on another number or a previous id outside the
/// vocabulary. Cost: a copy of the row. Keskar et al. 2019; transformers' RepetitionPenaltyLogitsProcessor.
struct repetition_penalty {
  double penalty = 1;

  template <class A>
  void operator()(candidates<A>& c) const {
    detail::require_positive("penalty", penalty);
    if (penalty == 1 || c.previous().empty()) return;
    const detail::scratch_lease<detail::penalty_scratch> lease;
    auto& [ids, counts] = *lease;
    c.count_previous(ids, counts);
    c.change(ids, [&](index, double x) { return x < 0 ? x * penalty : x / penalty; });
  }
};

/// The penalties of presence and of frequency: x - presence - frequency * (times that the id stands in `previous`), for
/// ids that do. Any finite numbers; negative ones encourage. Throws std::invalid_argument on another number or a
/// previous id outside the vocabulary. Cost: a copy of the row. The two penalties of OpenAI's interface.
struct count_penalty {
  double presence = 0, frequency = 0;

  template <class A>
  void operator()(candidates<A>& c) const {
    if (!(emend::abs(presence) < detail::infinity))
      detail::fail("presence", "a finite number", std::to_string(presence));
    if (!(emend::abs(frequency) < detail::infinity))
      detail::fail("frequency", "a finite number", std::to_string(frequency));
    if (c.previous().empty()) return;
    const detail::scratch_lease<detail::penalty_scratch> lease;
    auto& [ids, counts] = *lease;
    c.count_previous(ids, counts);
    c.change(ids, [&](index k, double x) {
      return x - presence - frequency * static_cast<double>(counts[static_cast<std::size_t>(k)]);
    });
  }
};

/// A number added to the scores of some ids; -infinity forbids them.
/// ids, amount: [K]. Throws std::invalid_argument if the lengths differ, on an id outside the vocabulary, or if no id
/// is left. Cost: a copy of the row.
struct score_bias {
  id_column ids;
  column amount;

  template <class A>
  void operator()(candidates<A>& c) const {
    detail::require_length("amount", amount.size(), ids.size());
    if (!ids.empty()) c.change(ids, [&](index k, double x) { return x + amount[k]; });
  }
};

/// Forbids every id that would complete an n-gram that `previous` has already.
/// n at least 1; n = 1 forbids every id of `previous`. Throws std::invalid_argument on another n, a previous id outside
/// the vocabulary, or if no id is left. Cost: a copy of the row, and n times the length of `previous`. Transformers'
/// NoRepeatNGramLogitsProcessor.
struct no_repeat_ngram_filter {
  index n = 3;

  template <class A>
  void operator()(candidates<A>& c) const {
    if (n < 1) detail::fail("n", "at least 1", std::to_string(n));
    const id_column& text = c.previous();
    const detail::scratch_lease<detail::penalty_scratch> lease;
    auto& ids = (*lease).ids;
    ids.clear();
    for (index end = n - 1; end < text.size(); ++end) {
      bool is_repeated = true;
      for (index k = 1; k < n && is_repeated; ++k) is_repeated = text[end - k] == text[text.size() - k];
      if (is_repeated) ids.push_back(text[end]);
    }
    if (!ids.empty()) c.change(ids, [](index, double) { return -detail::infinity; });
  }
};

static_assert(score_processor<temperature_scaling> && score_processor<top_k_filter> && score_processor<top_p_filter> &&
              score_processor<min_p_filter> && score_processor<typical_filter> && score_processor<epsilon_filter> &&
              score_processor<eta_filter> && score_processor<repetition_penalty> && score_processor<count_penalty> &&
              score_processor<score_bias> && score_processor<no_repeat_ngram_filter>);

}  // namespace emend
