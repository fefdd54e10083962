#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <emend/core/random.hpp>
#include <seq2seq_rewards/vocabulary.hpp>

namespace seq2seq_ppo {

using seq2seq::vocabulary;
using ids = std::vector<emend::index>;

/// What a policy is asked, and what is right. `right` is known to the gold reward and to nobody who trains on
/// preferences.
struct question {
  ids prompt;        // <prompt> asked <target>
  ids asked, right;  // both with the end
};

/// How a response ends: by this id, or after so many tokens.
struct response_end {
  emend::index id = 0;
  int longest = 0;  // the end included
};

/// Something to be learned from preferences: four parts of the questions, the models' vocabulary, and the known reward.
struct task {
  vocabulary v;
  std::vector<question> sft;         // the policy before reinforcement learning is trained on these, with what is right
  std::vector<question> preference;  // prompts of the preference pairs and of PPO
  std::vector<question> held_out;    // prompts like them, never seen
  std::vector<question> unusual;     // prompts out of distribution
  ids refusal;                       // the stock response that explains nothing, with the end
  int max_positions = 0;
  int longest_response = 0;
  /// The known reward of a response to each question, in [0, 1], never shown to training.
  std::function<std::vector<double>(const std::vector<const question*>&, const std::vector<ids>&)> gold = {};
  /// What the first policy is trained from; none: random weights.
  std::optional<lm::weights<float>> pretrained = {};

  emend::index end_id() const { return v.end_id(); }
  response_end end() const { return {end_id(), longest_response}; }
  std::string text(const ids& tokens) const { return v.decode({tokens.begin(), tokens.end()}); }

  question make_question(const std::string& asked, const std::string& right) const {
    question q{{v.form().prompt_separator}, encoded(asked), encoded(right)};
    q.prompt.insert(q.prompt.end(), q.asked.begin(), q.asked.end() - 1);
    q.prompt.push_back(v.form().target_separator);
    return q;
  }
  ids encoded(const std::string& text) const {
    const std::vector<int> tokens = v.encode_response(text);
    return {tokens.begin(), tokens.end()};
  }
  /// The part of a question like those of training, by a number in [0, 1) of its group.
  std::vector<question>& part_of(double u) { return u < 0.08 ? held_out : u < 0.5 ? sft : preference; }
};

/// What `make` returns; what it throws says the data's name before anything else.
template <class Make>
task task_of(const std::string& name, Make&& make) {
  try {
    return make();
  } catch (const std::runtime_error& error) {
    const std::string what = error.what();
    throw std::runtime_error(what.find(name) == std::string::npos ? name + ": " + what : what);
  }
}

/// Shuffles every part, as texts have an order, and keeps the front of those that are evaluated.
inline void settle_parts(task& t, std::uint64_t seed, std::size_t evaluated) {
  std::uint64_t stream = 1;
  for (auto* part : {&t.sft, &t.preference, &t.held_out, &t.unusual}) {
    const emend::counter_random random{seed};
    for (std::size_t i = part->size(); i > 1; --i)
      std::swap((*part)[i - 1],
                (*part)[static_cast<std::size_t>(random.below(static_cast<emend::index>(i), stream, i))]);
    ++stream;
  }
  for (auto* part : {&t.held_out, &t.unusual}) part->resize(std::min(part->size(), evaluated));
  if (t.sft.empty() || t.preference.empty() || t.held_out.empty() || t.unusual.empty())
    throw std::runtime_error(
        "too little data: the task needs some for the first policy, for preferences, and to evaluate on");
}

}  // namespace seq2seq_ppo
