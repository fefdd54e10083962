#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <unordered_map>

#include <emend/eigen.hpp>
#include <emend/evaluation/statistics.hpp>
#include <seq2seq_ppo/task.hpp>
#include <seq2seq_rewards/data.hpp>

namespace seq2seq_ppo {

/// How likely a sentence is after another to a language model of characters that no policy ever sees:
///   exp(mean over the characters of the sentence of log p(character | what stands before it))       in (0, 1)
/// Remembers what it was asked: the same responses are judged again and again. Safe to call from several threads.
class likelihood_judge {
 public:
  likelihood_judge(const std::string& model, const std::string& tokenizer)
      : weights_(lm::read_llama2c(model)), tokenizer_(lm::tokenizer::read(tokenizer, weights_.shape().vocab_size)) {}

  struct sentence_after {
    std::string before, sentence;
  };
  std::vector<double> operator()(const std::vector<sentence_after>& asked) const {
    std::vector<std::string> keys;
    std::vector<std::size_t> unknown;
    {
      const std::lock_guard lock(mutex_);
      for (std::size_t i = 0; i < asked.size(); ++i) {
        keys.push_back(asked[i].before + '\n' + asked[i].sentence);
        if (!known_.contains(keys[i])) unknown.push_back(i);
      }
    }
    lm::workspace<float> memory;
    for (std::size_t first = 0; first < unknown.size(); first += 16) {
      lm::batch packed;
      std::vector<emend::index> targets, lengths;
      const std::size_t last = std::min(unknown.size(), first + 16);
      for (std::size_t k = first; k < last; ++k) add(asked[unknown[k]], packed, targets, lengths);
      lm::forward(weights_, packed, memory);
      const std::vector<double> log_prob = emend::statistics(memory.logits(), targets).log_prob;
      const std::lock_guard lock(mutex_);
      std::size_t token = 0;
      for (std::size_t k = first; k < last; ++k) {
        double sum = 0;
        const auto length = static_cast<std::size_t>(lengths[k - first]);
        for (std::size_t i = 0; i < length; ++i) sum += log_prob[token++];
        known_[keys[unknown[k]]] = std::exp(sum / static_cast<double>(length));
      }
    }
    const std::lock_guard lock(mutex_);
    std::vector<double> result;
    for (const std::string& key : keys) result.push_back(known_.at(key));
    return result;
  }

