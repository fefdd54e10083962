// Score processors, contrastive search, unlikelihood.

#include "vector_case.hpp"

#include <emend/losses/unlikelihood.hpp>
#include <emend/sampling/contrastive_search.hpp>

#include <sstream>

namespace golden {
namespace {

template <class T>
void processors_in(vector_case& c) {
  const std::vector<double> numbers = c.input("logits").data;
  const std::vector<T> logits(numbers.begin(), numbers.end());
  std::vector<emend::index> previous;
  if (c.has_input("previous")) previous = c.input("previous").ids();
  emend::candidates<T> left;
  left.assign(logits.data(), static_cast<emend::index>(logits.size()), 1, previous);
  const emend::index least =
      c.has_parameter("min_tokens_to_keep") ? static_cast<emend::index>(c.parameter("min_tokens_to_keep")) : 1;
  std::istringstream order(c.text("order"));
  for (std::string name; std::getline(order, name, ',');) {
    const double of = c.parameter(name);
    if (name == "temperature")
      emend::temperature_scaling{of}(left);
    else if (name == "top_k")
      emend::top_k_filter{static_cast<emend::index>(of), least}(left);
    else if (name == "top_p")
      emend::top_p_filter{of, least}(left);
    else if (name == "min_p")
      emend::min_p_filter{of, least}(left);
    else if (name == "typical_p")
      emend::typical_filter{of, least}(left);
    else if (name == "epsilon")
      emend::epsilon_filter{of, least}(left);
    else if (name == "eta")
      emend::eta_filter{of, least}(left);
    else if (name == "repetition_penalty")
      emend::repetition_penalty{of}(left);
    else if (name == "no_repeat_ngram")
      emend::no_repeat_ngram_filter{static_cast<emend::index>(of)}(left);
    else
      throw std::runtime_error("unknown processor " + name);
  }
  std::vector<emend::index> kept;
  std::vector<double> probability;
  for (emend::index i = 0; i < left.size(); ++i) {
    if (left.score(i) == -std::numeric_limits<double>::infinity()) continue;
    kept.push_back(left.id(i));
    probability.push_back(left.probability(i));
  }
  c.expect_exactly("kept", kept);
  const array expected = c.output("probability");
  if (expected.data.size() != probability.size()) {  // over the whole vocabulary
    std::vector<double> all(expected.data.size(), 0);
    for (std::size_t i = 0; i < kept.size(); ++i) all.at(static_cast<std::size_t>(kept[i])) = probability[i];
    probability = all;
  }
  c.expect("probability", probability);
}
std::string processors(vector_case& c) {
  in_precision(c, [&]<class T>() { processors_in<T>(c); });
  return {};
}

template <class T>
void contrastive_in(vector_case& c) {
  const std::vector<double> numbers = c.input("logits").data;
  const std::vector<T> logits(numbers.begin(), numbers.end());
  const auto found = emend::most_probable(logits.data(), static_cast<emend::index>(logits.size()),
                                          static_cast<emend::index>(c.parameter("k")));
  const auto chosen = emend::contrastive_choice(found.probability, c.input("candidate_hidden").matrix<T>(),
                                                c.input("context_hidden").matrix<T>(), c.parameter("alpha"));
  c.expect_exactly("candidate", found.id);
  c.expect("probability", found.probability);
  c.expect("penalty", chosen.penalty);
  c.expect("score", chosen.score);
  c.expect_exactly("selected", {found.id[static_cast<std::size_t>(chosen.selected)]});
}
std::string contrastive_search(vector_case& c) {
  in_precision(c, [&]<class T>() { contrastive_in<T>(c); });
  return {};
}

template <class T>
void unlikelihood_in(vector_case& c) {
  const auto logits = c.input("logits").scores<T>();
  const auto target = c.input("target").ids(), prefix = c.input("prefix").ids();
  const std::vector<emend::index> offsets{0, static_cast<emend::index>(prefix.size())};
  const auto terms = emend::token_unlikelihood_terms(target, emend::padded(1, logits.rows()), {prefix, offsets});
  const auto result =
      emend::unlikelihood_loss(logits, terms,
                               {.alpha = c.parameter("alpha"),
                                .clamp_min = c.has_parameter("clamp_min") ? c.parameter("clamp_min") : 0,
                                .normaliser = c.text("reduction") == "mean" ? static_cast<double>(target.size()) : 1});
  c.expect("loss", result.value);
  c.expect("mle", result.likelihood);
  c.expect("unlikelihood", result.unlikelihood);
  c.expect_gradient("logits", result.gradient);
}
std::string unlikelihood(vector_case& c) {
  in_precision(c, [&]<class T>() { unlikelihood_in<T>(c); });
  return {};
}

const known_group known[] = {
    {"sampling/contrastive_search", contrastive_search},
    {"sampling/unlikelihood", unlikelihood},
    {"sampling/processors", processors},
};

}  // namespace
}  // namespace golden
