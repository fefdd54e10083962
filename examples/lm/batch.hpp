#pragma once

#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include <lm/config.hpp>

namespace lm {

/// A packed batch of tokens, plain sequences and trees alike.
/// ids: [N]. parent: [N], the index of the previous token in this batch (below the token's own index), -1 at a root; a
/// token attends to itself and its ancestors, and its position is its depth. rows: [R], strictly increasing token
/// indices, the tokens whose logits or final hidden state are wanted.
struct batch {
  std::vector<int> ids;
  std::vector<int> parent;
  std::vector<int> rows;

  int size() const { return static_cast<int>(ids.size()); }
  int row_count() const { return static_cast<int>(rows.size()); }
  void clear() {
    ids.clear();
    parent.clear();
    rows.clear();
  }

  /// Appends a plain sequence and asks for its tokens first_row .. end_row - 1 (end_row < 0: to the end).
  void add_sequence(std::span<const int> sequence, int first_row = 0, int end_row = -1) {
    const int begin = size(), count = static_cast<int>(sequence.size());
    for (int i = 0; i < count; ++i) {
      ids.push_back(sequence[static_cast<std::size_t>(i)]);
      parent.push_back(i == 0 ? -1 : begin + i - 1);
    }
    for (int i = first_row; i < (end_row < 0 ? count : end_row); ++i) rows.push_back(begin + i);
  }

  /// Throws std::invalid_argument if lengths differ, an id or parent is out of range, or rows are not increasing.
  void check(const config& c) const {
    if (ids.size() != parent.size())
      throw std::invalid_argument("lm::batch: parent has length " + std::to_string(parent.size()) + ", but ids has " +
                                  std::to_string(ids.size()));
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (ids[i] < 0 || ids[i] >= c.vocab_size)
        throw std::invalid_argument("lm::batch: ids[" + std::to_string(i) + "] = " + std::to_string(ids[i]) +
                                    " is outside 0.." + std::to_string(c.vocab_size - 1));
      if (parent[i] < -1 || parent[i] >= static_cast<int>(i))
        throw std::invalid_argument("lm::batch: parent[" + std::to_string(i) + "] = " + std::to_string(parent[i]) +
                                    " is not -1 or an earlier token");
    }
    int last = -1;
    for (int row : rows) {
      if (row <= last || row >= size())
        throw std::invalid_argument("lm::batch: rows must be strictly increasing token indices, but " +
                                    std::to_string(row) + " follows " + std::to_string(last));
      last = row;
    }
  }
};

}  // namespace lm
