#pragma once

#include <emend/sampling/backtracking_model.hpp>
#include <emend/sampling/sampler.hpp>
#include <emend/structure/actions.hpp>

namespace emend {

/// What an erasing action is at the floor, where there is nothing to erase: legal without effect (the paper at the
/// first token), or not to be drawn.
enum class at_floor { no_effect, masked };

/// Why a sequence is no longer written.
///   ended      the end was drawn
///   full       it holds `max_tokens` new tokens, or as many as the model can hold
///   exhausted  `max_actions` were taken
///   stopped    the caller's function said so
enum class generation_end { ended, full, exhausted, stopped };

/// One action as it was taken, for a stream.
struct action_event {
  index sequence = 0;
  index number = 0;     ///< how many actions of the sequence came before
  index id = 0;         ///< what was drawn
  action what = {};     ///< what it does; the end is an append of its id
  index erased = 0;     ///< tokens that it took away; 0 for an erasing action at the floor
  index length = 0;     ///< tokens of the state afterwards, prompt included
  double log_prob = 0;  ///< under the distribution that it was drawn from [nats]
  bool is_end = false;
};

/// A token that was written, or an erased one of the prompt: where it stood, and between which actions.
struct written_token {
  index token = 0, position = 0;
  index written_at = -1;    ///< number of the action that wrote it; -1: the prompt's
  index erased_at = -1;     ///< number of the action that erased it; -1: it stands
  bool is_rewrite = false;  ///< something had stood at its position before
};

/// A sequence that was written with erasing.
struct generation {
  std::vector<index> state;  ///< what stands in the end, prompt included, without the end token
  index kept_prompt = 0;     ///< tokens at the front that were the prompt's and never erased
  generation_end end = generation_end::ended;
  std::vector<index> ids;        ///< [actions] what was drawn
  std::vector<action> actions;   ///< [actions] for `pack_tree`
  std::vector<double> log_prob;  ///< [actions] under the distributions that they were drawn from [nats]
  std::vector<written_token>
      written;       ///< erased tokens of the prompt where they were erased, others in the order of writing
  index erased = 0;  ///< tokens taken away, in all

  /// What was written and stands.
  std::vector<index> response() const { return {state.begin() + kept_prompt, state.end()}; }
};

/// Options of `generate`.
struct generate_options {
  action_ids actions = {};
  erase_floor floor = erase_floor::prompt_end;
  at_floor erasing_at_floor = at_floor::no_effect;
  index max_actions =
      512;  ///< of one sequence: what was erased is forgotten, so that writing and erasing could go on for ever
  index max_tokens = 512;  ///< new tokens that stand at once
  /// States whose scores are kept for each sequence, those nearest to its end: memory of kept_states vocab numbers.
  /// Going back to one of them costs no forward pass; going further, or into the prompt, costs that of one token.
  index kept_states = 32;
  std::uint64_t seed = 0;
  index first_stream = 0;  ///< number of the first prompt's stream of random numbers, so that a batch can be cut
};

namespace detail {

/// A sequence while it is written.
template <class T>
class writing {
 public:
  writing(const std::vector<index>& prompt, index number, index vocab, const generate_options& options)
      : vocab_(vocab),
        number_(number),
        prompt_(static_cast<index>(prompt.size())),
        floor_(options.floor == erase_floor::prompt_end ? prompt_ : 1),
        highest_(prompt_) {
    result.state = prompt;
    result.kept_prompt = model_length = prompt_;
    standing_.assign(prompt.size(), -1);
    const bool can_erase =
        options.actions.backspace >= 0 || options.actions.reset >= 0 || !options.actions.erase.empty();
    slots_.resize(can_erase ? static_cast<std::size_t>(options.kept_states) : 1);
  }

  /// Keeps the scores of the present state.
  void take_scores(const T* row, index stride) {
    slot& s = slots_[result.state.size() % slots_.size()];
    s.length = model_length = static_cast<index>(result.state.size());
    s.scores.resize(static_cast<std::size_t>(vocab_));
    if (stride == 1)
      __builtin_memcpy(s.scores.data(), row, static_cast<std::size_t>(vocab_) * sizeof(T));
    else
      for (index j = 0; j < vocab_; ++j) s.scores[static_cast<std::size_t>(j)] = row[j * stride];
  }

