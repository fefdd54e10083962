// SequenceMatch: divergences, errors with backspaces, packing of states.

#include "vector_case.hpp"

namespace golden {
namespace {

/// f(divergence) with the case's divergence continued beyond its domain.
template <class F>
void with_divergence(const vector_case& c, F&& f) {
  using namespace emend::divergences;
  const double epsilon = c.has_parameter("domain_eps") ? c.parameter("domain_eps") : 1;
  const auto go = [&]<class D>(const D& d) { f(emend::continued<D>{d, epsilon}); };
  const std::string name = c.text("divergence");
  const bool is_clipped = c.is_true("clip_at_maximum");
  if (name == "identity") go(identity{});
  else if (name == "forward_kl") go(forward_kl{});
  else if (name == "forward_kl_raw") go(forward_kl_raw{});
  else if (name == "reverse_kl") go(reverse_kl{});
  else if (name == "reverse_kl_raw") go(reverse_kl_raw{});
  else if (name == "jensen_shannon") go(jensen_shannon{});
  else if (name == "squared_hellinger") go(squared_hellinger{});
  else if (name == "pearson_chi2") go(pearson_chi2{is_clipped});
  else if (name == "neyman_chi2") go(neyman_chi2{});
  else if (name == "mixture_chi2") go(mixture_chi2{is_clipped});
  else if (name == "total_variation") go(total_variation{c.parameter("tv_bound"), c.parameter("tv_penalty")});
  else throw std::runtime_error("a divergence of no known name: " + name);
}

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
  const auto tokens = c.input("tokens").ids(), runs = c.input("run_length").ids(), noise = c.input("noise_tokens").ids();
  const auto result = emend::augment_with_errors(tokens, runs, noise, static_cast<emend::index>(c.parameter("bk_id")), treatment);
  c.expect_exactly("pushed", result.pushed);
  c.expect_exactly("label", result.label);
  return {};
}

std::string packing(vector_case& c) {
  const auto prompt = c.input("prompt").ids(), length = c.input("prompt_len").ids(), kind = c.input("action_kind").ids(),
             argument = c.input("action_arg").ids(), offset = c.input("action_offset").ids();
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
  const auto ids = [&](const char* name) { return c.input(name).ids(); };
  const auto offsets = ids("offsets"), at = ids("at"), label = ids("label");
  const std::vector<double> is_rollout = c.input("is_model").data, is_complete = c.input("complete").data, is_at_floor = c.input("row_floor").data;
  const emend::trajectory_columns columns{offsets, at, label, is_rollout, is_complete, is_at_floor};
  const emend::trajectory_options options{.data_normaliser = c.parameter("data_normaliser"), .rollout_normaliser = c.parameter("model_normaliser")};
  in_precision(c, [&]<class T>() {
    const auto logits = c.input("logits").scores<T>();
    with_divergence(c, [&]<class D>(const D& divergence) {
      const emend::sequence_match_objective<D> objective{
          .divergence = divergence,
          .alpha = c.parameter("alpha"),
          .gamma = c.parameter("gamma"),
          .data_value_weight = c.parameter("data_value_weight"),
          .form = c.has_text("value_form", "summed") ? emend::value_form::summed : emend::value_form::telescoped,
          .weighting = c.has_text("weighting", "uniform") ? emend::step_weighting::uniform : emend::step_weighting::discounted,
          .terminal = c.has_text("terminal_value", "eos_logit") ? emend::terminal_value::end_score
                      : c.has_text("terminal_value", "zero")    ? emend::terminal_value::zero
                                                                : emend::terminal_value::log_z,
          .end_id = static_cast<emend::index>(c.parameter("eos_id")),
          .masked_at_floor = c.is_true("mask_backspace_at_floor") ? static_cast<emend::index>(c.parameter("bk_id")) : -1,
          .mixture_coefficient = c.is_true("mixture_penalty") ? c.parameter("mixture_coef") : 0,
          .has_mixture_tail = c.is_true("mixture_tail")};
      const auto result = emend::evaluate_trajectories(objective, logits, columns, options);
      const double bound = 1e-11;  // that of the file for this group
      c.expect_near("objective", std::vector<double>{result.objective()}, bound);
      c.expect_near("phi_term", std::vector<double>{result.data_term}, bound);
      c.expect_near("value_term", std::vector<double>{result.value_term}, bound);
      c.expect_near("penalty_term", std::vector<double>{result.rollout_term}, bound);
      c.expect_exactly("phi_count", {result.steps});
      c.expect_exactly("phi_outside", {result.outside});
      std::vector<T> ascent = result.gradient.values();
      for (T& g : ascent) g = -g;
      c.expect_near("logits", ascent, bound, true);
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
