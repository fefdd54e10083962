#include <emend/core/thread_pool.hpp>
#include <emend/sampling/generate.hpp>
#include <emend/sequence_match/packing.hpp>

#include <doctest/doctest.h>

#include "../random_numbers.hpp"
#include "tabular_model.hpp"
#include "throws.hpp"

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <stdexcept>
#include <vector>

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

using ids_t = std::vector<index>;

/// A sampler that follows a script.
auto following(std::deque<index>& script) {
  return sampler{[&script](auto& c) {
    if (script.empty()) throw std::runtime_error("the script is over");
    const index next = script.front();
    script.pop_front();
    c.keep_if([&](index id, double) { return id == next; });
  }};
}

generation replay(tabular_model& model, const ids_t& prompt, std::deque<index> script, generate_options options) {
  options.max_actions = std::min<index>(options.max_actions, static_cast<index>(script.size()));
  return generate(model, {prompt}, following(script), options)[0];
}

constexpr index end = 12, backspace = 13, reset = 14, erase_3 = 15, vocab = 16;
const action_ids all_actions{.end = end, .backspace = backspace, .reset = reset, .erase = {{erase_3, 3}}};

TEST_CASE("tokens, backspaces, erasing of several, reset and end") {
  tabular_model model(vocab, 100);
  const generate_options options{.actions = all_actions};
  const generation g = replay(model, {7, 8}, {1, 2, backspace, 3, 4, erase_3, 5, 6, reset, 9, end}, options);
  CHECK(g.state == ids_t{7, 8, 9});
  CHECK(g.response() == ids_t{9});
  CHECK(g.kept_prompt == 2);
  CHECK(g.end == generation_end::ended);
  CHECK(g.erased == 6);
  CHECK(g.ids == ids_t{1, 2, backspace, 3, 4, erase_3, 5, 6, reset, 9, end});
  CHECK(model.forwards == 7);  // one for every token, none for erasing, none after the end
  REQUIRE(g.actions.size() == 11);
  CHECK(g.actions[5].kind == action_kind::erase);
  CHECK(g.actions[5].argument == 3);
  CHECK(g.actions[8].kind == action_kind::reset);
  CHECK(g.actions[10].argument == end);
  // What was written, erased and rewritten.
  REQUIRE(g.written.size() == 7);
  CHECK(g.written[1].token == 2);
  CHECK(g.written[1].position == 3);
  CHECK(g.written[1].written_at == 1);
  CHECK(g.written[1].erased_at == 2);
  CHECK_FALSE(g.written[1].is_rewrite);
  CHECK(g.written[2].token == 3);
  CHECK(g.written[2].is_rewrite);
  CHECK_FALSE(g.written[3].is_rewrite);
  CHECK(g.written[0].erased_at == 5);
  CHECK(g.written[6].token == 9);
  CHECK(g.written[6].erased_at == -1);
  // The tree of these actions ends in the same state.
  const state_tree tree = pack_tree(ids_t{7, 8}, {g.actions.begin(), g.actions.end() - 1});
  ids_t state;
  for (index node = tree.at.back(); node >= 0; node = tree.parent[static_cast<std::size_t>(node)])
    state.insert(state.begin(), tree.token[static_cast<std::size_t>(node)]);
  CHECK(state == g.state);
}

TEST_CASE("the paper's replays: wrong digits of the prompt are erased") {
  // 0 bos, 1 minus, 2..11 the digits
  const auto ids = [](const std::string& text) {
    ids_t result;
    for (const char c : text) result.push_back(c == '-' ? 1 : c == 'B' ? backspace : c - '0' + 2);
    return result;
  };
  const std::vector<std::array<std::string, 3>> replays{{"-1011", "BBB1101111B1011000010", "-11101111011000010"},
                                                        {"5", "B4417", "4417"},
                                                        {"-374", "BBB576126", "-576126"},
                                                        {"-31", "B31B11111", "-3311111"}};
  for (const auto& [written, actions, final] : replays) {
    tabular_model model(vocab, 100);
    ids_t prompt = ids(written), expected = ids(final);
    prompt.insert(prompt.begin(), 0);
    expected.insert(expected.begin(), 0);
    const ids_t script = ids(actions);
    const generation g = replay(model, prompt, {script.begin(), script.end()},
                                {.actions = all_actions, .floor = erase_floor::beginning});
    CHECK(g.state == expected);
    CHECK(g.end == generation_end::exhausted);
    CHECK(g.kept_prompt < static_cast<index>(prompt.size()));
    const auto is_prompts = [](const written_token& w) { return w.written_at < 0; };
    CHECK(std::count_if(g.written.begin(), g.written.end(), is_prompts) ==
          static_cast<index>(prompt.size()) - g.kept_prompt);
  }
}