 private:
  void add(const sentence_after& of, lm::batch& packed, std::vector<emend::index>& targets,
           std::vector<emend::index>& lengths) const {
    const std::vector<int> before = tokenizer_.encode(of.before);
    std::vector<int> whole = tokenizer_.encode(of.before + " " + of.sentence);
    whole.resize(std::min(whole.size(), static_cast<std::size_t>(weights_.shape().max_positions)));
    std::size_t begin = 0;
    while (begin < before.size() && begin + 1 < whole.size() && before[begin] == whole[begin]) ++begin;
    targets.insert(targets.end(), whole.begin() + static_cast<std::ptrdiff_t>(begin), whole.end());
    lengths.push_back(static_cast<emend::index>(whole.size() - begin));
    packed.add_sequence(std::span(whole).first(whole.size() - 1), static_cast<int>(begin) - 1);
  }
  lm::weights<float> weights_;
  lm::tokenizer tokenizer_;
  mutable std::mutex mutex_;
  mutable std::unordered_map<std::string, double> known_;
};

/// Two sentences that follow each other, and the paragraph that they are of.
struct neighbours {
  std::string first, second;
  std::uint64_t paragraph = 0;
};

/// The neighbouring sentences of a text. A sentence ends with . ! or ?, a quotation mark after it included, before
/// white space; a paragraph with an empty line, or with any line break where lines are whole paragraphs.
inline std::vector<neighbours> neighbouring_sentences(const std::string& text, bool are_lines_wrapped) {
  std::vector<neighbours> result;
  std::string sentence, previous;
  std::uint64_t paragraph = 0;
  const auto close = [&] {
    while (!sentence.empty() && sentence.back() == ' ') sentence.pop_back();
    if (sentence.empty()) return;
    if (!previous.empty()) result.push_back({previous, sentence, paragraph});
    previous = std::move(sentence);
    sentence.clear();
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool is_space = c == ' ' || c == '\n' || c == '\r' || c == '\t';
    if (!is_space) {
      sentence += c;
      continue;
    }
    const bool is_break =
        c == '\n' && (!are_lines_wrapped || (i + 1 < text.size() && (text[i + 1] == '\n' || text[i + 1] == '\r')));
    const std::size_t mark = sentence.find_last_not_of("\"'");
    if (mark != std::string::npos && sentence.find_last_of(".!?") == mark)
      close();
    else if (is_break)
      sentence.clear();
    else if (!sentence.empty() && sentence.back() != ' ')
      sentence += ' ';
    if (is_break) {
      previous.clear();
      ++paragraph;
    }
  }
  return result;
}

/// The files that the task reads, in a folder laid out like this.
struct story_files {
  std::string model, tokenizer, judge, judge_tokenizer, stories, unusual;
  explicit story_files(const std::filesystem::path& folder)
      : model((folder / "models/stories260K/stories260K.bin").string()),
        tokenizer((folder / "models/stories260K/tok512.bin").string()),
        judge((folder / "models/charllama361/charllama361.bin").string()),
        judge_tokenizer((folder / "models/charllama361/tok361.bin").string()),
        stories((folder / "text/tinystories_train.txt.gz").string()),
        unusual((folder / "text/gutenberg_bronte.txt.gz").string()) {
    for (const std::string* file : {&model, &tokenizer, &judge, &judge_tokenizer, &stories, &unusual})
      if (!std::filesystem::is_regular_file(*file))
        throw std::runtime_error("the task of stories wants the file " + *file + "; give --data its folder");
  }
};

/// Continuation of stories: the prompt is a sentence, the response the next one. The first policy comes from a small
/// trained model of stories, the known reward from another one, of characters: `likelihood_judge`, and 0 for an empty
/// response, a refusal, or one without an end. No paragraph is in two parts; unusual are sentences of a novel.
inline task make_stories(const story_files& files, std::shared_ptr<const likelihood_judge> judge, std::uint64_t seed,
                         std::size_t evaluated) {
  lm::weights<float> model = lm::read_llama2c(files.model);
  constexpr int longest = 36;
  task result{vocabulary::of_tokenizer(files.tokenizer, model.shape().vocab_size),
              {},
              {},
              {},
              {},
              {},
              3 + 3 * (longest + 1),
              longest};
  if (model.shape().max_positions < result.max_positions)
    throw std::runtime_error(files.model + " reads " + std::to_string(model.shape().max_positions) +
                             " positions; the task wants " + std::to_string(result.max_positions));
  result.pretrained.emplace(seq2seq::with_more_tokens(model, 3, seed));
  result.refusal = result.encoded("I do not know.");
  const auto add = [&](const std::string& text, bool are_lines_wrapped, auto&& part_of) {
    const std::size_t longest_text = result.v.longest_text(longest);
    for (const neighbours& pair : neighbouring_sentences(text, are_lines_wrapped)) {
      if (std::max(pair.first.size(), pair.second.size()) > longest_text) continue;
      question q = result.make_question(pair.first, pair.second);
      if (q.asked.size() <= longest && q.right.size() <= longest) part_of(pair).push_back(std::move(q));
    }
  };
  const emend::counter_random random{seed};
  add(common::read_text(files.stories), false,
      [&](const neighbours& pair) -> auto& { return result.part_of(random.uniform(pair.paragraph, 0)); });
  add(common::read_text(files.unusual), true, [&](const neighbours&) -> auto& { return result.unusual; });
  settle_parts(result, seed, evaluated);
  result.gold = [judge, v = result.v, refusal = result.refusal](const std::vector<const question*>& questions,
                                                                const std::vector<ids>& responses) {
    std::vector<double> rewards(questions.size(), 0);
    std::vector<likelihood_judge::sentence_after> asked;
    std::vector<std::size_t> number;
    const auto text = [&](const ids& tokens) { return v.decode({tokens.begin(), tokens.end()}); };
    for (std::size_t i = 0; i < questions.size(); ++i) {
      const ids& response = responses[i];
      if (response.size() < 2 || response.back() != v.end_id() || response == refusal || text(response).empty())
        continue;
      asked.push_back({text(questions[i]->asked), text(response)});
      number.push_back(i);
    }
    const std::vector<double> found = (*judge)(asked);
    for (std::size_t k = 0; k < found.size(); ++k) rewards[number[k]] = found[k];
    return rewards;
  };
  return result;
}

}  // namespace seq2seq_ppo
