#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <common/hash.hpp>
#include <common/read_file.hpp>
#include <lm/lm.hpp>
#include <sequence_match/questions.hpp>

namespace sequence_match {

/// Where a text comes from and how it is cut.
struct corpus_options {
  std::string data;  // a text, plain or gzip
  std::string model,
      tokenizer;  // a llama2.c model to start from, and its tokenizer; else pieces are learned from the text
  std::size_t characters = 1500000;  // of the text, at most
  int vocabulary = 512;              // ids, where pieces are learned
  int prompt = 20, length = 60;      // tokens of a passage: given, and written after them
};

/// A text as passages of equal length, one after the other, the last tenth held out.
struct corpus {
  std::vector<ids> training, held_out;
  emend::index vocab = 0, start = 0, end = 0, backspace = 0;
  emend::index first_writable = 0, writable = 0;  // ids that are text: so many, from the first on
  std::function<std::string(const ids&)> decode;
  std::optional<lm::weights<float>> pretrained;  // with a row for the backspace
  std::size_t characters = 0;
};

/// A text on one line: white space as single spaces, underscores (emphasis) left out; of a Project Gutenberg file what
/// its marks enclose.
inline std::string cleaned(std::string text) {
  if (const std::size_t mark = text.find("*** START OF"); mark != std::string::npos)
    if (const std::size_t line = text.find('\n', mark); line != std::string::npos) text.erase(0, line);
  if (const std::size_t mark = text.find("*** END OF"); mark != std::string::npos) text.erase(mark);
  std::string result;
  for (const char c : text) {
    if (c == '_') continue;
    const bool is_space = c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
    if (!is_space)
      result += c;
    else if (!result.empty() && result.back() != ' ')
      result += ' ';
  }
  return result;
}

/// A model with one more id, whose rows are the mean of the others' (the backspace of a pretrained model).
inline lm::weights<float> with_one_more_id(const lm::weights<float>& w) {
  lm::config shape = w.shape();
  ++shape.vocab_size;
  lm::weights<float> larger(shape);
  const std::vector<lm::tensor_info> from = w.tensors(), to = larger.tensors();
  for (std::size_t i = 0; i < from.size(); ++i)
    std::copy_n(w.values().begin() + static_cast<std::ptrdiff_t>(from[i].offset), from[i].size(),
                larger.values().begin() + static_cast<std::ptrdiff_t>(to[i].offset));
  for (auto rows : {larger.token_embedding(), larger.classifier()})
    rows.row(shape.vocab_size - 1) = (rows.topRows(shape.vocab_size - 1).colwise().mean()).eval();
  return larger;
}

/// The start of a text, of at most so many bytes: up to a space, or where a text has none near, up to a whole
/// character.
inline std::string_view start_of(std::string_view text, std::size_t longest) {
  if (text.size() <= longest) return text;
  const std::size_t space = text.rfind(' ', longest);
  const bool is_near = space != std::string_view::npos && longest - space < 1000;
  return text.substr(0, is_near ? space : common::character_border(text, longest));
}

/// Throws std::runtime_error, with the file's name, if a file cannot be read, the text is not UTF-8, has more distinct
/// bytes than the vocabulary has ids, or is too short to hold passages out of.
inline corpus read_corpus(const corpus_options& o) {
  std::string text = cleaned(common::read_text(o.data));
  text.resize(start_of(text, o.characters).size());
  corpus c;
  c.characters = text.size();
  std::vector<int> tokens;
  if (o.model.empty()) {
    const std::size_t needed = 3 + std::set<char>(text.begin(), text.end()).size();
    if (needed > static_cast<std::size_t>(o.vocabulary))
      throw std::runtime_error(o.data + ": needs a --vocabulary of at least " + std::to_string(needed) +
                               ", but it is " + std::to_string(o.vocabulary));
    const auto pieces = std::make_shared<const lm::piece_tokenizer>(
        lm::piece_tokenizer::learn(text, {"<start>", "<end>", "<erase>"}, o.vocabulary));
    c.start = 0, c.end = 1, c.backspace = 2, c.first_writable = 3, c.vocab = pieces->size(), c.writable = c.vocab - 3;
    c.decode = [pieces](const ids& of) { return pieces->decode(std::vector<int>(of.begin(), of.end())); };
    tokens = pieces->encode(text);
  } else {
    c.pretrained = with_one_more_id(lm::read_llama2c(o.model));
    c.vocab = c.pretrained->shape().vocab_size;
    const auto pieces =
        std::make_shared<const lm::tokenizer>(lm::tokenizer::read(o.tokenizer, static_cast<int>(c.vocab) - 1));
    c.start = lm::tokenizer::begin_id, c.end = lm::tokenizer::end_id, c.backspace = c.vocab - 1, c.first_writable = 3,
    c.writable = c.vocab - 4;
    c.decode = [pieces](const ids& of) { return pieces->decode(std::vector<int>(of.begin(), of.end())); };
    if (o.prompt + o.length + 2 > c.pretrained->shape().max_positions)
      throw std::runtime_error(o.model + ": holds " + std::to_string(c.pretrained->shape().max_positions) +
                               " tokens; --prompt and --length are too long for it");
    // Merging takes the square of the length: sentence by sentence, and a longer one in parts.
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t stop = text.find(". ", begin);
      const std::string_view whole =
          std::string_view(text).substr(begin, stop == std::string::npos ? std::string::npos : stop + 1 - begin);
      const std::string_view part = start_of(whole, 4000);
      const std::vector<int> sentence = pieces->encode(part, false);
      tokens.insert(tokens.end(), sentence.begin(), sentence.end());
      begin += part.size();
      if (begin < text.size() && text[begin] == ' ') ++begin;  // encode puts the space before it
    }
  }
  const std::size_t length =
      static_cast<std::size_t>(o.prompt + o.length) + 1;  // one more: what comes next is known where a passage is cut
  std::vector<ids> passages;
  for (std::size_t at = 0; at + length <= tokens.size(); at += length)
    passages.emplace_back(tokens.begin() + static_cast<std::ptrdiff_t>(at),
                          tokens.begin() + static_cast<std::ptrdiff_t>(at + length));
  const std::size_t held_out = passages.size() / 10;
  if (held_out < 2)
    throw std::runtime_error(o.data + ": too short: only " + std::to_string(passages.size()) + " passages of " +
                             std::to_string(length) + " tokens; 20 are wanted");
  c.training.assign(passages.begin(), passages.end() - static_cast<std::ptrdiff_t>(held_out));
  c.held_out.assign(passages.end() - static_cast<std::ptrdiff_t>(held_out), passages.end());
  return c;
}

/// Jane Austen's novels where examples/run puts them; empty if they are not there.
inline std::string find_book() {
  const char* path = "build/austen/austen.txt";
  std::error_code error;
  return std::filesystem::is_regular_file(path, error) ? path : "";
}

}  // namespace sequence_match
