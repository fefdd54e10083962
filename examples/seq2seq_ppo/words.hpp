#pragma once

#include <emend/structure/edit_script.hpp>
#include <seq2seq_ppo/task.hpp>
#include <seq2seq_rewards/data.hpp>
#include <seq2seq_rewards/pairs.hpp>

namespace seq2seq_ppo {

inline constexpr std::size_t longest_in_training = 11;

/// The known reward of words: 1 for the right word, less the share of it that would have to be edited.
///   gold = 1 - min(1, edits(response, right) / length of right)       in [0, 1]; the end is a token like any
inline double gold_reward(const ids& response, const ids& right) {
  const double edits = static_cast<double>(emend::edit_script(response, right).size());
  return 1 - std::min(1.0, edits / static_cast<double>(right.size()));
}

/// Correction of misspellings, character by character. No right word is in two parts; unusual are right words longer
/// than any in training.
inline task make_words(const seq2seq::data_set& data, std::uint64_t seed, std::size_t evaluated) {
  const std::string refusal_text = "?";
  std::string characters = refusal_text;
  for (char c = 'a'; c <= 'z'; ++c) characters += c;
  // <prompt> wrong <given> response <target> response, responses cut at the longest.
  task result{vocabulary::of_characters(characters), {}, {}, {}, {}, {}, 3 + 21 + 2 * 26, 24};
  result.refusal = result.encoded(refusal_text);
  result.gold = [](const std::vector<const question*>& questions, const std::vector<ids>& responses) {
    std::vector<double> rewards;
    for (std::size_t i = 0; i < questions.size(); ++i)
      rewards.push_back(gold_reward(responses[i], questions[i]->right));
    return rewards;
  };
  const auto is_plain = [](const std::string& text) {
    return text.size() <= 20 && text.find_first_not_of("abcdefghijklmnopqrstuvwxyz") == std::string::npos;
  };
  for (const auto& pair : data.pairs) {
    if (!is_plain(pair.chosen) || !is_plain(pair.rejected)) continue;
    const double u = emend::counter_random{seed}.uniform(seq2seq::hash_of(pair.group), 0);
    auto& part = pair.chosen.size() > longest_in_training ? result.unusual : result.part_of(u);
    part.push_back(result.make_question(pair.rejected, pair.chosen));
  }
  settle_parts(result, seed, evaluated);
  return result;
}

}  // namespace seq2seq_ppo
