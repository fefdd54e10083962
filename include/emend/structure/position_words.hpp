#pragma once

#include <emend/core/column.hpp>

#include <vector>

namespace emend::detail {

/// Where each token of a sequence stands, 64 positions a word. Tokens that stand at many places have a row of words
/// ready; for the others, of a large vocabulary, rows would be zeros to fill and to read from afar, and the few bits
/// are set when they are asked for. An object keeps its memory from sequence to sequence.
class position_words {
 public:
  static constexpr std::size_t rows_at_once = 8;
  /// Words before and behind each row that are there and 0.
  static constexpr std::size_t margin = rows_at_once - 1;

  void assign(const std::vector<index>& sequence) {
    words_ = (sequence.size() + 63) / 64;
    stride_ = words_ + 2 * margin;
    std::size_t capacity = 16;
    while (capacity < 2 * sequence.size()) capacity *= 2;
    shift_ = 64;
    for (std::size_t c = capacity; c > 1; c /= 2) --shift_;
    slots_.assign(capacity, slot{});
    next_.resize(sequence.size());
    for (std::size_t i = 0; i < sequence.size(); ++i) {
      slot& s = find(sequence[i]);
      if (s.count++ == 0) s.token = sequence[i];
      next_[i] = s.last;
      s.last = static_cast<std::int32_t>(i);
    }
    std::size_t rows = 0;
    for (slot& s : slots_)
      if (s.count > few) s.row = static_cast<std::int32_t>(rows++);
    rows_.assign((rows + 1) * stride_, 0);  // the last is of zeros
    none_ = rows * stride_ + margin;
    for (const slot& s : slots_)
      if (s.row >= 0) set(s, rows_.data() + static_cast<std::size_t>(s.row) * stride_ + margin, true);
    scratch_.assign(rows_at_once * stride_, 0);
    for (std::size_t k = 0; k < rows_at_once; ++k) in_scratch_[k] = nullptr;
  }

  std::size_t words() const { return words_; }

  /// The words of a token; valid until the next call with the same k below rows_at_once.
  const std::uint64_t* of(index token, std::size_t k = 0) {
    std::uint64_t* const scratch = scratch_.data() + k * stride_ + margin;
    if (in_scratch_[k]) set(*in_scratch_[k], scratch, false);
    in_scratch_[k] = nullptr;
    const slot& s = find(token);
    if (s.count == 0) return rows_.data() + none_;
    if (s.row >= 0) return rows_.data() + static_cast<std::size_t>(s.row) * stride_ + margin;
    set(s, scratch, true);
    in_scratch_[k] = &s;
    return scratch;
  }

 private:
  static constexpr std::int32_t few = 8;
  struct slot {
    index token = 0;
    std::int32_t count = 0, last = -1, row = -1;
  };

  slot& find(index token) {
    const std::size_t mask = slots_.size() - 1;
    std::size_t at = static_cast<std::size_t>(static_cast<std::uint64_t>(token) * 0x9E3779B97F4A7C15u >> shift_);
    while (slots_[at].count != 0 && slots_[at].token != token) at = (at + 1) & mask;
    return slots_[at];
  }
  void set(const slot& s, std::uint64_t* row, bool is_set) const {
    for (std::int32_t i = s.last; i >= 0; i = next_[static_cast<std::size_t>(i)]) {
      std::uint64_t& word = row[i / 64];
      word = is_set ? word | std::uint64_t{1} << (i % 64) : 0;
    }
  }

  std::size_t words_ = 0, stride_ = 0, none_ = 0;
  int shift_ = 60;
  std::vector<slot> slots_;
  std::vector<std::int32_t> next_;
  std::vector<std::uint64_t> rows_, scratch_;
  const slot* in_scratch_[rows_at_once] = {};
};

}  // namespace emend::detail
