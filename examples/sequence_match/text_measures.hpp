#pragma once

#include <map>

#include <emend/evaluation/statistics.hpp>
#include <emend/metrics/mauve.hpp>
#include <emend/metrics/text_intervals.hpp>
#include <sequence_match/corpus.hpp>
#include <sequence_match/tree_policy.hpp>

namespace sequence_match {

/// How a set of texts compares with another of people.
struct text_measures {
  double mauve = 0, mauve_star = 0;
  emend::interval entropy, diversity;  // of word pairs; of n-grams of words, 2 to 4
};

/// Texts as numbered words, for the n-gram measures.
class numbered_words {
 public:
  void add(const std::string& text) {
    std::size_t begin = 0;
    while (begin < text.size()) {
      std::size_t end = text.find(' ', begin);
      if (end == std::string::npos) end = text.size();
      if (end > begin)
        words_.push_back(number_.try_emplace(text.substr(begin, end - begin), static_cast<emend::index>(number_.size()))
                             .first->second);
      begin = end + 1;
    }
    offsets_.push_back(static_cast<emend::index>(words_.size()));
  }
  const std::vector<emend::index>& words() const { return words_; }
  emend::ragged layout() const { return emend::ragged(offsets_); }

 private:
  std::map<std::string, emend::index> number_;
  std::vector<emend::index> words_, offsets_{0};
};

/// Features of continuations: the mean over their tokens of a model's last hidden state, after the prompts. [texts,
/// dim] The reference implementation takes the last token's alone; of a small model's that says little beyond the last
/// word.
inline emend::matrix<double> features_of(const lm::weights<float>& w, const std::vector<ids>& prompts,
                                         const std::vector<ids>& continuations) {
  const Eigen::Index dim = w.shape().dim;
  emend::matrix<double> features(static_cast<emend::index>(prompts.size()), static_cast<emend::index>(dim));
  lm::workspace<float> memory;
  for (std::size_t p = 0; p < prompts.size(); ++p) {
    std::vector<int> text(prompts[p].begin(), prompts[p].end());
    text.insert(text.end(), continuations[p].begin(), continuations[p].end());
    if (continuations[p].empty()) continue;
    lm::batch one;
    one.add_sequence(text, static_cast<int>(prompts[p].size()));
    lm::forward(w, one, memory, {.wants_logits = false});
    const auto hidden = memory.hidden();
    for (Eigen::Index r = 0; r < hidden.rows(); ++r)
      for (Eigen::Index k = 0; k < dim; ++k)
        features(static_cast<emend::index>(p), static_cast<emend::index>(k)) +=
            static_cast<double>(hidden(r, k)) / static_cast<double>(hidden.rows());
  }
  return features;
}

inline text_measures measure_texts(const corpus& c, const lm::weights<float>& features, const std::vector<ids>& prompts,
                                   const std::vector<ids>& human, const std::vector<ids>& written, std::uint64_t seed) {
  text_measures m;
  const emend::mauve_result mauve = emend::mauve(
      features_of(features, prompts, human), features_of(features, prompts, written), {.clustering = {.seed = seed}});
  m.mauve = mauve.mauve;
  m.mauve_star = mauve.mauve_star;
  numbered_words words;
  for (const ids& text : written) words.add(c.decode(text));
  const emend::bootstrap_options resampled{.resamples = 200, .seed = seed};
  m.entropy = emend::measure_ngram_intervals(words.words(), words.layout(), 2, resampled).entropy;
  m.diversity = emend::diversity_interval(words.words(), words.layout(), resampled);
  return m;
}

/// Perplexity per token of what follows the prompts in held-out passages.
inline emend::interval held_out_perplexity(const lm::weights<float>& w, const std::vector<ids>& prompts,
                                           const std::vector<ids>& human, std::uint64_t seed) {
  std::vector<double> log_prob;
  std::vector<emend::index> offsets{0};
  lm::workspace<float> memory;
  for (std::size_t p = 0; p < prompts.size(); ++p) {
    std::vector<int> text(prompts[p].begin(), prompts[p].end());
    text.insert(text.end(), human[p].begin(), human[p].end() - 1);
    lm::batch one;
    one.add_sequence(text, static_cast<int>(prompts[p].size()) - 1);
    lm::forward(w, one, memory);
    const auto of = emend::statistics(memory.logits(), human[p]);
    log_prob.insert(log_prob.end(), of.log_prob.begin(), of.log_prob.end());
    offsets.push_back(static_cast<emend::index>(log_prob.size()));
  }
  return emend::perplexity_interval(log_prob, emend::ragged(offsets), {.resamples = 500, .seed = seed});
}

}  // namespace sequence_match
