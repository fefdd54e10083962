#pragma once

#include <emend/core/layout.hpp>
#include <emend/evaluation/evaluate_numbers.hpp>
#include <emend/structure/edit_script.hpp>

namespace emend {

/// Labels of a response and its revision for a token discriminator, -1: not trained on.
struct tlcr_labels {
  std::vector<index> source, revised;
};

/// Labels from a reviser's minimal edits: what it took away is bad, what it brought in is good.
///   source token   0 where it is deleted or substituted, -1 where it is kept
///   revised token  1 where it is inserted or substituted in, -1 where it is kept
/// source, revised: ids. Yoon et al. 2024 (TLCR), arXiv 2407.16574.
inline tlcr_labels tlcr_labels_of(id_column source, id_column revised) {
  tlcr_labels labels{std::vector<index>(static_cast<std::size_t>(source.size()), -1),
                     std::vector<index>(static_cast<std::size_t>(revised.size()), -1)};
  for (const edit& e : edit_script(source, revised)) {
    if (e.kind != edit_kind::insertion) labels.source[static_cast<std::size_t>(e.source)] = 0;
    if (e.kind != edit_kind::deletion) labels.revised[static_cast<std::size_t>(e.target)] = 1;
  }
  return labels;
}

/// Binary cross-entropy of the discriminator over the labelled tokens.
///   loss = -(1 / n) sum_t [label_t = 1] log sigmoid(x_t) + [label_t = 0] log sigmoid(-x_t)
/// logit, label: [N], label -1: not counted. normaliser: n of the whole batch; 0: that of these tokens. No labelled
/// token: 0. Throws std::invalid_argument on a length or label that does not fit.
inline number_evaluation tlcr_loss(column logit, id_column label, double normaliser = 0) {
  detail::require_length("label", label.size(), logit.size());
  std::vector<char> mask(static_cast<std::size_t>(logit.size()));
  double labelled = 0;
  for (index t = 0; t < label.size(); ++t) {
    if (label[t] < -1 || label[t] > 1) detail::fail("label", "-1, 0 or 1", std::to_string(label[t]));
    mask[static_cast<std::size_t>(t)] = label[t] >= 0;
    labelled += label[t] >= 0 ? 1 : 0;
  }
  detail::require_not_negative("normaliser", normaliser);
  if (normaliser == 0) normaliser = labelled > 0 ? labelled : 1;
  return evaluate_values(
      [&]<class R>(const number<R>& x) { return -emend::log_sigmoid(label[x.position] == 1 ? x.value : R(-x.value)); },
      logit, {.mask = mask, .normaliser = normaliser});
}

/// Token-level continuous rewards: the discriminator's confidence.
///   s_t = 2 sigmoid(x_t) - 1
/// logit: [layout.tokens()]; 0 where a token is not counted. Throws std::invalid_argument on a length that does not
/// fit.
template <layout_argument L>
std::vector<double> tlcr_rewards(column logit, const L& layout) {
  detail::require_length("logit", logit.size(), layout.tokens());
  std::vector<double> result(static_cast<std::size_t>(layout.tokens()), 0);
  for (index b = 0; b < layout.sequences(); ++b)
    layout.for_each_token(b, [&](index t) { result[static_cast<std::size_t>(t)] = emend::tanh(0.5 * logit[t]); });
  return result;
}

}  // namespace emend
