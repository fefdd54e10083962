#pragma once

#include <mutex>

#include <emend/losses/unlikelihood.hpp>
#include <sequence_match/arithmetic.hpp>
#include <sequence_match/contrastive_writing.hpp>
#include <sequence_match/text_measures.hpp>

namespace sequence_match {

/// Everything that the numbers of the text experiment depend on.
struct text_options {
  corpus_options corpus = {};
  std::size_t evaluated = 250;  // held-out passages, the same for every arm
  int rounds = 3;               // times that each is continued
  int layers = 3, dim = 96, heads = 4;
  long long base_steps = 2000, steps = 400;
  emend::index batch = 32;
  double base_rate = 3e-3, rate = 5e-4;
  double alpha = 0.01, gamma = 0.998;
  double level = 0.01;  // of errors, where there are any
  double unlikelihood = 1;
  emend::index sample_every = 25, rollouts = 32, capacity = 256;
  int seeds = 2;
  std::uint64_t first_seed = 1;
};

/// The arms, all from the same model after maximum likelihood, each trained on by its own loss.
enum class text_method { likelihood, unlikelihood, cloning, matching, matching_without_backspace };
inline constexpr std::array<const char*, 5> text_method_names{"MLE", "MLE + unlikelihood", "MLE + backspace",
                                                              "SequenceMatch", "SequenceMatch, no backspace"};
inline constexpr const char* contrastive_name =
    "MLE + contrastive search";  // another way of writing, with the MLE arm's model

struct text_arm {
  text_method by = text_method::likelihood;
  std::uint64_t seed = 1;
  bool has_backspace() const { return by == text_method::cloning || by == text_method::matching; }
};
inline std::string name_of(const text_arm& a) {
  return std::string(text_method_names[static_cast<std::size_t>(a.by)]) + " | seed " + std::to_string(a.seed);
}

/// What is written at one time of writing, and the measures of it.
struct text_result {
  std::vector<text_measures> rounds;
  emend::interval perplexity;
  double erased = 0;  // share of actions that erase
  double loss = 0;
  std::vector<shown_writing> shown;
};

inline nlohmann::json to_json(const text_result& r) {
  nlohmann::json j{{"perplexity", {r.perplexity.value, r.perplexity.low, r.perplexity.high}},
                   {"erased", r.erased},
                   {"loss", r.loss}};
  for (const text_measures& m : r.rounds) {
    j["mauve"].push_back(m.mauve);
    j["mauve_star"].push_back(m.mauve_star);
    j["entropy"].push_back({m.entropy.value, m.entropy.low, m.entropy.high});
    j["diversity"].push_back({m.diversity.value, m.diversity.low, m.diversity.high});
  }
  for (const shown_writing& s : r.shown) j["shown"].push_back(to_json(s));
  return j;
}

/// Passages that are continued, and what people wrote there.
struct held_out_texts {
  std::vector<ids> prompts, human;
};
inline held_out_texts held_out_of(const text_options& o, const corpus& c) {
  held_out_texts texts;
  for (std::size_t i = 0; i < std::min(o.evaluated, c.held_out.size()); ++i) {
    // Evenly over the part that is held out.
    const ids& passage = c.held_out[i * c.held_out.size() / std::min(o.evaluated, c.held_out.size())];
    texts.prompts.push_back({c.start});
    texts.prompts.back().insert(texts.prompts.back().end(), passage.begin(), passage.begin() + o.corpus.prompt);
    texts.human.emplace_back(passage.begin() + o.corpus.prompt, passage.begin() + o.corpus.prompt + o.corpus.length);
  }
  return texts;
}

inline emend::action_ids text_actions(const corpus& c, bool has_backspace) {
  return {.end = c.end, .backspace = has_backspace ? c.backspace : -1};
}

/// A passage with errors at this level, each erased at once, cut where the context ends.
inline emend::trajectory passage_trajectory(const text_options& o, const corpus& c, const ids& passage, double level,
                                            std::uint64_t seed, std::uint64_t number) {
  const emend::drawn_errors errors =
      emend::draw_errors(static_cast<emend::index>(passage.size()), emend::uniform_noise{c.writable, c.first_writable},
                         {.level = level, .seed = seed, .stream = number});
  const emend::action_ids actions = text_actions(c, true);
  return emend::cut_trajectory(
      emend::data_trajectory(ids{c.start},
                             emend::augment_with_errors(passage, errors.run_length, errors.noise_tokens, c.backspace),
                             actions),
      o.corpus.prompt + o.corpus.length, emend::overlong_treatment::forced_end, actions);
}

inline std::vector<emend::generation> continue_texts(const text_options& o, const corpus& c,
                                                     const lm::weights<float>& w, const std::vector<ids>& prompts,
                                                     bool has_backspace, std::uint64_t seed) {
  return write_from(w, prompts, has_backspace ? -1 : c.backspace, 1,
                    {.actions = text_actions(c, has_backspace),
                     .max_actions = 3 * o.corpus.length,
                     .max_tokens = o.corpus.length,
                     .seed = seed});
}

/// Steps of maximum likelihood of passages, from any model.
inline std::optional<lm::weights<float>> train_base(const text_options& o, const corpus& c, lm::weights<float> first,
                                                    std::uint64_t seed, const common::report_progress& on_step) {
  tree_policy policy(std::move(first), optimizer_of(o.base_rate, o.base_steps));
  emend::shuffled_stream order(static_cast<emend::index>(c.training.size()), seed);
  emend::index number = 0;
  for (long long step = 0; step < o.base_steps; ++step) {
    std::vector<emend::trajectory> batch;
    for (emend::index k = 0; k < o.batch; ++k)
      batch.push_back(passage_trajectory(o, c, c.training[static_cast<std::size_t>(order(number++))], 0, seed, 0));
    const emend::trajectory_forest forest(batch);
    policy.differentiate(forest, [&](const auto& scores, auto& gradient) {
      emend::evaluate_trajectories_into(likelihood_objective, scores, forest.columns(),
                                        {.data_normaliser = static_cast<double>(o.batch)}, gradient);
    });
    policy.step();
    if (step % 20 == 0 && !on_step(static_cast<double>(step) / static_cast<double>(o.base_steps))) return std::nullopt;
  }
  return policy.model();
}

/// Token-level unlikelihood: what stood before in the passage is pushed down.
inline std::optional<lm::weights<float>> train_unlikely(const text_options& o, const corpus& c,
                                                        lm::weights<float> first, std::uint64_t seed, double& loss,
                                                        const common::report_progress& on_step) {
  tree_policy policy(std::move(first), optimizer_of(o.rate, o.steps));
  emend::shuffled_stream order(static_cast<emend::index>(c.training.size()), seed);
  emend::index number = 0;
  for (long long step = 0; step < o.steps; ++step) {
    lm::batch packed;
    std::vector<emend::index> targets, offsets{0};
    for (emend::index k = 0; k < o.batch; ++k) {
      const ids& passage = c.training[static_cast<std::size_t>(order(number++))];
      std::vector<int> text{static_cast<int>(c.start)};
      text.insert(text.end(), passage.begin(), passage.end() - 1);
      packed.add_sequence(text);
      targets.insert(targets.end(), passage.begin(), passage.end());
      offsets.push_back(static_cast<emend::index>(targets.size()));
    }
    const emend::unlikelihood_terms terms = emend::token_unlikelihood_terms(targets, emend::ragged(offsets));
    policy.differentiate(packed, [&](const auto& scores, auto& gradient) {
      const auto result = emend::unlikelihood_loss(
          scores, terms,
          {.alpha = o.unlikelihood, .clamp_min = 1e-5, .normaliser = static_cast<double>(targets.size())});
      gradient = result.gradient;
      loss = result.value;
    });
    policy.step();
    if (step % 10 == 0 && !on_step(static_cast<double>(step) / static_cast<double>(o.steps))) return std::nullopt;
  }
  return policy.model();
}

/// What the arms of one seed share: the model after maximum likelihood, whose hidden states are the features of MAUVE,
/// too.
struct text_seed {
  std::once_flag is_made;
  std::optional<lm::weights<float>> base;
};

/// One arm's model.
inline std::optional<lm::weights<float>> train_text(const text_options& o, const corpus& c, const text_arm& a,
                                                    const lm::weights<float>& base, double& loss,
                                                    const common::report_progress& on_step) {
  if (a.by == text_method::unlikelihood) return train_unlikely(o, c, base, a.seed, loss, on_step);
  lm::weights<float> first = base;
  if (a.has_backspace()) start_unused_row(first, c.backspace);
  const bool is_matching = a.by == text_method::matching || a.by == text_method::matching_without_backspace;
  const loss_kind kind = is_matching                    ? loss_kind::chi2_mixture
                         : a.by == text_method::cloning ? loss_kind::cloning
                                                        : loss_kind::likelihood;
  std::vector<emend::trajectory> data;
  for (std::size_t i = 0; i < c.training.size(); ++i)
    data.push_back(passage_trajectory(o, c, c.training[i], a.has_backspace() ? o.level : 0, a.seed, i));
  tree_policy policy(std::move(first), optimizer_of(o.rate, o.steps));
  const emend::counter_random random{a.seed};
  const auto sample = [&](tree_policy& p, emend::index step, std::uint64_t seed) {
    std::vector<ids> prompts;
    for (emend::index k = 0; k < o.rollouts; ++k) {
      const ids& passage = c.training[static_cast<std::size_t>(random.below(
          static_cast<emend::index>(c.training.size()), 31, static_cast<std::uint64_t>(step * o.rollouts + k)))];
      prompts.push_back({c.start});
      prompts.back().insert(prompts.back().end(), passage.begin(), passage.begin() + o.corpus.prompt);
    }
    return rollouts_of(p.model(), prompts, a.has_backspace() ? -1 : c.backspace,
                       {.actions = text_actions(c, a.has_backspace()),
                        .max_actions = 2 * o.corpus.length,
                        .max_tokens = o.corpus.length,
                        .seed = seed});
  };
  emend::sequence_match_state state{emend::replay_buffer(o.capacity)};
  bool is_interrupted = false;
  with_objective(kind, o.alpha, o.gamma, [&](const auto& objective) {
    return emend::train_sequence_match(
        policy, data, sample, [&](emend::index) { return objective; },
        {.data_batch = o.batch,
         .rollout_batch = is_matching ? o.batch / 2 : 0,
         .sample_every = o.sample_every,
         .seed = a.seed},
        state, static_cast<emend::index>(o.steps),
        [&](const emend::sequence_match_report& r) {
          loss += (r.objective.value - loss) / (1 + std::min(50.0, static_cast<double>(r.step)));
          is_interrupted = r.step % 10 == 0 && !on_step(static_cast<double>(r.step) / static_cast<double>(o.steps));
          return !is_interrupted;
        });
  });
  if (is_interrupted) return std::nullopt;
  return policy.model();
}

/// Continues the held-out passages and measures what was written.
inline text_result measure_arm(const text_options& o, const corpus& c, const held_out_texts& texts,
                               const lm::weights<float>& w, const lm::weights<float>& features, bool has_backspace,
                               std::uint64_t seed) {
  text_result result;
  double actions = 0;
  for (int round = 0; round < o.rounds; ++round) {
    const auto written =
        continue_texts(o, c, w, texts.prompts, has_backspace, seed * 1000 + static_cast<std::uint64_t>(round));
    std::vector<ids> continuations;
    for (std::size_t i = 0; i < written.size(); ++i) {
      const emend::generation& g = written[i];
      continuations.push_back(g.response());
      actions += static_cast<double>(g.ids.size());
      result.erased += static_cast<double>(g.erased);
      if (g.erased > 0 && result.shown.size() < 8)
        result.shown.push_back({c.decode(texts.prompts[i]), "",
                                tokens_of(g, texts.prompts[i], 0, [&](emend::index id) { return c.decode({id}); }),
                                static_cast<long long>(g.ids.size()), true});
    }
    result.rounds.push_back(measure_texts(c, features, texts.prompts, texts.human, continuations, seed));
  }
  result.erased /= std::max(1.0, actions);
  result.perplexity = held_out_perplexity(w, texts.prompts, texts.human, seed);
  return result;
}

}  // namespace sequence_match
