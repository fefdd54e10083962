// Measures of text, and distances between token sequences.

#include "vector_case.hpp"

namespace golden {
namespace {

std::string ngrams(vector_case& c) {
  const auto tokens = c.input("tokens").ids(), offsets = c.input("offsets").ids();
  const emend::ragged layout(offsets);
  for (emend::index n = 1; n <= 4; ++n) {
    const auto of = emend::measure_ngrams(tokens, layout, n);
    const std::string number = std::to_string(n);
    c.expect("entropy_" + number, of.entropy);
    c.expect("distinct_" + number + "_pooled", of.distinct_pooled);
    c.expect("distinct_" + number, of.distinct);
    std::vector<double> repetition;
    for (const double d : of.distinct) repetition.push_back(1 - d);
    c.expect("rep_" + number, repetition);
    c.expect("rep_" + number + "_mean", of.repetition_mean);
  }
  const auto diversity = emend::measure_diversity(tokens, layout);
  c.expect("diversity", diversity.per_sequence);
  c.expect("diversity_mean", diversity.mean);
  c.expect("diversity_pooled", diversity.pooled);
  return {};
}

std::string perplexity(vector_case& c) {
  const array log_prob = c.input("log_prob");
  const std::vector<double> mask = c.input("mask").data;
  const auto result = emend::perplexity(log_prob.data, emend::padded(log_prob.rows(), log_prob.columns(), mask));
  c.expect("perplexity", result.value);
  c.expect("perplexity_per_sequence", result.per_sequence);
  return {};
}

std::string win_rate(vector_case& c) {
  const double wins = c.input("wins").data[0], ties = c.input("ties").data[0], losses = c.input("losses").data[0];
  const emend::share share = emend::wilson_interval(wins + ties / 2, wins + ties + losses, c.parameter("z"));
  c.expect("win_rate", share.value);
  c.expect("low", share.low);
  c.expect("high", share.high);
  return {};
}

std::string edit(vector_case& c) {
  const auto source = c.input("source").ids(), target = c.input("target").ids();
  c.expect("levenshtein", static_cast<double>(emend::levenshtein_distance(source, target)));
  c.expect("editops_count", static_cast<double>(emend::edit_script(source, target).size()));
  c.expect("lcs_length", static_cast<double>(emend::longest_common_subsequence(source, target)));
  c.expect("indel", static_cast<double>(emend::indel_distance(source, target)));
  c.expect("weighted_1_1_2", emend::weighted_edit_distance(source, target, {1, 1, 2}));
  if (c.has_output("weighted_1_2_2"))
    c.expect("weighted_1_2_2", emend::weighted_edit_distance(source, target, {1, 2, 2}));
  return {};
}

const known_group known[] = {
    {"metrics/ngrams", ngrams},
    {"metrics/perplexity", perplexity},
    {"metrics/win_rate", win_rate},
    {"alignment/edit", edit},
};

}  // namespace
}  // namespace golden
