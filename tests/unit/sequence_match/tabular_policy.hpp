// A policy that is a table of scores, one row a text, and texts for it to learn.
#pragma once

#include <emend/core/matrix.hpp>
#include <emend/sampling/categorical.hpp>
#include <emend/sequence_match/augment.hpp>
#include <emend/sequence_match/draw_errors.hpp>
#include <emend/sequence_match/train_sequence_match.hpp>

#include <cmath>
#include <cstdint>
#include <map>
#include <vector>

namespace table_of_texts {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using ids = std::vector<index>;

// Tokens 0 (start), 1, 2; actions 1, 2, end 3, backspace 4.
inline constexpr index vocab = 5;
inline const action_ids words{.end = 3, .backspace = 4};

/// A row of logits for each text, and gradient ascent on them.
struct tabular_policy {
  std::map<ids, std::vector<double>> logits, gathered;
  double rate = 0.5;
  int steps = 0, passes = 0;

  std::vector<double>& row(const ids& text) {
    return logits.try_emplace(text, std::vector<double>(static_cast<std::size_t>(vocab), 0.0)).first->second;
  }
  std::vector<double> probabilities(const ids& text) {
    std::vector<double> p = row(text);
    double sum = 0;
    for (double& x : p) sum += x = std::exp(x);
    for (double& x : p) x /= sum;
    return p;
  }

  /// Scores of a forest's rows, and their texts.
  std::pair<matrix<double>, std::vector<ids>> read(const trajectory_forest& forest) {
    ++passes;
    const auto count = static_cast<index>(forest.rows().size());
    std::vector<ids> texts;
    matrix<double> scores(count, vocab);
    for (index k = 0; k < count; ++k) {
      ids text;
      for (index node = forest.rows()[static_cast<std::size_t>(k)]; node >= 0;
           node = forest.parent()[static_cast<std::size_t>(node)])
        text.insert(text.begin(), forest.token()[static_cast<std::size_t>(node)]);
      for (index a = 0; a < vocab; ++a) scores(k, a) = row(text)[static_cast<std::size_t>(a)];
      texts.push_back(text);
    }
    return {scores, texts};
  }
  template <class F>
  void score(const trajectory_forest& forest, F&& f) {
    f(read(forest).first);
  }
  template <class F>
  void differentiate(const trajectory_forest& forest, F&& f) {
    const auto [scores, texts] = read(forest);
    const index count = scores.rows();
    matrix<double> gradient(count, vocab);
    f(scores, gradient);
    for (index k = 0; k < count; ++k) {
      auto& sum = gathered
                      .try_emplace(texts[static_cast<std::size_t>(k)],
                                   std::vector<double>(static_cast<std::size_t>(vocab), 0.0))
                      .first->second;
      for (index a = 0; a < vocab; ++a) sum[static_cast<std::size_t>(a)] += gradient(k, a);
    }
  }
  void step() {
    ++steps;
    for (const auto& [text, slope] : gathered)
      for (std::size_t a = 0; a < slope.size(); ++a) row(text)[a] -= rate * slope[a];
    gathered.clear();
  }
  trajectory write(std::uint64_t seed, std::uint64_t stream, index longest) {
    const counter_random random{seed};
    ids text{0}, done;
    for (index k = 0; k < longest; ++k) {
      const auto& scores = row(text);
      const index a = draw_categorical(scores.data(), vocab, random.uniform(stream, static_cast<std::uint64_t>(k)));
      done.push_back(a);
      if (a == words.end) break;
      if (a != words.backspace)
        text.push_back(a);
      else if (text.size() > 1)
        text.pop_back();
    }
    return rollout_trajectory(ids{0}, done, words);
  }
};
static_assert(trainable_tree_policy<tabular_policy> && scoring_tree_policy<tabular_policy>);

inline const auto sample = [](tabular_policy& policy, index, std::uint64_t seed) {
  std::vector<trajectory> found;
  for (std::uint64_t i = 0; i < 4; ++i) found.push_back(policy.write(seed, i, 12));
  return found;
};
inline const auto none = [](tabular_policy&, index, std::uint64_t) { return std::vector<trajectory>{}; };

/// Texts 1 end, 2 1 end, 1 1 end, with frequencies 1/2, 1/4, 1/4.
inline std::vector<trajectory> texts(double level = 0) {
  std::vector<trajectory> data;
  for (index i = 0; i < 8; ++i) {
    const ids clean = i < 4 ? ids{1, 3} : i < 6 ? ids{2, 1, 3} : ids{1, 1, 3};
    const auto errors = draw_errors(static_cast<index>(clean.size()), uniform_noise{2, 1},
                                    {.level = level, .seed = 9, .stream = static_cast<std::uint64_t>(i)});
    data.push_back(data_trajectory(
        ids{0}, augment_with_errors(clean, errors.run_length, errors.noise_tokens, words.backspace), words));
  }
  return data;
}

}  // namespace table_of_texts
