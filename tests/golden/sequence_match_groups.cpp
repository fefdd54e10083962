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
    const auto tree = emend::pack_tree(own, actions, floor);
    const emend::index slots_before = slot_offset.back(), nodes_before = node_offset.back();
    for (std::size_t i = 0; i < slots.token.size(); ++i) {
      slot_token.push_back(slots.token[i]);
      slot_position.push_back(slots.position[i]);
      for (emend::index k = slots.attend_offsets[i]; k < slots.attend_offsets[i + 1]; ++k)
        attended.push_back(slots.attended[static_cast<std::size_t>(k)] + slots_before);
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

const known_group known[] = {
    {"sequence_match/phi", phi},
    {"sequence_match/augment", augment},
    {"packing/forms", packing},
};

}  // namespace
}  // namespace golden
