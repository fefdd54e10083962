#pragma once

#include <emend/core/layout.hpp>
#include <emend/evaluation/evaluate.hpp>

namespace emend {

/// Likelihood of the wanted ids and unlikelihood of the unwanted ones, as a loss per term.
///   loss_i = -log_prob_i                                          where is_unwanted_i is 0
///          = -alpha log max(1 - exp(log_prob_i), clamp_min)       elsewhere [nats]
/// is_unwanted: [M]. clamp_min in [0, 1): 0 for none; below it there is no gradient. A term of unwanted probability 1
/// without clamp is infinite. Throws std::invalid_argument if the length is not M, on alpha below 0 or another
/// clamp_min. Welleck et al. 2020 (arXiv 1908.04319), equations 4 and 5.
struct unlikelihood {
  column is_unwanted;
  double alpha = 1;
  double clamp_min = 0;

  static constexpr bool uses_entropy = false;

  void check(index terms) const {
    detail::require_length("is_unwanted", is_unwanted.size(), terms);
    detail::require_not_negative("alpha", alpha);
    if (!(clamp_min >= 0 && clamp_min < 1)) detail::fail("clamp_min", "a number in [0, 1)", std::to_string(clamp_min));
  }
  template <class R>
  constexpr R operator()(const token<R>& t) const {
    const R rest = -emend::expm1(t.log_prob);
    const R unwanted = alpha == 0 ? R(0)
                                  : emend::select(rest > R(clamp_min), R(-alpha * emend::log(rest)),
                                                  R(-alpha * emend::log(clamp_min)));
    return emend::select(t.number(is_unwanted) == 0, -t.log_prob, unwanted);
  }
};

/// Ids and the rows that score them: several terms may read one row.
struct unlikelihood_terms {
  std::vector<index> id, row;     ///< [M]
  std::vector<char> is_unwanted;  ///< [M]
};

/// Where the text before each sequence stands, for `token_unlikelihood_terms`; empty: none.
struct unlikelihood_prefixes {
  id_column ids = {};
  id_column offsets = {};  ///< [sequences + 1]
};

/// Terms of token-level unlikelihood: every target, and for each what stood before it.
///   unwanted at t: the set of the ids in the prefix and in the target before t, without target t
/// target: [layout.tokens()]; row t scores target t. Throws std::invalid_argument on a length that does not fit.
/// Cost: the distinct ids before each token, added up. Welleck et al. 2020, section 5.1.
template <layout_argument L>
unlikelihood_terms token_unlikelihood_terms(id_column target, const L& layout,
                                            const unlikelihood_prefixes& prefixes = {}) {
  detail::require_length("target", target.size(), layout.tokens());
  if (!prefixes.offsets.is_given() && prefixes.ids.is_given())
    detail::fail("prefixes.offsets", std::to_string(layout.sequences() + 1) + " entries", "none");
  if (prefixes.offsets.is_given()) {
    const ragged texts(prefixes.offsets);
    detail::require_length("prefixes.offsets", texts.sequences(), layout.sequences());
    detail::require_length("prefixes.ids", prefixes.ids.size(), texts.tokens());
  }
  unlikelihood_terms terms;
  const auto add = [&](index id, index row, bool is_unwanted) {
    terms.id.push_back(id);
    terms.row.push_back(row);
    terms.is_unwanted.push_back(is_unwanted);
  };
  std::vector<index> before;  // distinct, in the order of their first place
  const auto remember = [&](index id) {
    for (const index known : before)
      if (known == id) return;
    before.push_back(id);
  };
  for (index b = 0; b < layout.sequences(); ++b) {
    before.clear();
    if (prefixes.offsets.is_given())
      for (index k = prefixes.offsets[b]; k < prefixes.offsets[b + 1]; ++k) remember(prefixes.ids[k]);
    layout.for_each_token(b, [&](index t) {
      add(target[t], t, false);
      for (const index id : before)
        if (id != target[t]) add(id, t, true);
      remember(target[t]);
    });
  }
  return terms;
}

/// Terms of sequence-level unlikelihood over text that the model wrote: the tokens of n-grams that the sequence had
/// already.
///   unwanted at t: text_t, if it is part of an n-gram that stands in the same sequence before
/// text: [layout.tokens()]; row t scores text_t; n at least 1. No term is wanted. Throws std::invalid_argument on a
/// length that does not fit or another n. Cost: n times the square of a sequence's length at most. Welleck et al. 2020,
/// section 5.2 (n = 4).
template <layout_argument L>
unlikelihood_terms sequence_unlikelihood_terms(id_column text, const L& layout, index n = 4) {
  detail::require_length("text", text.size(), layout.tokens());
  if (n < 1) detail::fail("n", "at least 1", std::to_string(n));
  unlikelihood_terms terms;
  std::vector<index> own;
  std::vector<char> is_repeated;
  for (index b = 0; b < layout.sequences(); ++b) {
    own.clear();
    layout.for_each_token(b, [&](index t) { own.push_back(t); });
    const index length = static_cast<index>(own.size());
    is_repeated.assign(own.size(), 0);
    const auto id = [&](index i) { return text[own[static_cast<std::size_t>(i)]]; };
    for (index i = 1; i < length && n <= length - i; ++i) {
      bool is_known = false;
      for (index j = 0; j < i && !is_known; ++j) {
        index same = 0;
        while (same < n && id(i + same) == id(j + same)) ++same;
        is_known = same == n;
      }
      for (index k = 0; is_known && k < n; ++k) is_repeated[static_cast<std::size_t>(i + k)] = 1;
    }
    for (index i = 0; i < length; ++i) {
      if (!is_repeated[static_cast<std::size_t>(i)]) continue;
      terms.id.push_back(id(i));
      terms.row.push_back(own[static_cast<std::size_t>(i)]);
      terms.is_unwanted.push_back(1);
    }
  }
  return terms;
}

/// Options of `unlikelihood_loss`.
struct unlikelihood_options {
  double alpha = 1;
  double clamp_min = 0;
  double normaliser = 1;  ///< explicit: the number of tokens of the whole batch for a mean over them
  score_transform transform = {};
  instruction_set instructions = instruction_set::best;
};

/// What `unlikelihood_loss` returns; value = likelihood + alpha unlikelihood, each divided by the normaliser.
template <class G>
struct unlikelihood_result {
  double value = 0, likelihood = 0, unlikelihood = 0;
  G gradient;
};

/// Loss of some terms and its gradient with respect to the scores.
///   value = (1 / normaliser) [ sum over wanted of -log p  +  alpha sum over unwanted of -log max(1 - p, clamp_min) ]
/// x: scores [N, V]; without a term the value and the gradient are 0. Throws std::invalid_argument on a row or id out
/// of range, or if the columns of the terms differ in length. Cost: reads the rows once, writes the gradient once,
/// however many terms read a row.
template <scores X, executor E = const sequential>
unlikelihood_result<gradient_type<X>> unlikelihood_loss(const X& x, const unlikelihood_terms& terms,
                                                        const unlikelihood_options& options = {},
                                                        E&& executor = sequential{}) {
  const auto count = static_cast<index>(terms.id.size());
  detail::require_length("terms.row", static_cast<index>(terms.row.size()), count);
  detail::require_length("terms.is_unwanted", static_cast<index>(terms.is_unwanted.size()), count);
  // No rows would mean that every term reads its own: one that is masked says that there is none.
  static constexpr index no_term = 0;
  const bool is_empty = count == 0;
  const id_column id = is_empty ? id_column(&no_term, 1) : id_column(terms.id),
                  row = is_empty ? id_column(&no_term, 1) : id_column(terms.row);
  const column none(&no_term, 1), is_unwanted = is_empty ? none : column(terms.is_unwanted);
  std::vector<double> per_term;
  auto all = evaluate(unlikelihood{is_unwanted, options.alpha, options.clamp_min}, x, id,
                      evaluation_options{.mask = is_empty ? none : column(),
                                         .rows = row,
                                         .normaliser = options.normaliser,
                                         .transform = options.transform,
                                         .per_token = &per_term,
                                         .instructions = options.instructions},
                      executor);
  unlikelihood_result<gradient_type<X>> result{.value = all.value, .gradient = std::move(all.gradient)};
  for (std::size_t i = 0; i < terms.id.size(); ++i)
    (terms.is_unwanted[i] ? result.unlikelihood : result.likelihood) += per_term[i] / options.normaliser;
  if (options.alpha > 0) result.unlikelihood /= options.alpha;
  return result;
}

}  // namespace emend
