#pragma once

#include <algorithm>
#include <cstdint>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <common/read_file.hpp>
#include <common/utf8.hpp>
#include <common/write_file.hpp>

namespace lm {

/// One id a character (Unicode code point, UTF-8). Special tokens come first, in the order given; then the characters
/// of the text that it was built from, by code point.
class character_tokenizer {
 public:
  character_tokenizer() = default;

  /// Throws std::invalid_argument if the text is not UTF-8 or a special token is empty, holds white space or comes
  /// twice.
  character_tokenizer(std::string_view text, std::vector<std::string> special) : special_(std::move(special)) {
    std::set<std::string> names;
    for (const std::string& name : special_) {
      if (name.empty() || name.find_first_of(" \t\r\n") != std::string::npos)
        throw std::invalid_argument("lm::character_tokenizer: a special token must be one word, but is '" + name + "'");
      if (!names.insert(name).second)
        throw std::invalid_argument("lm::character_tokenizer: the special token " + name + " comes twice");
    }
    std::set<char32_t> points;
    for_each_point(text, [&](char32_t point) { points.insert(point); });
    characters_.assign(points.begin(), points.end());
    index();
  }

  int vocab_size() const { return static_cast<int>(special_.size() + characters_.size()); }

  /// Id of a special token. Throws std::invalid_argument if there is none of that name.
  int special(std::string_view name) const {
    for (std::size_t i = 0; i < special_.size(); ++i)
      if (special_[i] == name) return static_cast<int>(i);
    throw std::invalid_argument("lm::character_tokenizer: there is no special token " + std::string(name));
  }
  bool is_special(int id) const { return id >= 0 && id < static_cast<int>(special_.size()); }

  /// Whether encode knows every character. Throws nothing but what broken UTF-8 throws.
  bool knows(std::string_view text) const {
    bool known = true;
    for_each_point(text, [&](char32_t point) { known = known && ids_.contains(point); });
    return known;
  }

  /// Throws std::invalid_argument naming the first character that it does not know.
  std::vector<int> encode(std::string_view text) const {
    std::vector<int> ids;
    for_each_point(text, [&](char32_t point) {
      const auto found = ids_.find(point);
      if (found == ids_.end())
        throw std::invalid_argument("lm::character_tokenizer: the character '" + utf8(point) +
                                    "' is not in the vocabulary");
      ids.push_back(found->second);
    });
    return ids;
  }

  /// Text of the ids; special tokens are left out. Throws std::invalid_argument on an id out of range.
  std::string decode(const std::vector<int>& ids) const {
    std::string text;
    for (int id : ids) {
      if (id < 0 || id >= vocab_size())
        throw std::invalid_argument("lm::character_tokenizer: id " + std::to_string(id) + " is outside 0.." +
                                    std::to_string(vocab_size() - 1));
      if (!is_special(id)) text += utf8(characters_[static_cast<std::size_t>(id) - special_.size()]);
    }
    return text;
  }

  /// One line of text a token, for save, load and checkpoints: "special NAME" or "character NUMBER".
  std::string to_text() const {
    std::ostringstream out;
    out << "character_tokenizer 1\n";
    for (const auto& name : special_) out << "special " << name << '\n';
    for (char32_t point : characters_) out << "character " << static_cast<std::uint32_t>(point) << '\n';
    out << "end\n";
    return out.str();
  }
  /// Throws std::runtime_error if this is not what to_text wrote.
  static character_tokenizer from_text(const std::string& text) {
    std::istringstream in(text);
    character_tokenizer t;
    std::string word;
    int version = 0;
    if (!(in >> word >> version) || word != "character_tokenizer" || version != 1)
      throw std::runtime_error("lm::character_tokenizer: this is not a saved character tokenizer");
    while (in >> word && word != "end") {
      std::string name;
      std::uint32_t point = 0;
      if (word == "special" && t.characters_.empty() && in >> name &&
          std::find(t.special_.begin(), t.special_.end(), name) == t.special_.end())
        t.special_.push_back(name);
      else if (word == "character" && in >> point && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff) &&
               (t.characters_.empty() || t.characters_.back() < static_cast<char32_t>(point)))
        t.characters_.push_back(static_cast<char32_t>(point));
      else
        throw std::runtime_error("lm::character_tokenizer: entry " + std::to_string(t.vocab_size()) + " is malformed");
    }
    if (word != "end") throw std::runtime_error("lm::character_tokenizer: the text ends before its end mark");
    t.index();
    return t;
  }
  /// Throws std::runtime_error if the file cannot be written; one that was there is then as it was.
  void save(const std::string& path) const { common::write_whole(path, to_text()); }
  /// Throws std::runtime_error, with the file's name, if it cannot be read or is not what save wrote.
  static character_tokenizer load(const std::string& path) {
    const std::string text = common::read_bytes(path);
    try {
      return from_text(text);
    } catch (const std::runtime_error& error) {
      throw std::runtime_error(path + ": " + error.what());
    }
  }

 private:
  template <class F>
  static void for_each_point(std::string_view text, F f) {
    if (const std::size_t end = common::for_each_point(text, f); end != text.size())
      throw std::invalid_argument("lm::character_tokenizer: the text is not UTF-8 at byte " + std::to_string(end));
  }
  static std::string utf8(char32_t point) {
    auto byte = [](char32_t value) { return static_cast<char>(static_cast<unsigned char>(value)); };
    if (point < 0x80) return {byte(point)};
    if (point < 0x800) return {byte(0xc0 | point >> 6), byte(0x80 | (point & 0x3f))};
    if (point < 0x10000)
      return {byte(0xe0 | point >> 12), byte(0x80 | (point >> 6 & 0x3f)), byte(0x80 | (point & 0x3f))};
    return {byte(0xf0 | point >> 18), byte(0x80 | (point >> 12 & 0x3f)), byte(0x80 | (point >> 6 & 0x3f)),
            byte(0x80 | (point & 0x3f))};
  }
  void index() {
    for (std::size_t i = 0; i < characters_.size(); ++i) ids_[characters_[i]] = static_cast<int>(special_.size() + i);
  }

  std::vector<std::string> special_;
  std::vector<char32_t> characters_;
  std::unordered_map<char32_t, int> ids_;
};

}  // namespace lm