  /// Takes actions until the model must read the state's last token, or the sequence ends.
  template <class Sampler>
  void act(const Sampler& how, const generate_options& options, const counter_random& random, index longest) {
    for (;;) {
      const index length = static_cast<index>(result.state.size());
      if (length - prompt_ >= options.max_tokens || length >= longest) return close(generation_end::full);
      if (static_cast<index>(result.ids.size()) >= options.max_actions) return close(generation_end::exhausted);
      const slot& here = slots_[static_cast<std::size_t>(length) % slots_.size()];
      if (here.length != length) return;
      const double u = random.uniform(static_cast<std::uint64_t>(options.first_stream + number_), result.ids.size());
      events.push_back(take(draw(how, here.scores.data(), options, u), options));
      if (events.back().is_end) return close(generation_end::ended);
    }
  }

  void close(generation_end why) {
    result.end = why;
    is_open = false;
  }

  generation result;
  std::vector<action_event> events;  ///< taken since the last look
  bool is_open = true;
  index model_length = 0;  ///< tokens that the model holds

 private:
  struct slot {
    index length = -1;
    std::vector<T> scores;
  };

  template <class Sampler>
  drawn_id draw(const Sampler& how, const T* scores, const generate_options& options, double u) const {
    const scratch_lease<candidates<arithmetic<T>>> lease;
    candidates<arithmetic<T>>& c = *lease;
    c.assign(scores, vocab_, 1, result.state);
    if (options.erasing_at_floor == at_floor::masked && static_cast<index>(result.state.size()) <= floor_) {
      const auto forbid = [&](index id) {
        if (id >= 0) c.change(id_column(&id, 1), [](index, double) { return -infinity; });
      };
      forbid(options.actions.backspace);
      forbid(options.actions.reset);
      for (const erasing_id& e : options.actions.erase) forbid(e.id);
    }
    how(c);
    return c.draw(u);
  }

  action_event take(const drawn_id& drawn, const generate_options& options) {
    action_event event{.sequence = number_,
                       .number = static_cast<index>(result.ids.size()),
                       .id = drawn.id,
                       .what = options.actions.action_of(drawn.id),
                       .log_prob = drawn.log_prob,
                       .is_end = drawn.id == options.actions.end};
    result.ids.push_back(drawn.id);
    result.actions.push_back(event.what);
    result.log_prob.push_back(drawn.log_prob);
    if (event.what.kind == action_kind::append) {
      if (!event.is_end) write(drawn.id, event.number);
    } else {
      event.erased = erased_by(event.what, static_cast<index>(result.state.size()), floor_);
      for (index k = 0; k < event.erased; ++k) erase(event.number);
    }
    event.length = static_cast<index>(result.state.size());
    return event;
  }

  void write(index token, index number) {
    const index position = static_cast<index>(result.state.size());
    standing_.push_back(static_cast<index>(result.written.size()));
    result.written.push_back({token, position, number, -1, position < highest_});
    result.state.push_back(token);
    if (position + 1 > highest_) highest_ = position + 1;
  }
  void erase(index number) {
    const index position = static_cast<index>(result.state.size()) - 1;
    if (standing_.back() < 0)
      result.written.push_back({result.state.back(), position, -1, number, false});
    else
      result.written[static_cast<std::size_t>(standing_.back())].erased_at = number;
    standing_.pop_back();
    result.state.pop_back();
    ++result.erased;
    if (position < result.kept_prompt) result.kept_prompt = position;
    // The scores of the state left behind would be taken for those of the next one of its length.
    slot& gone = slots_[static_cast<std::size_t>(position + 1) % slots_.size()];
    if (gone.length == position + 1) gone.length = -1;
  }

