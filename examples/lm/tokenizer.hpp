#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <common/read_file.hpp>

namespace lm {

/// The tokenizer of llama2.c: byte-pair merges by score, a space before the text, bytes where a character is unknown.
/// Ids: 0 unknown, 1 begin, 2 end, and where the vocabulary has them 3..258 the bytes. Results equal run.c's.
class tokenizer {
 public:
  static constexpr int begin_id = 1, end_id = 2;

  /// Reads tokenizer.bin: int32 longest token, then vocab_size times float32 score, int32 length, the bytes.
  /// Throws std::runtime_error, one line with the file's name, if the file cannot be read, does not hold just that many
  /// tokens, or holds a length or a score that is not possible.
  static tokenizer read(const std::string& path, int vocab_size) {
    const auto fail = [&](const std::string& what) { throw std::runtime_error(path + ": " + what); };
    const std::string bytes = common::read_bytes(path);
    const std::string wanted = std::to_string(vocab_size) + " tokens";
    if (vocab_size < 3) fail("cannot be the tokenizer of a model of " + wanted + "; at least 3 are wanted");
    std::size_t at = 0;
    auto load = [&](auto& value) {
      if (bytes.size() - at < sizeof value) fail("ends before the last of " + wanted);
      std::memcpy(&value, bytes.data() + at, sizeof value);
      at += sizeof value;
    };
    tokenizer t;
    std::int32_t longest = 0;
    load(longest);
    if (longest < 1 || longest > 65536)
      fail("is no tokenizer of llama2.c: it states a longest token of " + std::to_string(longest) + " bytes");
    for (int id = 0; id < vocab_size; ++id) {
      float score = 0;
      std::int32_t length = 0;
      load(score);
      load(length);
      if (!std::isfinite(score)) fail("states a score that is not finite for token " + std::to_string(id));
      if (length < 0 || length > 65536)
        fail("states a length of " + std::to_string(length) + " for token " + std::to_string(id));
      if (bytes.size() - at < static_cast<std::size_t>(length)) fail("ends inside token " + std::to_string(id));
      std::string piece = bytes.substr(at, static_cast<std::size_t>(length));
      at += static_cast<std::size_t>(length);
      t.pieces_.push_back(piece);
      t.scores_.push_back(score);
      t.ids_.emplace(std::move(piece), id);  // the first of equals
    }
    if (at != bytes.size()) fail("holds more than " + wanted);
    t.has_bytes_ = vocab_size > 258 && t.pieces_[3] == "<0x00>" && t.pieces_[258] == "<0xFF>";
    return t;
  }

  int vocab_size() const { return static_cast<int>(pieces_.size()); }
  /// Bytes of the longest token: a text of n tokens has at most n times as many.
  std::size_t longest_piece() const {
    std::size_t longest = 0;
    for (const std::string& piece : pieces_) longest = std::max(longest, piece.size());
    return longest;
  }
  const std::string& piece(int id) const { return pieces_.at(static_cast<std::size_t>(id)); }

  /// Ids of a text; begin_id first and end_id last if asked for.
  std::vector<int> encode(std::string_view text, bool adds_begin = true, bool adds_end = false) const {
    std::vector<int> ids;
    if (adds_begin) ids.push_back(begin_id);
    if (!text.empty()) {
      if (auto space = ids_.find(" "); space != ids_.end()) ids.push_back(space->second);
    }
    for (std::size_t i = 0; i < text.size();) {
      std::size_t length = 1;
      while (i + length < text.size() && (static_cast<unsigned char>(text[i + length]) & 0xc0) == 0x80 && length < 4)
        ++length;
      const std::string character(text.substr(i, length));
      if (auto found = ids_.find(character); found != ids_.end())
        ids.push_back(found->second);
      else
        for (char byte : character) ids.push_back(has_bytes_ ? static_cast<unsigned char>(byte) + 3 : 0);
      i += length;
    }
    merge(ids);
    if (adds_end) ids.push_back(end_id);
    return ids;
  }

  /// Text of one token after the token previous (-1: none): after begin_id a leading space goes; <0xNN> is that byte.
  std::string decode(int previous, int id) const {
    std::string text = piece(id);
    if (previous == begin_id && !text.empty() && text[0] == ' ') text.erase(0, 1);
    unsigned byte = 0;
    if (text.size() == 6 && std::sscanf(text.c_str(), "<0x%02X>", &byte) == 1)
      return std::string(1, static_cast<char>(byte));
    return text;
  }

  /// Text of many tokens; begin_id and end_id are not written.
  std::string decode(const std::vector<int>& ids) const {
    std::string text;
    int previous = -1;
    for (int id : ids) {
      if (id != begin_id && id != end_id) text += decode(previous, id);
      previous = id;
    }
    return text;
  }

 private:
  void merge(std::vector<int>& ids) const {
    while (true) {
      float best_score = -1e10f;
      std::size_t best = ids.size();
      int best_id = -1;
      for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
        const auto found = ids_.find(piece(ids[i]) + piece(ids[i + 1]));
        if (found == ids_.end() || !(scores_[static_cast<std::size_t>(found->second)] > best_score)) continue;
        best = i;
        best_id = found->second;
        best_score = scores_[static_cast<std::size_t>(best_id)];
      }
      if (best == ids.size()) return;
      ids[best] = best_id;
      ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    }
  }

  std::vector<std::string> pieces_;
  std::vector<float> scores_;
  std::unordered_map<std::string, int> ids_;
  bool has_bytes_ = false;
};

}  // namespace lm
