#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace sequence_match {

/// A source of short texts whose every probability is known, and the texts over its letters.
/// Texts are numbered: 0 is the empty one, the text s followed by letter a is s * letters + 1 + a.
struct markov_source {
  int letters = 3;
  int longest = 4;  // letters of a text of the source
  int deepest = 5;  // letters of a text that a model may come to, more than that
  /// [letters + 1][letters + 1] row: the letter before (the last row: none), column: the next letter (the last column:
  /// the end).
  std::vector<std::vector<double>> next;

  int texts() const {
    int count = 0;
    for (int depth = 0, at = 1; depth <= deepest; ++depth, at *= letters) count += at;
    return count;
  }
  int child(int text, int letter) const { return text * letters + 1 + letter; }
  int parent(int text) const { return text == 0 ? 0 : (text - 1) / letters; }
  int last_letter(int text) const { return text == 0 ? letters : (text - 1) % letters; }
  int depth(int text) const {
    int depth = 0;
    for (; text > 0; text = parent(text)) ++depth;
    return depth;
  }
  std::string written(int text) const {
    std::string result;
    for (; text > 0; text = parent(text)) result.insert(result.begin(), static_cast<char>('a' + last_letter(text)));
    return result;
  }

  /// Probability of what comes after a text: a letter, or the end (`letters`). A text of the longest length ends.
  double probability(int text, int what) const {
    if (depth(text) >= longest) return what == letters ? 1 : 0;
    return next[static_cast<std::size_t>(last_letter(text))][static_cast<std::size_t>(what)];
  }
  /// Probability of every text as a whole.
  std::vector<double> distribution() const {
    std::vector<double> reach(static_cast<std::size_t>(texts()), 0.0), result(reach.size(), 0.0);
    reach[0] = 1;
    for (int s = 0; s < texts(); ++s) {
      if (reach[static_cast<std::size_t>(s)] == 0) continue;
      result[static_cast<std::size_t>(s)] = reach[static_cast<std::size_t>(s)] * probability(s, letters);
      for (int a = 0; a < letters && depth(s) < deepest; ++a)
        reach[static_cast<std::size_t>(child(s, a))] += reach[static_cast<std::size_t>(s)] * probability(s, a);
    }
    return result;
  }
};

/// Letters a and b by a chain; c is never written: every text with one is an error.
inline markov_source small_source() {
  return {.letters = 3,
          .longest = 4,
          .deepest = 5,
          .next = {{0.1, 0.6, 0.0, 0.3},    // after a
                   {0.7, 0.0, 0.0, 0.3},    // after b: never another b
                   {0.0, 0.0, 0.0, 1.0},    // after c, which does not come
                   {0.6, 0.4, 0.0, 0.0}}};  // at the start
}

}  // namespace sequence_match