  index vocab_, number_, prompt_, floor_, highest_;  ///< highest_: longest state so far
  std::vector<index> standing_;  ///< which entry of `written` stands at each position, -1 for the prompt's
  std::vector<slot> slots_;
};

/// Throws std::invalid_argument unless the options are usable with `vocab` ids.
inline void check_generate_options(const generate_options& options, index vocab) {
  std::vector<index> ids;
  const auto take = [&](const char* name, index id) {
    if (id < -1 || id >= vocab) fail(name, "an id in [0, " + std::to_string(vocab) + "), or -1", std::to_string(id));
    for (const index other : ids)
      if (id >= 0 && id == other) fail(name, "an id of its own", std::to_string(id) + ", another action's");
    ids.push_back(id);
  };
  take("actions.end", options.actions.end);
  take("actions.backspace", options.actions.backspace);
  take("actions.reset", options.actions.reset);
  for (const erasing_id& e : options.actions.erase) {
    take("actions.erase", e.id);
    if (e.tokens < 1) fail("actions.erase", "at least 1 token", std::to_string(e.tokens));
  }
  if (options.max_actions < 0) fail("max_actions", "a number not below 0", std::to_string(options.max_actions));
  if (options.max_tokens < 0) fail("max_tokens", "a number not below 0", std::to_string(options.max_tokens));
  if (options.kept_states < 1) fail("kept_states", "at least 1", std::to_string(options.kept_states));
  if (options.first_stream < 0) fail("first_stream", "a number not below 0", std::to_string(options.first_stream));
}

struct no_stream {
  bool operator()(const action_event&) const { return true; }
};

}  // namespace detail

/// Lets a model continue prompts with actions: tokens, backspace, erasing of several tokens, reset, end.
///   action a of sequence b is drawn from the scores of its present state with u = random.uniform(first_stream + b, a)
/// An erasing action costs no forward pass: the scores of the states below are kept (see `kept_states`), and the model
/// rolls back before it reads the next token. All sequences take their actions, then the model reads one token of each
/// that is still open, at once. prompts: each not empty. how: processors; `previous` is the state. stream:
/// f(action_event) -> bool, called on this thread, in order within each sequence; false stops the sequence after the
/// actions that were already drawn. The same actions for any number of threads, and for any cut of the batch, as far as
/// the model's scores are the same. Throws std::invalid_argument on an empty prompt, an id outside the vocabulary or of
/// two actions, a bad cap; and as the sampler and the model. Cost: one token of the model for every token written, a
/// copy of its scores, one draw an action. Methods: Cundy and Ermon 2024, section 4.4; reset: Zhang et al. 2024 (arXiv
/// 2409.14586).
template <backtracking_model M, score_processor... P, executor E = const sequential, class F = detail::no_stream>
std::vector<generation> generate(M& model, const std::vector<std::vector<index>>& prompts, const sampler<P...>& how,
                                 const generate_options& options = {}, E&& executor = sequential{}, F&& stream = {}) {
  const index vocab = model.vocab(), longest = model.longest(), count = static_cast<index>(prompts.size());
  detail::check_generate_options(options, vocab);
  for (const auto& prompt : prompts)
    if (prompt.empty()) detail::fail("prompts", "at least one token each", "an empty one");
  if (count == 0) return {};
  auto scores = model.open(prompts);
  const auto check_scores = [&](index rows) {
    detail::require_length("scores of the model", scores.rows(), rows);
    detail::require_length("a row of the model's scores", scores.vocab, vocab);
  };
  using score = std::remove_const_t<std::remove_pointer_t<decltype(scores.data)>>;
  std::vector<detail::writing<score>> all;
  std::vector<index> reading, tokens;
  for (index b = 0; b < count; ++b) {
    all.emplace_back(prompts[static_cast<std::size_t>(b)], b, vocab, options);
    reading.push_back(b);
  }
  const counter_random random{options.seed};
  while (!reading.empty()) {
    check_scores(static_cast<index>(reading.size()));
    executor.for_each_chunk(static_cast<index>(reading.size()), [&](index begin, index end) {
      for (index k = begin; k < end; ++k) {
        auto& sequence = all[static_cast<std::size_t>(reading[static_cast<std::size_t>(k)])];
        sequence.take_scores(scores.row(k), scores.vocab_stride);
        sequence.act(how, options, random, longest);
      }
    });
    std::size_t open = 0;
    tokens.clear();
    for (const index b : reading) {
      auto& sequence = all[static_cast<std::size_t>(b)];
      for (const action_event& event : sequence.events)
        if (!stream(event) && sequence.is_open) sequence.close(generation_end::stopped);
      sequence.events.clear();
      if (!sequence.is_open) continue;
      const index before = static_cast<index>(sequence.result.state.size()) - 1;
      if (sequence.model_length > before) model.roll_back(b, before);
      tokens.push_back(sequence.result.state.back());
      reading[open++] = b;
    }
    reading.resize(open);
    if (open > 0) scores = model.advance(reading, tokens);
  }
  std::vector<generation> result;
  for (auto& sequence : all) result.push_back(std::move(sequence.result));
  return result;
}

}  // namespace emend
