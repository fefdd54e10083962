#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <common/hash.hpp>
#include <emend/core/random.hpp>
#include <seq2seq_rewards/data.hpp>
#include <seq2seq_rewards/vocabulary.hpp>

namespace seq2seq {

using common::hash_of;

struct split_pairs {
  std::vector<preference> training, held_out;
};

/// Holds out whole groups (the corrected word; the source sentence; the prompt), about `share` of them.
/// A group's side depends on its text and the seed alone.
inline split_pairs split_by_group(const std::vector<preference>& pairs, double share, std::uint64_t seed) {
  split_pairs result;
  for (const preference& pair : pairs) {
    const bool is_held_out = emend::counter_random{seed}.uniform(hash_of(pair.group), 0) < share;
    (is_held_out ? result.held_out : result.training).push_back(pair);
  }
  return result;
}

/// The ids of a pair; both responses end with the end id.
struct encoded_pair {
  std::vector<int> prompt, chosen, rejected;

  /// Positions that the longest of its sequences takes.
  int positions() const { return static_cast<int>(2 + prompt.size() + 2 * std::max(chosen.size(), rejected.size())); }
};

inline encoded_pair encode(const vocabulary& v, const preference& pair) {
  return {v.encode(pair.prompt), v.encode_response(pair.chosen), v.encode_response(pair.rejected)};
}

/// Removes the pairs that do not fit into max_positions or have a character that the vocabulary lacks; returns how
/// many.
inline std::size_t drop_unfit(std::vector<preference>& pairs, const vocabulary& v, int max_positions) {
  const std::size_t longest = v.longest_text(max_positions);
  return std::erase_if(pairs, [&](const preference& pair) {
    for (const std::string* text : {&pair.prompt, &pair.chosen, &pair.rejected})
      if (text->size() > longest || !v.knows(*text)) return true;
    return encode(v, pair).positions() > max_positions;
  });
}

/// All characters of the pairs. Pairs that are not UTF-8 are removed.
inline std::string characters_of(std::vector<preference>& pairs) {
  std::set<std::string> seen;
  std::erase_if(pairs, [&](const preference& pair) {
    std::set<std::string> own;
    for (const std::string* text : {&pair.prompt, &pair.chosen, &pair.rejected})
      for (std::size_t i = 0; i < text->size();) {
        std::size_t length = 1;
        while (i + length < text->size() && (static_cast<unsigned char>((*text)[i + length]) & 0xc0) == 0x80) ++length;
        own.insert(text->substr(i, length));
        i += length;
      }
    try {
      for (const std::string& character : own)
        if (!seen.contains(character)) lm::character_tokenizer(character, {});
    } catch (const std::invalid_argument&) {
      return true;
    }
    seen.merge(own);
    return false;
  });
  std::string all;
  for (const std::string& character : seen) all += character;
  return all;
}

/// The distinct (prompt, chosen) of the pairs, in order of first appearance: what the identity mapping copies.
inline std::vector<std::pair<std::vector<int>, std::vector<int>>> distinct_chosen(
    const std::vector<encoded_pair>& pairs) {
  std::set<std::pair<std::vector<int>, std::vector<int>>> seen;
  std::vector<std::pair<std::vector<int>, std::vector<int>>> result;
  for (const encoded_pair& pair : pairs)
    if (seen.emplace(pair.prompt, pair.chosen).second) result.emplace_back(pair.prompt, pair.chosen);
  return result;
}

}  // namespace seq2seq
