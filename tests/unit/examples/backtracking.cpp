#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include <emend/sampling/generate.hpp>
#include <lm/backtracking_model.hpp>
#include <lm/lm.hpp>

namespace {

using emend::index;
using ids_t = std::vector<index>;

/// Generates with erasing, and compares the scores at every action with those of a fresh forward pass on its state.
template <class T>
void check_scores(const lm::weights<T>& w, const std::vector<ids_t>& prompts, const emend::generate_options& options,
                  double tolerance) {
  lm::backtracking_model<T> model(w);
  lm::workspace<T> s;
  double worst = 0;
  index draws = 0;
  const emend::sampler watching{
      [&](auto& c) {
        lm::batch b;
        std::vector<int> state;
        for (index k = 0; k < c.previous().size(); ++k) state.push_back(static_cast<int>(c.previous()[k]));
        b.add_sequence(state, static_cast<int>(state.size()) - 1);
        lm::forward(w, b, s);
        for (index j = 0; j < c.vocab(); ++j)
          worst = std::max(worst, std::abs(c.score(j) - static_cast<double>(s.logits()(0, j))));
        ++draws;
      },
      // The models never learned to erase: more than a third of the actions shall.
      [&](auto& c) {
        const double often = c.log_z();
        c.change(emend::id_column(&options.actions.backspace, 1), [&](index, double) { return often - 0.5; });
      }};
  index actions = 0, erased = 0, rewritten = 0;
  for (const emend::generation& g : emend::generate(model, prompts, watching, options)) {
    actions += static_cast<index>(g.ids.size());
    erased += g.erased;
    for (const auto& token : g.written) rewritten += token.is_rewrite;
  }
  CHECK(draws == actions);
  CHECK(erased > 10);
  CHECK(rewritten > 5);
  CHECK(worst < tolerance);
  MESSAGE(actions, " actions, ", erased, " tokens erased, worst difference of a score ", worst);
}

TEST_CASE("a generation with backspaces has the scores of a fresh forward pass at every step") {
  const lm::config small{.dim = 16,
                         .hidden_dim = 20,
                         .layers = 2,
                         .heads = 4,
                         .key_value_heads = 2,
                         .vocab_size = 11,
                         .max_positions = 40,
                         .is_classifier_shared = true};
  const auto w = lm::random_weights<double>(small, 7, 0.3);
  for (const auto floor : {emend::erase_floor::prompt_end, emend::erase_floor::beginning})
    for (const index kept : {1, 3, 50})
      check_scores(w, {{1, 2, 3}, {4}, {5, 6}},
                   {.actions = {.backspace = 9, .reset = 8, .erase = {{7, 3}}},
                    .floor = floor,
                    .max_actions = 80,
                    .kept_states = kept,
                    .seed = 3},
                   1e-12);
}

TEST_CASE("the same with real models") {
  const char* data = std::getenv("EMEND_DATA");
  if (!data) {
    MESSAGE("skipped: EMEND_DATA is not set");
    return;
  }
  for (const std::string name : {"stories260K", "charllama105", "charllama361"}) {
    CAPTURE(name);
    const auto w = lm::read_llama2c(std::string(data) + "/models/" + name + "/" + name + ".bin");
    // Id 2 ends a text; id 0, unknown, stands for the backspace that these models lack.
    check_scores(w, {{1}, {1, 50, 60, 70}, {1, 80, 90}},
                 {.actions = {.end = 2, .backspace = 0}, .max_actions = 60, .kept_states = 16, .seed = 11}, 1e-4);
  }
}

TEST_CASE("what is erased is given back, and wrong use refused") {
  const lm::config small{.dim = 16,
                         .hidden_dim = 20,
                         .layers = 1,
                         .heads = 4,
                         .key_value_heads = 4,
                         .vocab_size = 11,
                         .max_positions = 20,
                         .is_classifier_shared = true};
  const auto w = lm::random_weights<float>(small, 7, 0.3F);
  lm::backtracking_model<float> model(w);
  model.open({{1, 2, 3}});
  for (int i = 0; i < 50; ++i) {
    model.advance({0}, {4});
    model.roll_back(0, 3);
  }
  CHECK(model.cached() == 4);
  CHECK_THROWS_AS(model.roll_back(0, 4), std::invalid_argument);
  CHECK_THROWS_AS(model.roll_back(0, -1), std::invalid_argument);
  CHECK_THROWS_AS(model.open({{}}), std::invalid_argument);
  CHECK_THROWS_AS(model.advance({0}, {11}), std::invalid_argument);
  // Down to nothing: the first token is read again.
  model.roll_back(0, 0);
  const auto again = model.advance({0}, {1});
  lm::backtracking_model<float> fresh(w);
  const auto expected = fresh.open({{1}});
  for (index j = 0; j < 11; ++j) CHECK(again(0, j) == doctest::Approx(expected(0, j)));
}

}  // namespace
