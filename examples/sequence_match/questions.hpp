#pragma once

#include <algorithm>
#include <cstdint>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include <emend/core/random.hpp>

namespace sequence_match {

using ids = std::vector<emend::index>;

/// A whole number in a base of 2 to 16: digits 0-9, a-f, a minus sign before them.
inline std::string in_base(long long number, int base) {
  std::string digits;
  for (long long rest = number < 0 ? -number : number; rest > 0 || digits.empty(); rest /= base)
    digits.insert(digits.begin(), "0123456789abcdef"[rest % base]);
  return number < 0 ? "-" + digits : digits;
}

/// One question of `add_or_sub_in_base`: "In base 7, what is -1240 - -4156?"
/// The public description of DeepMind's mathematics data (Saxton et al. 2019): a base of 2 to 16, two signed whole
/// numbers, a sum or a difference, all written in that base.
struct question {
  int base = 10;
  long long left = 0, right = 0;
  bool is_sum = true;

  long long value() const { return is_sum ? left + right : left - right; }
  std::string answer() const { return in_base(value(), base); }
  std::string text() const {
    return "In base " + std::to_string(base) + ", what is " + in_base(left, base) + (is_sum ? " + " : " - ") +
           in_base(right, base) + "?";
  }
};

/// How large numbers are.
struct question_sizes {
  int lowest_base = 2, highest_base = 16, digits = 2;
};

/// Question `number` of a stream: the base uniform, the operands of 1 to `digits` digits in it, every number of digits
/// as likely, both signs.
inline question draw_question(const question_sizes& sizes, const emend::counter_random& random, std::uint64_t stream,
                              std::uint64_t number) {
  std::uint64_t purpose = 8 * number;
  const auto below = [&](long long n) {
    return static_cast<long long>(random.below(static_cast<emend::index>(n), stream, purpose++));
  };
  question q;
  q.base = sizes.lowest_base + static_cast<int>(below(sizes.highest_base - sizes.lowest_base + 1));
  const auto operand = [&] {
    long long low = 1;
    const long long digits = 1 + below(sizes.digits);
    for (long long k = 1; k < digits; ++k) low *= q.base;
    const long long size = digits == 1 ? below(q.base) : low + below(low * (q.base - 1));
    return below(2) == 0 ? size : -size;
  };
  q.left = operand();
  q.right = operand();
  q.is_sum = below(2) == 0;
  return q;
}

/// Different questions, none of them among `known`, which they join.
inline std::vector<question> draw_questions(std::size_t count, const question_sizes& sizes, std::uint64_t seed,
                                            std::uint64_t stream, std::set<std::string>& known) {
  std::vector<question> result;
  const emend::counter_random random{seed};
  for (std::uint64_t number = 0; result.size() < count; ++number) {
    if (number > 100 * count + 100000)
      throw std::runtime_error("there are fewer than " + std::to_string(count) + " different questions of that size");
    const question q = draw_question(sizes, random, stream, number);
    if (known.insert(q.text()).second) result.push_back(q);
  }
  return result;
}

/// What a model reads and writes: numbers sign and digit by digit; the words of the question, always the same, and the
/// bases a token each.
class question_tokens {
 public:
  static constexpr emend::index start = 0, end = 1, backspace = 2, in_base_word = 3, what_is = 4, plus = 5, minus = 6,
                                solution = 7, sign = 8, digit = 9, base = 25;
  static constexpr int count = 40;  // bases 2 to 16 are the last

  static ids prompt_of(const question& q) {
    ids result{start, in_base_word, base + q.base - 2, what_is};
    add(result, in_base(q.left, q.base));
    result.push_back(q.is_sum ? plus : minus);
    add(result, in_base(q.right, q.base));
    result.push_back(solution);
    return result;
  }
  /// With the end.
  static ids answer_of(const question& q) {
    ids result;
    add(result, q.answer());
    result.push_back(end);
    return result;
  }
  static std::string text_of(emend::index id) {
    static const std::vector<std::string> words{"<start>", "<end>", "<erase>",      "In base ", ", what is ",
                                                " + ",     " - ",   "? Solution: ", "-"};
    if (id < digit) return words[static_cast<std::size_t>(id)];
    if (id < base) return std::string(1, "0123456789abcdef"[id - digit]);
    return std::to_string(id - base + 2);
  }
  static std::string text_of(const ids& tokens) {
    std::string result;
    for (const emend::index id : tokens)
      if (id > backspace) result += text_of(id);
    return result;
  }
  static int longest_prompt(const question_sizes& sizes) { return 6 + 2 * (sizes.digits + 1); }
  static int longest_answer(const question_sizes& sizes) { return sizes.digits + 3; }  // sign, carry and end

  /// Whether what stands after the question is the answer and nothing else.
  static bool is_right(const question& q, const ids& response) {
    ids right = answer_of(q);
    right.pop_back();
    return response == right;
  }

 private:
  static void add(ids& to, const std::string& number) {
    for (const char c : number) to.push_back(c == '-' ? sign : digit + (c <= '9' ? c - '0' : c - 'a' + 10));
  }
};

}  // namespace sequence_match
