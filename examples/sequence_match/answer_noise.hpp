#pragma once

#include <emend/sequence_match/draw_errors.hpp>
#include <emend/sequence_match/trajectory.hpp>
#include <sequence_match/questions.hpp>

namespace sequence_match {

/// Which errors come into the answers.
///   random        any token that can be written
///   ground_truth  a digit of the question's base
enum class noise_kind { random, ground_truth };
inline const char* name_of(noise_kind kind) { return kind == noise_kind::random ? "random" : "ground truth"; }

inline emend::action_ids answer_actions() {
  return {.end = question_tokens::end, .backspace = question_tokens::backspace};
}

/// One training trajectory: the question, then the answer with errors at this level, each erased at once. Level 0: the
/// answer alone.
inline emend::trajectory answer_trajectory(const question& q, noise_kind kind, double level, std::uint64_t seed,
                                           std::uint64_t number) {
  using tokens = question_tokens;
  const ids answer = tokens::answer_of(q);
  const emend::error_options options{.level = level, .seed = seed, .stream = number};
  const emend::index length = static_cast<emend::index>(answer.size());
  const emend::drawn_errors errors =
      kind == noise_kind::random
          ? emend::draw_errors(length, emend::uniform_noise{tokens::count - tokens::in_base_word, tokens::in_base_word},
                               options)
          : emend::draw_errors(length, emend::uniform_noise{q.base, tokens::digit}, options);
  return emend::data_trajectory(
      tokens::prompt_of(q),
      emend::augment_with_errors(answer, errors.run_length, errors.noise_tokens, tokens::backspace), answer_actions());
}

/// Digits to stand, wrongly, after "Solution:": the answer's first `kept` tokens, as far as it has more, then a wrong
/// digit, then any others.
inline ids wrong_start(const question& q, int kept, int wrong, std::uint64_t seed, std::uint64_t number) {
  using tokens = question_tokens;
  const ids answer = tokens::answer_of(q);
  const emend::counter_random random{seed};
  ids result(answer.begin(),
             answer.begin() + std::min<std::ptrdiff_t>(kept, static_cast<std::ptrdiff_t>(answer.size()) - 2));
  for (int k = 0; k < wrong; ++k) {
    emend::index d = tokens::digit + random.below(q.base, number, static_cast<std::uint64_t>(k));
    if (k == 0 && d == answer[result.size()]) d = tokens::digit + (d - tokens::digit + 1) % q.base;
    result.push_back(d);
  }
  return result;
}

}  // namespace sequence_match
