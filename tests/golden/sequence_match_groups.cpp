// SequenceMatch: divergences, errors with backspaces, packing of states.

#include "sequence_match_case.hpp"

namespace golden {
namespace {

std::string phi(vector_case& c) {
  with_divergence(c, [&](const auto& d) {
    d.check();
    std::vector<double> value, slope;
    std::vector<emend::index> outside;
    for (const double x : c.input("x").data) {
      value.push_back(d.phi(x));
      slope.push_back(d.derivative(x));
      outside.push_back(d.is_outside(x));
    }
    c.expect("phi", value);
    c.expect_gradient("x", slope);
    c.expect_exactly("outside", outside);
  });
  return {};
}

std::string augment(vector_case& c) {
  const emend::noise_treatment treatment = c.has_text("noise", "env_noise")   ? emend::noise_treatment::environment
                                           : c.has_text("noise", "as_action") ? emend::noise_treatment::as_action
                                                                              : emend::noise_treatment::drop;
  const auto tokens = c.input("tokens").ids(), runs = c.input("run_length").ids(),
             noise = c.input("noise_tokens").ids();
  const auto result =
      emend::augment_with_errors(tokens, runs, noise, static_cast<emend::index>(c.parameter("bk_id")), treatment);
  c.expect_exactly("pushed", result.pushed);
  c.expect_exactly("label", result.label);
  return {};
}

std::string packing(vector_case& c) {
  const auto prompt = c.input("prompt").ids(), length = c.input("prompt_len").ids(),
             kind = c.input("action_kind").ids(), argument = c.input("action_arg").ids(),
             offset = c.input("action_offset").ids();
  const auto floor = c.has_text("floor", "bos") ? emend::erase_floor::beginning : emend::erase_floor::prompt_end;
  std::vector<emend::index> slot_token, slot_position, slot_offset{0}, attended, attend_offset{0};
  std::vector<emend::index> node_token, node_parent, node_depth, node_offset{0}, at, at_offset{0};
  emend::index first = 0;
  for (std::size_t j = 0; j < length.size(); ++j) {
    std::vector<emend::action> actions;
    for (auto k = static_cast<std::size_t>(offset[j]); k < static_cast<std::size_t>(offset[j + 1]); ++k)
      actions.push_back({static_cast<emend::action_kind>(kind[k]), argument[k]});
    const std::vector<emend::index> own(prompt.begin() + first, prompt.begin() + first + length[j]);
    first += length[j];
    const auto slots = emend::pack_slots(own, actions, floor);
    const auto attends = emend::list_attended(slots.parent);
    const auto tree = emend::pack_tree(own, actions, floor);
    const emend::index slots_before = slot_offset.back(), nodes_before = node_offset.back();
    for (std::size_t i = 0; i < slots.token.size(); ++i) {
      slot_token.push_back(slots.token[i]);
      slot_position.push_back(slots.position[i]);
      for (emend::index k = attends.offsets[i]; k < attends.offsets[i + 1]; ++k)
        attended.push_back(attends.attended[static_cast<std::size_t>(k)] + slots_before);
      attend_offset.push_back(static_cast<emend::index>(attended.size()));
    }
    for (std::size_t i = 0; i < tree.token.size(); ++i) {
      node_token.push_back(tree.token[i]);
      node_parent.push_back(tree.parent[i] < 0 ? -1 : tree.parent[i] + nodes_before);
      node_depth.push_back(tree.depth[i]);
    }
    for (const emend::index node : tree.at) at.push_back(node + nodes_before);
    slot_offset.push_back(static_cast<emend::index>(slot_token.size()));
    node_offset.push_back(static_cast<emend::index>(node_token.size()));
    at_offset.push_back(static_cast<emend::index>(at.size()));
  }
  c.expect_exactly("slot_token", slot_token);
  c.expect_exactly("slot_position", slot_position);
  c.expect_exactly("slot_offset", slot_offset);
  c.expect_exactly("attend_slot", attended);
  c.expect_exactly("attend_offset", attend_offset);
  c.expect_exactly("node_token", node_token);
  c.expect_exactly("node_parent", node_parent);
  c.expect_exactly("node_depth", node_depth);
  c.expect_exactly("node_offset", node_offset);
  c.expect_exactly("at", at);
  c.expect_exactly("at_offset", at_offset);
  return {};
}

std::string objective(vector_case& c) {
  in_precision(c, [&]<class T>() {
    const auto logits = c.input("logits").scores<T>();
    with_objective(c, [&](const auto& objective, const emend::trajectory_columns& columns,
                          const emend::trajectory_options& options) {
      const auto result = emend::evaluate_trajectories(objective, logits, columns, options);
      expect_objective(c, result, result.gradient.values());
      const double alone = emend::evaluate_trajectories_value(objective, logits, columns, options);
      if (alone != result.value) throw std::runtime_error("another value without the gradient");
    });
  });
  return {};
}

const known_group known[] = {
    {"sequence_match/phi", phi},
    {"sequence_match/objective", objective},
    {"sequence_match/augment", augment},
    {"packing/forms", packing},
};

}  // namespace
}  // namespace golden