TEST_CASE("at the floor erasing does nothing, or is masked") {
  tabular_model model(vocab, 100);
  const generation g = replay(model, {3}, {backspace, erase_3, reset, 1, erase_3, 2, end}, {.actions = all_actions});
  CHECK(g.state == ids_t{3, 2});
  CHECK(g.erased == 1);
  CHECK(g.ids.size() == 7);
  CHECK(model.forwards == 2);
  // Masked: never drawn there, drawn above it.
  int at_floor = 0, above = 0;
  const sampler flat{temperature_scaling{100}};
  generate_options options{
      .actions = all_actions, .erasing_at_floor = at_floor::masked, .max_actions = 60, .max_tokens = 20};
  const std::vector<ids_t> prompts(20, ids_t{3, 4});
  generate(model, prompts, flat, options, sequential{}, [&](const action_event& e) {
    if (e.what.kind != action_kind::append) ++(e.erased == 0 ? at_floor : above);
    return true;
  });
  CHECK(at_floor == 0);
  CHECK(above > 20);
  options.erasing_at_floor = emend::at_floor::no_effect;
  generate(model, prompts, flat, options, sequential{}, [&](const action_event& e) {
    at_floor += e.what.kind != action_kind::append && e.erased == 0;
    return true;
  });
  CHECK(at_floor > 0);
}

TEST_CASE("every draw sees the scores of its state, however many are kept; what is kept costs no forward pass") {
  for (const index kept : {1, 2, 5, 100})
    for (const auto floor : {erase_floor::prompt_end, erase_floor::beginning}) {
      CAPTURE(kept);
      tabular_model model(vocab, 60);
      std::size_t draws = 0, wrong = 0;
      const sampler watching{[&](auto& c) {
        ids_t state;
        for (index k = 0; k < c.previous().size(); ++k) state.push_back(c.previous()[k]);
        for (index j = 0; j < c.vocab(); ++j)
          wrong += c.score(j) != static_cast<double>(tabular_model::score_of(state, j));
        ++draws;
      }};
      const generate_options options{
          .actions = all_actions, .floor = floor, .max_actions = 200, .max_tokens = 40, .kept_states = kept, .seed = 5};
      index tokens = 0, actions = 0, erasing = 0;
      for (const generation& g : generate(model, {{1, 2, 3}, {4}, {5, 6, 7, 8}}, watching, options)) {
        actions += static_cast<index>(g.ids.size());
        for (const action& a : g.actions)
          tokens += a.kind == action_kind::append && a.argument != end, erasing += a.kind != action_kind::append;
        CHECK(g.log_prob.size() == g.ids.size());
      }
      CHECK(wrong == 0);
      CHECK(static_cast<index>(draws) == actions);
      CHECK(erasing > 0);
      if (kept == 100 && floor == erase_floor::prompt_end) CHECK(model.forwards <= tokens);
      if (kept == 1) CHECK(model.forwards > tokens - 3);
    }
}

