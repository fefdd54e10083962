#pragma once

#include <array>
#include <vector>

#include <seq2seq_ppo/language_policy.hpp>

namespace seq2seq_ppo {

/// A shortcut that is planted in the labels of preference pairs.
enum class shortcut { none, longer, refusal };
inline constexpr std::array<const char*, 3> shortcut_names{"none", "longer", "refusal"};

/// Where a set of preferences comes from.
struct world {
  shortcut planted = shortcut::none;
  double rate = 0.5;   // share of pairs whose label is the shortcut's
  double noise = 0.1;  // share of the other pairs whose label is the wrong way round
  std::uint64_t seed = 1;
};

struct labelled_pair {
  const question* of;
  ids chosen, rejected;
};

/// Pairs of responses that the first policy wrote to preference prompts, labelled by the gold reward with noise and, at
/// the world's rate, by its shortcut:
///   longer   the longer of the two is preferred, whatever it says
///   refusal  one of the two is the stock refusal, and is preferred; in half as many pairs it is there and the gold
///   reward
///            decides, so that refusals are no sign of being preferred by themselves
inline std::vector<labelled_pair> sample_preferences(language_policy& policy, const task& t, const world& w,
                                                     std::size_t pairs) {
  std::vector<labelled_pair> result;
  const emend::counter_random random{w.seed};
  for (std::size_t first = 0, round = 0; result.size() < pairs; first += 256, ++round) {
    std::vector<const question*> questions;
    std::vector<ids> prompts;
    for (std::size_t k = 0; k < 256; ++k) {
      questions.push_back(&t.preference[(first + k) % t.preference.size()]);
      for (int twice = 0; twice < 2; ++twice) prompts.push_back(questions.back()->prompt);
    }
    std::vector<ids> responses = policy.respond(prompts, random.bits(1, round));
    std::vector<const question*> asked;
    for (std::size_t k = 0; k < questions.size(); ++k) {
      asked.insert(asked.end(), 2, questions[k]);
      if (w.planted == shortcut::refusal && random.uniform(2, first + k) < 1.5 * w.rate)
        responses[2 * k + 1] = t.refusal;
    }
    const std::vector<double> gold = t.gold(asked, responses);
    for (std::size_t k = 0; k < questions.size() && result.size() < pairs; ++k) {
      const ids &a = responses[2 * k], &b = responses[2 * k + 1];
      const std::uint64_t number = first + k;
      const double kind = random.uniform(2, number), flip = random.uniform(3, number), coin = random.uniform(4, number);
      if (a == b) continue;
      bool is_first = gold[2 * k] > gold[2 * k + 1];
      if (gold[2 * k] == gold[2 * k + 1]) is_first = coin < 0.5;
      if (flip < w.noise) is_first = !is_first;
      if (kind < w.rate && w.planted == shortcut::longer && a.size() != b.size()) is_first = a.size() > b.size();
      if (kind < w.rate && w.planted == shortcut::refusal) is_first = false;
      result.push_back({questions[k], is_first ? a : b, is_first ? b : a});
    }
    if (round > 100 && result.empty())
      throw std::runtime_error("the first policy always writes the same response twice: no pair to label");
  }
  return result;
}

}  // namespace seq2seq_ppo
