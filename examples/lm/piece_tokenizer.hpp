#pragma once

#include <algorithm>
#include <array>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace lm {

/// Pieces of words, learned from a text by byte-pair merges inside its words (Sennrich et al. 2016).
/// A word is a run of letters and bytes beyond ASCII, with the space before it; every other byte is a word of its own.
/// A run of more than 64 bytes (writing without spaces) is several words: merging takes the square of a word's length.
/// Ids: special tokens, the bytes of the text it was learned from, then the merged pieces in the order of merging.
class piece_tokenizer {
 public:
  /// Merges the most frequent pair (the lowest ids among equals) until there are `size` ids, or no pair comes twice.
  /// Throws std::invalid_argument if the special tokens and the bytes are more than size. Cost: size times the text's
  /// distinct words.
  static piece_tokenizer learn(std::string_view text, std::vector<std::string> special, int size) {
    piece_tokenizer t;
    t.special_ = static_cast<int>(special.size());
    t.pieces_ = std::move(special);
    std::array<bool, 256> has_byte{};
    for (const char c : text) has_byte[static_cast<unsigned char>(c)] = true;
    t.byte_.fill(-1);
    for (std::size_t b = 0; b < 256; ++b)
      if (has_byte[b]) {
        t.byte_[b] = t.size();
        t.pieces_.emplace_back(1, static_cast<char>(b));
      }
    if (t.size() > size)
      throw std::invalid_argument("lm::piece_tokenizer: size must be at least " + std::to_string(t.size()) +
                                  ", the special tokens and bytes, but is " + std::to_string(size));
    std::map<std::string, long long, std::less<>> words;
    for_each_word(text, [&](std::string_view word) { ++words.try_emplace(std::string(word), 0).first->second; });
    std::vector<std::pair<std::vector<int>, long long>> parts;
    for (const auto& [word, count] : words) parts.emplace_back(t.bytes_of(word), count);
    std::vector<long long> count(static_cast<std::size_t>(size) * static_cast<std::size_t>(size));
    while (t.size() < size) {
      std::fill(count.begin(), count.end(), 0);
      const auto place = [&](int a, int b) {
        return static_cast<std::size_t>(a) * static_cast<std::size_t>(size) + static_cast<std::size_t>(b);
      };
      for (const auto& [part, times] : parts)
        for (std::size_t i = 0; i + 1 < part.size(); ++i) count[place(part[i], part[i + 1])] += times;
      const std::size_t best = static_cast<std::size_t>(std::max_element(count.begin(), count.end()) - count.begin());
      if (count[best] < 2) break;
      const int a = static_cast<int>(best / static_cast<std::size_t>(size)),
                b = static_cast<int>(best % static_cast<std::size_t>(size));
      t.merged_[{a, b}] = t.size();
      for (auto& [part, times] : parts) merge(part, a, b, t.size());
      t.pieces_.push_back(t.pieces_[static_cast<std::size_t>(a)] + t.pieces_[static_cast<std::size_t>(b)]);
    }
    return t;
  }

  int size() const { return static_cast<int>(pieces_.size()); }
  const std::string& piece(int id) const { return pieces_.at(static_cast<std::size_t>(id)); }

  /// Throws std::invalid_argument on a byte that the learned text had not.
  std::vector<int> encode(std::string_view text) const {
    std::unordered_map<std::string_view, std::vector<int>> known;
    std::vector<int> ids;
    for_each_word(text, [&](std::string_view word) {
      const auto [found, is_new] = known.try_emplace(word);
      if (is_new) found->second = encode_word(word);
      ids.insert(ids.end(), found->second.begin(), found->second.end());
    });
    return ids;
  }
  /// Text of the ids; special tokens are left out. Throws std::out_of_range on an id out of range.
  std::string decode(const std::vector<int>& ids) const {
    std::string text;
    for (const int id : ids)
      if (id >= special_ || id < 0) text += piece(id);
    return text;
  }

 private:
  static constexpr std::size_t longest_word = 64;

  template <class F>
  static void for_each_word(std::string_view text, F&& f) {
    const auto is_letter = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || static_cast<unsigned char>(c) >= 128;
    };
    for (std::size_t begin = 0; begin < text.size();) {
      std::size_t end = begin + 1;
      if (is_letter(text[begin]) || (text[begin] == ' ' && end < text.size() && is_letter(text[end])))
        while (end < text.size() && is_letter(text[end]) && end - begin < longest_word) ++end;
      f(text.substr(begin, end - begin));
      begin = end;
    }
  }
  static void merge(std::vector<int>& part, int a, int b, int into) {
    std::size_t to = 0;
    for (std::size_t i = 0; i < part.size(); ++i) {
      const bool is_pair = part[i] == a && i + 1 < part.size() && part[i + 1] == b;
      part[to++] = is_pair ? into : part[i];
      if (is_pair) ++i;
    }
    part.resize(to);
  }
  std::vector<int> bytes_of(std::string_view word) const {
    std::vector<int> ids;
    for (const char c : word) {
      const int id = byte_[static_cast<unsigned char>(c)];
      if (id < 0)
        throw std::invalid_argument("lm::piece_tokenizer: the byte " + std::to_string(static_cast<unsigned char>(c)) +
                                    " is not in the vocabulary");
      ids.push_back(id);
    }
    return ids;
  }
  std::vector<int> encode_word(std::string_view word) const {
    std::vector<int> ids = bytes_of(word);
    for (;;) {  // merges in the order in which they were learned
      auto best = merged_.end();
      for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
        const auto found = merged_.find({ids[i], ids[i + 1]});
        if (found != merged_.end() && (best == merged_.end() || found->second < best->second)) best = found;
      }
      if (best == merged_.end()) return ids;
      merge(ids, best->first.first, best->first.second, best->second);
    }
  }

  int special_ = 0;
  std::vector<std::string> pieces_;
  std::array<int, 256> byte_{};
  std::map<std::pair<int, int>, int> merged_;
};

}  // namespace lm
