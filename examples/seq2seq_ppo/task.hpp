#pragma once

#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include <emend/core/random.hpp>
#include <emend/structure/edit_script.hpp>
#include <seq2seq_rewards/data.hpp>
#include <seq2seq_rewards/pairs.hpp>
#include <seq2seq_rewards/vocabulary.hpp>

namespace seq2seq_ppo {

using seq2seq::vocabulary;
using ids = std::vector<emend::index>;

/// A misspelling, as the prompt of a policy, and what is right. `right` is known to the gold reward and to nobody who trains
/// on preferences.
struct word {
  ids prompt;  // <prompt> misspelling <target>
  ids wrong, right;  // both with the end
};

/// Correction of misspellings: four parts of the words, by what is right, so that no word is in two of them.
struct task {
  vocabulary v;
  std::vector<word> sft;         // the policy before reinforcement learning is trained on these, with what is right
  std::vector<word> preference;  // prompts of the preference pairs and of PPO
  std::vector<word> held_out;    // prompts like them, never seen
  std::vector<word> unusual;     // prompts out of distribution: right words longer than any in training
  ids refusal;                   // the stock response that explains nothing, with the end
  int max_positions = 0;

  emend::index end_id() const { return v.end_id(); }
  std::string text(const ids& tokens) const { return v.decode({tokens.begin(), tokens.end()}); }
};

inline constexpr std::size_t longest_in_training = 11;
inline constexpr const char* refusal_text = "?";

/// The known reward, never shown to training: 1 for the right word, less the share of it that would have to be edited.
///   gold = 1 - min(1, edits(response, right) / length of right)       in [0, 1]; the end is a token like any
inline double gold_reward(const ids& response, const ids& right) {
  const double edits = static_cast<double>(emend::edit_script(response, right).size());
  return 1 - std::min(1.0, edits / static_cast<double>(right.size()));
}

inline task make_task(const seq2seq::data_set& data, std::uint64_t seed, std::size_t evaluated) {
  std::string characters = refusal_text;
  std::vector<seq2seq::preference> pairs = data.pairs;
  std::erase_if(pairs, [](const seq2seq::preference& p) {
    return p.chosen.size() > 20 || p.rejected.size() > 20 || p.chosen.find_first_not_of("abcdefghijklmnopqrstuvwxyz") != std::string::npos ||
           p.rejected.find_first_not_of("abcdefghijklmnopqrstuvwxyz") != std::string::npos;
  });
  for (char c = 'a'; c <= 'z'; ++c) characters += c;
  task result{vocabulary::of_characters(characters), {}, {}, {}, {}, {}, 0};
  const auto encoded = [&](const std::string& text) {
    const std::vector<int> tokens = result.v.encode_response(text);
    return ids(tokens.begin(), tokens.end());
  };
  result.refusal = encoded(refusal_text);
  const emend::seq2seq_template form = result.v.form();
  for (const auto& pair : pairs) {
    word w{{form.prompt_separator}, encoded(pair.rejected), encoded(pair.chosen)};
    w.prompt.insert(w.prompt.end(), w.wrong.begin(), w.wrong.end() - 1);
    w.prompt.push_back(form.target_separator);
    const double u = emend::counter_random{seed}.uniform(seq2seq::hash_of(pair.group), 0);
    auto& part = pair.chosen.size() > longest_in_training ? result.unusual
                 : u < 0.08                               ? result.held_out
                 : u < 0.5                                ? result.sft
                                                          : result.preference;
    part.push_back(std::move(w));
  }
  // The order of a dictionary is alphabetical: every part is shuffled, and what is evaluated is the front of it.
  std::uint64_t stream = 1;
  for (auto* part : {&result.sft, &result.preference, &result.held_out, &result.unusual}) {
    const emend::counter_random random{seed};
    for (std::size_t i = part->size(); i > 1; --i)
      std::swap((*part)[i - 1], (*part)[static_cast<std::size_t>(random.below(static_cast<emend::index>(i), stream, i))]);
    ++stream;
  }
  for (auto* part : {&result.held_out, &result.unusual}) part->resize(std::min(part->size(), evaluated));
  if (result.sft.empty() || result.preference.empty() || result.held_out.empty() || result.unusual.empty())
    throw std::runtime_error("too few words: the task needs some for the first policy, for preferences, and to evaluate on");
  // <prompt> wrong <given> response <target> response, responses cut at longest_response.
  result.max_positions = 3 + 21 + 2 * 26;
  return result;
}

/// Longest response that a policy may write, the end included.
inline constexpr int longest_response = 24;

}  // namespace seq2seq_ppo