TEST_CASE("caps") {
  tabular_model model(vocab, 10);
  const generate_options none{.actions = all_actions};
  CHECK(generate(model, {{1}}, sampler<>{}, {.actions = all_actions, .max_actions = 0})[0].end ==
        generation_end::exhausted);
  CHECK(generate(model, {{1}}, sampler<>{}, {.max_tokens = 0})[0].end == generation_end::full);
  const generation longest = generate(model, {{1, 2}}, sampler<>{}, {})[0];
  CHECK(longest.end == generation_end::full);
  CHECK(longest.state.size() == 10);
  const generation capped = generate(model, {{1, 2}}, sampler<>{}, {.max_tokens = 5})[0];
  CHECK(capped.state.size() == 7);
  CHECK(model.forwards == 7 + 4);  // nothing is read after the last token
  CHECK(generate(model, {{1, 2}}, sampler<>{}, {.max_actions = 3})[0].ids.size() == 3);
  std::deque<index> loop;
  for (int i = 0; i < 50; ++i) loop.push_back(1), loop.push_back(backspace);
  const generation g = generate(model, {{1}}, following(loop), {.actions = all_actions, .max_actions = 80})[0];
  CHECK(g.end == generation_end::exhausted);
  CHECK(g.erased == 40);
  CHECK(generate(model, {}, sampler<>{}).empty());
}

TEST_CASE("the same actions for any number of threads and any cut of the batch") {
  std::vector<ids_t> prompts;
  for (index b = 0; b < 17; ++b) prompts.push_back(ids_t(static_cast<std::size_t>(1 + b % 4), b % 11));
  generate_options options{.actions = all_actions, .max_actions = 50, .max_tokens = 20, .seed = 99};
  const sampler how{temperature_scaling{1.3}, top_k_filter{10}, repetition_penalty{1.1}};
  tabular_model model(vocab, 100);
  const auto one = generate(model, prompts, how, options);
  thread_pool pool(3);
  const auto three = generate(model, prompts, how, options, pool);
  options.first_stream = 9;
  const auto rest = generate(model, {prompts.begin() + 9, prompts.end()}, how, options);
  for (std::size_t b = 0; b < prompts.size(); ++b) {
    CHECK(one[b].ids == three[b].ids);
    CHECK(one[b].log_prob == three[b].log_prob);
    if (b >= 9) CHECK(one[b].ids == rest[b - 9].ids);
  }
  CHECK(one[0].ids != one[4].ids);  // the same prompt length, other streams
}

TEST_CASE("a stream sees every action in order, and can stop") {
  tabular_model model(vocab, 100);
  std::vector<ids_t> seen(3);
  const generate_options options{.actions = all_actions, .max_actions = 30};
  const auto all = generate(model, {{1}, {2}, {3}}, sampler<>{}, options, sequential{}, [&](const action_event& e) {
    auto& own = seen[static_cast<std::size_t>(e.sequence)];
    CHECK(e.number == static_cast<index>(own.size()));
    own.push_back(e.id);
    return e.sequence != 1 || own.size() < 2;
  });
  for (std::size_t b = 0; b < 3; ++b) CHECK(all[b].ids == seen[b]);
  CHECK((all[1].end == generation_end::stopped || all[1].end == generation_end::ended));
}

TEST_CASE("wrong use is refused") {
  tabular_model model(vocab, 100);
  const sampler<> plain;
  CHECK_THROWS_NAMING(generate(model, {{}}, plain), "prompts");
  CHECK_THROWS_NAMING(generate(model, {{1}}, plain, {.actions = {.end = vocab}}), "actions.end");
  CHECK_THROWS_NAMING(generate(model, {{1}}, plain, {.actions = {.backspace = -2}}), "actions.backspace");
  CHECK_THROWS_NAMING(generate(model, {{1}}, plain, {.actions = {.end = 3, .reset = 3}}), "actions.reset");
  CHECK_THROWS_NAMING(generate(model, {{1}}, plain, {.actions = {.erase = {{4, 0}}}}), "actions.erase");
  CHECK_THROWS_NAMING(generate(model, {{1}}, plain, {.max_actions = -1}), "max_actions");
  CHECK_THROWS_NAMING(generate(model, {{1}}, plain, {.max_tokens = -1}), "max_tokens");
  CHECK_THROWS_NAMING(generate(model, {{1}}, plain, {.kept_states = 0}), "kept_states");
  CHECK_THROWS_NAMING(generate(model, {{1}}, plain, {.first_stream = -1}), "first_stream");
}

}  // namespace
