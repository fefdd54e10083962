#pragma once

#include <emend/core/random.hpp>
#include <emend/sampling/categorical.hpp>
#include <emend/sequence_match/augment.hpp>

namespace emend {

/// Options of `draw_errors`.
struct error_options {
  double level = 0.001;     ///< probability of errors before a token, the paper's eta
  column is_allowed = {};   ///< [T]; 0: no error before this token; empty: anywhere
  index run_length = 1;     ///< errors in a row, erased by as many backspaces; the paper's
  double continuation = 0;  ///< probability of each further error of a run (geometric lengths); 0: run_length, fixed
  index longest_run = 8;    ///< with continuation
  std::uint64_t seed = 0;
  std::uint64_t stream = 0;  ///< the sequence's number: sequences of one seed have errors of their own
};

/// Where errors come before the tokens of a sequence, and which, for `augment_with_errors`.
struct drawn_errors {
  std::vector<index> run_length, noise_tokens;
};

/// Errors at random places of a clean sequence of `length` tokens.
/// noise: (index position, double u) -> index, the token that comes in the place of the one at `position`; u uniform in
/// [0, 1).
///   `uniform_noise`, `model_noise`, or a callable of the caller's: plausible errors of its task.
/// Every choice is a function of (seed, stream, position, which error of the run), so that two levels share their
/// places: an error at a low level is there at a higher one, too. With the token's own id as noise, the error is no
/// error; that is allowed. Throws std::invalid_argument if a probability is outside [0, 1], a run outside [1, 1000], or
/// a length does not fit. Cost: linear. Cundy and Ermon 2024, section 4.3.
template <class Noise>
drawn_errors draw_errors(index length, Noise&& noise, const error_options& options) {
  const auto require_probability = [](const char* name, double p) {
    if (!(p >= 0 && p <= 1)) detail::fail(name, "a probability", std::to_string(p));
  };
  require_probability("level", options.level);
  require_probability("continuation", options.continuation);
  if (length < 0) detail::fail("length", "a number not below 0", std::to_string(length));
  const auto require_run = [](const char* name, index run) {
    if (run < 1 || run > 1000) detail::fail(name, "a number in [1, 1000]", std::to_string(run));
  };
  require_run("run_length", options.run_length);
  require_run("longest_run", options.longest_run);
  if (options.is_allowed.is_given()) detail::require_length("is_allowed", options.is_allowed.size(), length);
  const counter_random random{options.seed};
  // One number a place, then two for each error that there may be: a purpose's numbers never depend on another's.
  const auto uniform = [&](index position, std::uint64_t purpose) {
    return random.uniform(options.stream, (static_cast<std::uint64_t>(position) << 16) | purpose);
  };
  drawn_errors errors;
  errors.run_length.assign(static_cast<std::size_t>(length), 0);
  for (index t = 0; t < length; ++t) {
    if ((options.is_allowed.is_given() && options.is_allowed[t] == 0) || !(uniform(t, 0) < options.level)) continue;
    index run = options.run_length;
    if (options.continuation > 0)
      for (run = 1;
           run < options.longest_run && uniform(t, static_cast<std::uint64_t>(2 * run)) < options.continuation;)
        ++run;
    errors.run_length[static_cast<std::size_t>(t)] = run;
    for (index k = 0; k < run; ++k)
      errors.noise_tokens.push_back(noise(t, uniform(t, static_cast<std::uint64_t>(2 * k + 1))));
  }
  return errors;
}

/// Noise: any of `count` ids from `first` on, all as likely (the paper: the vocabulary).
struct uniform_noise {
  index count;
  index first = 0;
  index operator()(index, double u) const { return first + static_cast<index>(u * static_cast<double>(count)); }
};

/// Noise: what a model would have written, from its scores of the clean sequence. scores: row t is read before token t,
/// [T, V] with rows `row_stride` apart; a run's errors are all drawn at its place.
template <class T>
struct model_noise {
  const T* scores;
  index vocab, row_stride;
  double temperature = 1;
  index operator()(index position, double u) const {
    return draw_categorical(scores + position * row_stride, vocab, u, temperature);
  }
};

}  // namespace emend
