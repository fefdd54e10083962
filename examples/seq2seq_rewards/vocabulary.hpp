#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include <emend/core/random.hpp>
#include <emend/reward/seq2seq_examples.hpp>
#include <lm/lm.hpp>

namespace seq2seq {

/// How text becomes ids: characters, or the tokens of a llama2.c model with three separators after them.
class vocabulary {
 public:
  /// The characters of a text. Throws std::invalid_argument if it is not UTF-8.
  static vocabulary of_characters(std::string_view text) {
    return vocabulary(lm::character_tokenizer(text, {"<prompt>", "<given>", "<target>", "<end>"}));
  }
  static vocabulary of_tokenizer(const std::string& path, int vocab_size) {
    return vocabulary(lm::tokenizer::read(path, vocab_size));
  }
  /// What `save` gave. A vocabulary of a llama2.c model needs its tokenizer's file again.
  static vocabulary load(const nlohmann::json& saved, const std::string& tokenizer_path) {
    if (saved.contains("characters"))
      return vocabulary(lm::character_tokenizer::from_text(saved.at("characters").get<std::string>()));
    if (tokenizer_path.empty())
      throw std::runtime_error("the checkpoint is of a llama2.c model: give its --tokenizer too");
    return of_tokenizer(tokenizer_path, saved.at("tokens").get<int>());
  }
  nlohmann::json save() const {
    if (const auto* t = characters()) return {{"characters", t->to_text()}};
    return {{"tokens", tokens().vocab_size()}};
  }

  int size() const { return characters() ? characters()->vocab_size() : tokens().vocab_size() + 3; }
  int end_id() const { return characters() ? characters()->special("<end>") : lm::tokenizer::end_id; }
  emend::seq2seq_template form() const {
    if (characters()) return {0, 1, 2};
    const emend::index first = tokens().vocab_size();
    return {first, first + 1, first + 2};
  }

  /// Whether the text can be encoded.
  bool knows(std::string_view text) const {
    if (!characters()) return true;
    try {
      return characters()->knows(text);
    } catch (const std::invalid_argument&) {
      return false;
    }
  }
  /// No text of more bytes has at most so many ids: encoding a long text takes the square of its length.
  std::size_t longest_text(int ids) const {
    return static_cast<std::size_t>(ids) * (characters() ? 4 : std::max<std::size_t>(1, tokens().longest_piece()));
  }
  /// The text's ids, without an end.
  std::vector<int> encode(std::string_view text) const {
    return characters() ? characters()->encode(text) : tokens().encode(text, false, false);
  }
  std::vector<int> encode_response(std::string_view text) const {
    std::vector<int> ids = encode(text);
    ids.push_back(end_id());
    return ids;
  }
  /// The text of the ids; special ones are left out.
  std::string decode(const std::vector<int>& ids) const {
    if (characters()) return characters()->decode(ids);
    std::vector<int> plain;
    for (int id : ids)
      if (id < tokens().vocab_size()) plain.push_back(id);
    std::string text = tokens().decode(plain);
    if (text.starts_with(' ')) text.erase(0, 1);  // the tokenizer's own space before every text
    return text;
  }
  /// One id as a reader sees it, on one line: control characters, which a terminal would obey, and bytes that are no
  /// character by themselves have a picture instead.
  std::string piece(int id) const {
    const std::string raw = raw_piece(id);
    return raw.size() == 1 && static_cast<unsigned char>(raw[0]) > 127 ? "\u00b7" : on_one_line(raw);
  }

  static std::string on_one_line(const std::string& text) {
    std::string result;
    for (const char c : text)
      if (c == '\n')
        result += "\u21b5";
      else if (c == '\t')
        result += "\u21e5";
      else if (static_cast<unsigned char>(c) < ' ' || c == 127)
        result += "\u00b7";
      else
        result += c;
    return result;
  }

 private:
  std::string raw_piece(int id) const {
    if (id == end_id()) return "<end>";
    const auto form_ids = form();
    if (id == form_ids.prompt_separator) return "<prompt>";
    if (id == form_ids.given_separator) return "<given>";
    if (id == form_ids.target_separator) return "<target>";
    return characters() ? characters()->decode({id}) : tokens().decode(-1, id);
  }
  explicit vocabulary(lm::character_tokenizer t) : tokenizer_(std::move(t)) {}
  explicit vocabulary(lm::tokenizer t) : tokenizer_(std::move(t)) {}
  const lm::character_tokenizer* characters() const { return std::get_if<lm::character_tokenizer>(&tokenizer_); }
  const lm::tokenizer& tokens() const { return std::get<lm::tokenizer>(tokenizer_); }

  std::variant<lm::character_tokenizer, lm::tokenizer> tokenizer_;
};

/// The same model with more rows in its embedding (and classifier), random at the spread of those that there are.
inline lm::weights<float> with_more_tokens(const lm::weights<float>& w, int more, std::uint64_t seed) {
  lm::config c = w.shape();
  c.vocab_size += more;
  lm::weights<float> result(c);
  const auto from = w.tensors(), to = result.tensors();
  for (std::size_t t = 0; t < from.size(); ++t) {
    const auto old = w.values().subspan(from[t].offset, from[t].size());
    const auto grown = result.values().subspan(to[t].offset, to[t].size());
    std::copy(old.begin(), old.end(), grown.begin());
    if (grown.size() == old.size()) continue;
    double squares = 0;
    for (float x : old) squares += static_cast<double>(x) * static_cast<double>(x);
    const double spread = std::sqrt(3 * squares / static_cast<double>(old.size()));  // of a uniform number
    for (std::size_t i = old.size(); i < grown.size(); ++i)
      grown[i] = static_cast<float>(spread * (2 * emend::counter_random{seed}.uniform(t, i) - 1));
  }
  return result;
}

}  // namespace seq2seq
