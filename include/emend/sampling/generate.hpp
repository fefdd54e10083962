#pragma once

#include <emend/sampling/backtracking_model.hpp>
#include <emend/sampling/sampler.hpp>
#include <emend/sequence_match/packing.hpp>

namespace emend {

/// An id that erases more than one token at once.
struct erasing_id {
  index id = -1;
  index tokens = 1;
};

/// Which ids of the vocabulary are actions that write nothing; -1: there is none.
struct action_ids {
  index end = -1;                  ///< ends the sequence
  index backspace = -1;            ///< erases the last token
  index reset = -1;                ///< erases everything down to the floor
  std::vector<erasing_id> erase = {};  ///< erase several tokens
};

/// What an erasing action is at the floor, where there is nothing to erase: legal without effect (the paper at the first token), or not to
/// be drawn.
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
  index written_at = -1;  ///< number of the action that wrote it; -1: the prompt's
  index erased_at = -1;   ///< number of the action that erased it; -1: it stands
  bool is_rewrite = false;  ///< something had stood at its position before
};

/// A sequence that was written with erasing.
struct generation {
  std::vector<index> state;     ///< what stands in the end, prompt included, without the end token
  index kept_prompt = 0;        ///< tokens at the front that were the prompt's and never erased
  generation_end end = generation_end::ended;
  std::vector<index> ids;       ///< [actions] what was drawn
  std::vector<action> actions;  ///< [actions] for `pack_tree`
  std::vector<double> log_prob;  ///< [actions] under the distributions that they were drawn from [nats]
  std::vector<written_token> written;  ///< erased tokens of the prompt where they were erased, others in the order of writing
  index erased = 0;             ///< tokens taken away, in all

  /// What was written and stands.
  std::vector<index> response() const { return {state.begin() + kept_prompt, state.end()}; }
};

/// Options of `generate`.
struct generate_options {
  action_ids actions = {};
  erase_floor floor = erase_floor::prompt_end;
  at_floor erasing_at_floor = at_floor::no_effect;
  index max_actions = 512;  ///< of one sequence: what was erased is forgotten, so that writing and erasing could go on for ever
  index max_tokens = 512;   ///< new tokens that stand at once
  /// States whose scores are kept for each sequence, those nearest to its end: memory of kept_states vocab numbers. Going back to one of
  /// them costs no forward pass; going further, or into the prompt, costs that of one token.
  index kept_states = 32;
  std::uint64_t seed = 0;
  index first_stream = 0;   ///< number of the first prompt's stream of random numbers, so that a batch can be cut
};

namespace detail {

/// A sequence while it is written.
template <class T>
class writing {
 public:
  writing(const std::vector<index>& prompt, index number, index vocab, const generate_options& options)
      : vocab_(vocab), number_(number), floor_(options.floor == erase_floor::prompt_end ? static_cast<index>(prompt.size()) : 1), highest_(static_cast<index>(prompt.size())) {
    result.state = prompt;
    result.kept_prompt = static_cast<index>(prompt.size());
    prompt_ = result.kept_prompt;
    standing_.assign(prompt.size(), -1);
  }

  /// Keeps the scores of the present state.
  void take_scores(const T* row, index stride, index kept_states) {
    const index length = static_cast<index>(result.state.size());
    if (slots_.empty()) slots_.assign(static_cast<std::size_t>(kept_states), slot{});
    slot& s = slots_[static_cast<std::size_t>(length % kept_states)];
    s.length = length;
    s.scores.resize(static_cast<std::size_t>(vocab_));
    for (index j = 0; j < vocab_; ++j) s.scores[static_cast<std::size_t>(j)] = row[j * stride];
  }

  /// Takes actions until a token must be read by the model or the sequence ends. Returns whether a token must be read.
  template <class Sampler>
  bool act(const Sampler& how, const generate_options& options, const counter_random& random, index longest, std::vector<action_event>& events, bool only_one) {
    for (;;) {
      const index length = static_cast<index>(result.state.size());
      if (length - prompt_ >= options.max_tokens || length >= longest) return close(generation_end::full);
      if (static_cast<index>(result.ids.size()) >= options.max_actions) return close(generation_end::exhausted);
      const slot& here = slots_[static_cast<std::size_t>(length % static_cast<index>(slots_.size()))];
      if (here.length != length) {  // the state's scores are not kept: its last token is read again
        must_reread = true;
        return true;
      }
      const drawn_id drawn = draw(how, here.scores.data(), options,
                                  random.uniform(static_cast<std::uint64_t>(options.first_stream + number_), result.ids.size()));
      events.push_back(take(drawn, options));
      if (events.back().is_end) return close(generation_end::ended);
      if (events.back().what.kind == action_kind::append) return true;
      if (only_one) {
        is_waiting = true;
        return true;
      }
    }
  }

  bool close(generation_end why) {
    result.end = why;
    is_open = false;
    return false;
  }

  generation result;
  bool is_open = true, must_reread = false, is_waiting = false;
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
        if (id < 0) return;
        c.change(id_column(&id, 1), [](index, double) { return -infinity; });
      };
      forbid(options.actions.backspace);
      forbid(options.actions.reset);
      for (const erasing_id& e : options.actions.erase) forbid(e.id);
    }
    how(c);
    return c.draw(u);
  }

  static action action_of(index id, const action_ids& ids) {
    if (id == ids.backspace) return {action_kind::erase, 1};
    if (id == ids.reset) return {action_kind::reset, 0};
    for (const erasing_id& e : ids.erase)
      if (id == e.id) return {action_kind::erase, e.tokens};
    return {action_kind::append, id};
  }

  action_event take(const drawn_id& drawn, const generate_options& options) {
    action_event event{.sequence = number_, .number = static_cast<index>(result.ids.size()), .id = drawn.id, .what = action_of(drawn.id, options.actions), .log_prob = drawn.log_prob};
    event.is_end = drawn.id == options.actions.end;
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
    if (standing_.back() < 0) result.written.push_back({result.state.back(), position, -1, number, false});
    else result.written[static_cast<std::size_t>(standing_.back())].erased_at = number;
    standing_.pop_back();
    result.state.pop_back();
    ++result.erased;
    if (position < result.kept_prompt) result.kept_prompt = position;
    // A slot that holds the scores of a longer state would be taken for the next one of that length.
    slot& gone = slots_[static_cast<std::size_t>((position + 1) % static_cast<index>(slots_.size()))];
    if (gone.length == position + 1) gone.length = -1;
  }

  index vocab_, number_, floor_, highest_, prompt_ = 0;
  std::vector<index> standing_;  ///< which entry of `written` stands at each position, -1 for the prompt's
  std::vector<slot> slots_;
};

}  // namespace detail
