// SequenceMatch's packings with the example model and the trained character models: the scores of a state do not depend
// on how it was come to, nor on how it was packed.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include <emend/eigen.hpp>
#include <emend/emend.hpp>
#include <lm/lm.hpp>

namespace {

using emend::action_kind;
using emend::index;

/// A forest as the model reads it.
lm::batch packed_of(const emend::trajectory_forest& forest) {
  lm::batch b;
  b.ids.assign(forest.token().begin(), forest.token().end());
  b.parent.assign(forest.parent().begin(), forest.parent().end());
  b.rows.assign(forest.rows().begin(), forest.rows().end());
  return b;
}

/// One trajectory with errors, multi-token erasing and a reset.
struct written {
  std::vector<index> prompt;
  std::vector<emend::action> actions;
};
written some_writing(std::uint64_t seed, index vocab, index prompt, index steps) {
  const emend::counter_random random{seed};
  written w;
  for (index i = 0; i < prompt; ++i) w.prompt.push_back(random.below(vocab, 0, static_cast<std::uint64_t>(i)));
  for (index i = 0; i < steps; ++i) {
    const auto counter = static_cast<std::uint64_t>(i);
    const double u = random.uniform(1, counter);
    if (u < 0.7)
      w.actions.push_back({action_kind::append, random.below(vocab, 2, counter)});
    else if (u < 0.98)
      w.actions.push_back({action_kind::erase, 1 + random.below(3, 3, counter)});
    else
      w.actions.push_back({action_kind::reset, 0});
  }
  return w;
}

/// Largest difference between the scores of all states of a trajectory: as a tree, as slots, and of each text alone.
template <class T>
double worst_difference(const lm::weights<T>& model, const written& w, emend::erase_floor floor,
                        bool compares_all_fresh) {
  const emend::state_tree tree = emend::pack_tree(w.prompt, w.actions, floor);
  const emend::state_slots slots = emend::pack_slots(w.prompt, w.actions, floor);
  lm::workspace<T> of_tree, of_slots, of_text;
  lm::batch one, two;
  one.ids.assign(slots.token.begin(), slots.token.end());
  one.parent.assign(slots.parent.begin(), slots.parent.end());
  for (std::size_t i = 0; i < slots.token.size(); ++i) one.rows.push_back(static_cast<int>(i));
  two.ids.assign(tree.token.begin(), tree.token.end());
  two.parent.assign(tree.parent.begin(), tree.parent.end());
  for (std::size_t i = 0; i < tree.token.size(); ++i) two.rows.push_back(static_cast<int>(i));
  lm::forward(model, one, of_slots);
  lm::forward(model, two, of_tree);
  double worst = 0;
  for (std::size_t k = 0; k < tree.at.size(); ++k) {
    const auto slot = static_cast<Eigen::Index>(w.prompt.size() - 1 + k), node = static_cast<Eigen::Index>(tree.at[k]);
    worst = std::max(
        worst, static_cast<double>((of_slots.logits().row(slot) - of_tree.logits().row(node)).cwiseAbs().maxCoeff()));
    if (!compares_all_fresh && k % 9 != 0) continue;
    std::vector<int> text;
    for (index n = tree.at[k]; n >= 0; n = tree.parent[static_cast<std::size_t>(n)])
      text.insert(text.begin(), static_cast<int>(tree.token[static_cast<std::size_t>(n)]));
    lm::batch plain;
    plain.add_sequence(text, static_cast<int>(text.size()) - 1);
    lm::forward(model, plain, of_text);
    worst = std::max(worst,
                     static_cast<double>((of_text.logits().row(0) - of_tree.logits().row(node)).cwiseAbs().maxCoeff()));
  }
  return worst;
}

lm::config small_config() {
  return {.dim = 16,
          .hidden_dim = 20,
          .layers = 2,
          .heads = 4,
          .key_value_heads = 2,
          .vocab_size = 11,
          .max_positions = 100,
          .is_classifier_shared = false};
}

TEST_CASE("both packings and each text alone have the same scores, in double") {
  const auto model = lm::random_weights<double>(small_config(), 3, 0.3);
  for (std::uint64_t seed = 0; seed < 20; ++seed)
    for (const emend::erase_floor floor : {emend::erase_floor::prompt_end, emend::erase_floor::beginning})
      CHECK(worst_difference(model, some_writing(seed, 11, 1 + static_cast<index>(seed % 4), 40), floor, true) < 1e-12);
}

TEST_CASE("both packings and each text alone have the same scores, with the trained models") {
  const char* data = std::getenv("EMEND_DATA");
  if (!data) {
    MESSAGE("skipped: EMEND_DATA is not set");
    return;
  }
  for (const std::string name : {"charllama105", "charllama361", "stories260K"}) {
    const std::string file = std::string(data) + "/models/" + name + "/" + name + ".bin";
    if (!std::filesystem::exists(file)) {
      MESSAGE("skipped: there is no ", file);
      continue;
    }
    const auto model = lm::read_llama2c(file);
    const double worst = worst_difference(model, some_writing(1, model.shape().vocab_size, 12, 100),
                                          emend::erase_floor::beginning, false);
    CHECK(worst < 1e-4);
    MESSAGE(name, ": worst difference of a logit ", worst);
  }
}

TEST_CASE("the objective's gradient reaches the model's parameters through the tree") {
  const emend::action_ids words{.end = 9, .backspace = 10};
  std::vector<emend::trajectory> all;
  for (std::uint64_t j = 0; j < 4; ++j) {
    const std::vector<index> tokens{1, 2, static_cast<index>(3 + j), 4, 9};
    const auto errors = emend::draw_errors(5, emend::uniform_noise{9}, {.level = 0.5, .seed = 4, .stream = j});
    all.push_back(emend::data_trajectory(
        std::vector<index>{0, 5},
        emend::augment_with_errors(tokens, errors.run_length, errors.noise_tokens, words.backspace), words));
  }
  all.push_back(emend::rollout_trajectory(std::vector<index>{0, 5}, std::vector<index>{1, 10, 10, 7, 9}, words));
  const emend::trajectory_forest forest(all);
  REQUIRE(static_cast<std::size_t>(forest.nodes()) < 5 * 2 + 30);
  const lm::batch packed = packed_of(forest);
  const emend::sequence_match_objective<emend::continued<emend::divergences::jensen_shannon>> objective{
      .alpha = 0.1, .gamma = 0.95, .masked_at_floor = 10, .mixture_coefficient = 0.25};
  lm::config c = small_config();
  packed.check(c);
  auto model = lm::random_weights<double>(c, 7, 0.3);
  lm::workspace<double> memory;
  const auto loss = [&] {
    lm::forward(model, packed, memory);
    return emend::evaluate_trajectories_value(objective, memory.logits(), forest.columns()).value;
  };
  lm::forward(model, packed, memory);
  lm::row_matrix<double> d_logits(packed.row_count(), c.vocab_size);
  emend::evaluate_trajectories_into(objective, memory.logits(), forest.columns(), {}, d_logits);
  lm::weights<double> gradient(c);
  lm::backward(model, packed, memory, lm::output_gradients<double>{.logits = d_logits.data()}, gradient);
  for (std::size_t i = 0; i < model.values().size(); i += 37) {
    double& x = model.values()[i];
    const double before = x, h = 1e-5;
    x = before + h;
    const double above = loss();
    x = before - h;
    const double below = loss();
    x = before;
    CHECK(gradient.values()[i] == doctest::Approx((above - below) / (2 * h)).epsilon(1e-5).scale(1));
  }
  // Each trajectory by itself gives the same: sharing is no more than that.
  double sum = 0;
  for (const emend::trajectory& t : all) {
    const emend::trajectory_forest one(std::vector<emend::trajectory>{t});
    lm::forward(model, packed_of(one), memory);
    sum += emend::evaluate_trajectories_value(objective, memory.logits(), one.columns()).value;
  }
  CHECK(sum == doctest::Approx(loss()).epsilon(1e-12));
}

}  // namespace
