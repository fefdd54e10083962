#pragma once

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include <emend/metrics/wilson.hpp>
#include <sequence_match/answer_noise.hpp>
#include <sequence_match/experiment.hpp>
#include <sequence_match/losses.hpp>
#include <sequence_match/shown_writing.hpp>
#include <sequence_match/tree_policy.hpp>

namespace sequence_match {

/// Everything that the numbers of the arithmetic experiment depend on.
struct arithmetic_options {
  question_sizes sizes = {};
  std::size_t questions = 5000, held_out = 2000;
  int layers = 3, dim = 96, heads = 4;
  long long pretraining_steps = 2500, steps = 1600, scratch_steps = 1500;
  emend::index batch = 64;
  double pretraining_rate = 3e-3, rate = 1e-3;
  double alpha = 0.01, gamma = 0.998;
  emend::index sample_every = 20, rollouts = 64, capacity = 512;
  std::vector<double> levels{0, 1e-3, 1e-2, 5e-2, 0.1};
  std::vector<double> divergence_levels;  // of those, the ones of the divergences beside chi-square; none: all
  std::vector<double> scratch_levels;     // of those, the ones of the arms from scratch; none: all
  int seeds = 2;
  std::uint64_t first_seed = 1;
  bool has_scratch = true, has_divergences = true;
};

/// One training run.
struct arithmetic_arm {
  bool is_pretrained = true;
  loss_kind loss = loss_kind::likelihood;
  noise_kind noise = noise_kind::ground_truth;  // of a level above 0
  double level = 0;
  std::uint64_t seed = 1;
};

/// Names an arm without its seed.
inline std::string group_of(const arithmetic_arm& a) {
  return std::string(a.is_pretrained ? "pretrained" : "from scratch") + " | " + name_of(a.loss) + " | " +
         (a.level > 0 ? std::string(name_of(a.noise)) + common::format(" %g", a.level) : "no noise");
}
inline std::string name_of(const arithmetic_arm& a) { return group_of(a) + " | seed " + std::to_string(a.seed); }

/// The arms in the order in which they are run: what the findings are about comes first.
inline std::vector<arithmetic_arm> arms_of(const arithmetic_options& o) {
  using enum loss_kind;
  std::vector<arithmetic_arm> arms;
  const auto add = [&](bool is_pretrained, const std::vector<loss_kind>& losses, double level) {
    for (const noise_kind noise : {noise_kind::ground_truth, noise_kind::random})
      for (const loss_kind loss : losses) {
        if (level == 0 && noise == noise_kind::random) continue;  // no noise is of no kind
        for (int s = 0; s < o.seeds; ++s)
          arms.push_back({is_pretrained, loss, noise, level, o.first_seed + static_cast<std::uint64_t>(s)});
      }
  };
  const auto add_all = [&](bool is_pretrained, const std::vector<double>& levels,
                           const std::vector<loss_kind>& losses) {
    // Without noise nothing is ever erased in the data: cloning is maximum likelihood.
    add(is_pretrained, {likelihood}, 0);
    for (auto level = levels.rbegin(); level != levels.rend(); ++level)
      if (*level > 0)
        add(is_pretrained, losses, *level);
      else
        add(is_pretrained, {losses.begin() + 1, losses.end()}, 0);
  };
  add_all(true, o.levels, {cloning, chi2, chi2_mixture});
  const std::vector<double>& of_scratch = o.scratch_levels.empty() ? o.levels : o.scratch_levels;
  const std::vector<double>& of_divergences = o.divergence_levels.empty() ? o.levels : o.divergence_levels;
  const auto add_divergences = [&](bool is_pretrained, const std::vector<double>& among) {
    for (auto level = of_divergences.rbegin(); level != of_divergences.rend(); ++level)
      if (std::find(among.begin(), among.end(), *level) != among.end())
        add(is_pretrained, {forward_kl, reverse_kl, jensen_shannon, hellinger}, *level);
  };
  if (o.has_divergences && !o.levels.empty()) {
    add_divergences(true, o.levels);
    add(true, {least_squares}, o.levels.back());
  }
  if (o.has_scratch) add_all(false, of_scratch, {cloning, chi2, chi2_mixture});
  if (o.has_scratch && o.has_divergences) add_divergences(false, of_scratch);
  return arms;
}

/// What a trained model does with the held-out questions.
struct arithmetic_result {
  double asked = 0;
  double sampled = 0, greedy = 0;  // right answers: drawn from the model, and its most probable action each time
  std::string right;               // of `sampled`, question by question: 1 or 0
  double erased = 0;               // backspaces in all, drawn
  double repaired_one = 0,
         repaired_two = 0;                // right answers where one, two wrong digits had been put after "Solution:"
  double erased_one = 0, erased_two = 0;  // of those: all wrong digits gone, and no more of the question than that
  double loss = 0, outside = 0;           // at the end of training; share of steps beyond the divergence's domain
  std::vector<shown_writing> shown, shown_repairs;
};

inline nlohmann::json to_json(const arithmetic_result& r) {
  nlohmann::json j{{"asked", r.asked},
                   {"sampled", r.sampled},
                   {"right", r.right},
                   {"greedy", r.greedy},
                   {"erased", r.erased},
                   {"repaired_one", r.repaired_one},
                   {"repaired_two", r.repaired_two},
                   {"erased_one", r.erased_one},
                   {"erased_two", r.erased_two},
                   {"loss", r.loss},
                   {"outside", r.outside}};
  for (const shown_writing& s : r.shown) j["shown"].push_back(to_json(s));
  for (const shown_writing& s : r.shown_repairs) j["shown_repairs"].push_back(to_json(s));
  return j;
}

/// What the arms of one seed share.
struct arithmetic_seed {
  std::once_flag is_made;
  std::vector<question> training, held_out;
  std::optional<lm::weights<float>> random, pretrained;
};

inline lm::adamw_options optimizer_of(double rate, long long steps) {
  return {.learning_rate = rate,
          .beta2 = 0.98,
          .weight_decay = 0.01,
          .max_norm = 1,
          .warmup_steps = std::min(100LL, steps / 5),
          .total_steps = steps,
          .schedule = lm::decay::linear,
          .final_fraction = 0.05};
}

/// Plain maximum likelihood, for what comes before the arms.
inline constexpr emend::sequence_match_objective<emend::divergences::identity> likelihood_objective{
    .gamma = 1, .data_value_weight = 1};

/// Maximum likelihood of questions that are drawn anew all the time, held-out ones left out.
inline std::optional<lm::weights<float>> pretrain(const arithmetic_options& o, const lm::weights<float>& first,
                                                  const std::set<std::string>& held_out, std::uint64_t seed,
                                                  const common::report_progress& on_step) {
  tree_policy policy(first, optimizer_of(o.pretraining_rate, o.pretraining_steps));
  const emend::counter_random random{seed};
  std::uint64_t number = 0;
  for (long long step = 0; step < o.pretraining_steps; ++step) {
    std::vector<emend::trajectory> batch;
    while (static_cast<emend::index>(batch.size()) < o.batch) {
      const question q = draw_question(o.sizes, random, 7, number++);
      if (!held_out.contains(q.text())) batch.push_back(answer_trajectory(q, noise_kind::random, 0, seed, 0));
    }
    const emend::trajectory_forest forest(batch);
    policy.differentiate(forest, [&](const auto& scores, auto& gradient) {
      emend::evaluate_trajectories_into(likelihood_objective, scores, forest.columns(),
                                        {.data_normaliser = static_cast<double>(o.batch)}, gradient);
    });
    policy.step();
    if (step % 50 == 0 && !on_step(static_cast<double>(step) / static_cast<double>(o.pretraining_steps)))
      return std::nullopt;
  }
  return policy.model();
}

inline emend::generate_options answer_options(const arithmetic_options& o, bool has_backspace, emend::erase_floor floor,
                                              std::uint64_t seed) {
  emend::action_ids actions = answer_actions();
  if (!has_backspace) actions.backspace = -1;
  return {.actions = actions,
          .floor = floor,
          .max_actions = 10 * question_tokens::longest_answer(o.sizes),
          .max_tokens = question_tokens::longest_answer(o.sizes) + 2,
          .seed = seed};
}

/// Asks all held-out questions in three ways.
inline arithmetic_result evaluate_answers(const arithmetic_options& o, const lm::weights<float>& w,
                                          const std::vector<question>& held_out, bool has_backspace,
                                          std::uint64_t seed) {
  using tokens = question_tokens;
  arithmetic_result result;
  result.asked = static_cast<double>(held_out.size());
  const emend::index unused = has_backspace ? -1 : tokens::backspace;
  std::vector<ids> prompts;
  for (const question& q : held_out) prompts.push_back(tokens::prompt_of(q));
  // Nothing of the question can stand in the answer: a model that erased into it has no answer.
  const auto response = [](const emend::generation& g, const ids& prompt) {
    return g.kept_prompt < static_cast<emend::index>(prompt.size())
               ? ids{-1}
               : ids(g.state.begin() + static_cast<std::ptrdiff_t>(prompt.size()), g.state.end());
  };
  const auto is_right = [&](const emend::generation& g, std::size_t i) {
    return g.end == emend::generation_end::ended && tokens::is_right(held_out[i], response(g, prompts[i]));
  };
  const auto shown = [&](const emend::generation& g, const ids& prompt, std::size_t i) {
    return shown_writing{
        tokens::text_of(prompts[i]), held_out[i].answer(),
        tokens_of(g, prompt, prompt.size() - prompts[i].size(), [](emend::index id) { return tokens::text_of(id); }),
        static_cast<long long>(g.ids.size()), is_right(g, i)};
  };
  const auto drawn =
      write_from(w, prompts, unused, 1, answer_options(o, has_backspace, emend::erase_floor::prompt_end, seed));
  const auto best =
      write_from(w, prompts, unused, 0, answer_options(o, has_backspace, emend::erase_floor::prompt_end, seed));
  for (std::size_t i = 0; i < held_out.size(); ++i) {
    result.sampled += is_right(drawn[i], i);
    result.right += is_right(drawn[i], i) ? '1' : '0';
    result.greedy += is_right(best[i], i);
    result.erased += static_cast<double>(drawn[i].erased);
    if (drawn[i].erased > 0 && result.shown.size() < 8) result.shown.push_back(shown(drawn[i], prompts[i], i));
  }
  for (const int count : {1, 2}) {
    std::vector<ids> wrong = prompts;
    for (std::size_t i = 0; i < held_out.size(); ++i) {
      const ids start = wrong_start(held_out[i], 1, count, seed, i);
      wrong[i].insert(wrong[i].end(), start.begin(), start.end());
    }
    const auto repaired =
        write_from(w, wrong, unused, 1, answer_options(o, has_backspace, emend::erase_floor::beginning, seed));
    for (std::size_t i = 0; i < held_out.size(); ++i) {
      (count == 1 ? result.repaired_one : result.repaired_two) += is_right(repaired[i], i);
      (count == 1 ? result.erased_one : result.erased_two) +=
          repaired[i].kept_prompt <= static_cast<emend::index>(wrong[i].size()) - count &&
          repaired[i].kept_prompt >= static_cast<emend::index>(prompts[i].size());
      const bool is_shown = has_backspace && result.shown_repairs.size() < (count == 1 ? 5 : 10) &&
                            (is_right(repaired[i], i) || i % 2 == 0);
      if (is_shown) result.shown_repairs.push_back(shown(repaired[i], wrong[i], i));
    }
  }
  return result;
}

/// Trains one arm and evaluates it; nothing where it was interrupted.
inline std::optional<arithmetic_result> run_arm(const arithmetic_options& o, const arithmetic_arm& a,
                                                const arithmetic_seed& shared, const common::report_progress& on_step) {
  using tokens = question_tokens;
  lm::weights<float> first = a.is_pretrained ? *shared.pretrained : *shared.random;
  const bool has_backspace = a.loss != loss_kind::likelihood;
  if (a.is_pretrained && has_backspace) start_unused_row(first, tokens::backspace);
  std::vector<emend::trajectory> data;
  for (std::size_t i = 0; i < shared.training.size(); ++i)
    data.push_back(answer_trajectory(shared.training[i], a.noise, a.level, a.seed, i));
  tree_policy policy(
      first, a.is_pretrained ? optimizer_of(o.rate, o.steps) : optimizer_of(o.pretraining_rate, o.scratch_steps));
  const emend::counter_random random{a.seed};
  const auto sample = [&](tree_policy& p, emend::index step, std::uint64_t seed) {
    std::vector<ids> prompts;
    for (emend::index k = 0; k < o.rollouts; ++k)
      prompts.push_back(tokens::prompt_of(shared.training[static_cast<std::size_t>(random.below(
          static_cast<emend::index>(shared.training.size()), 21, static_cast<std::uint64_t>(step * o.rollouts + k)))]));
    return rollouts_of(p.model(), prompts, -1, answer_options(o, true, emend::erase_floor::prompt_end, seed));
  };
  emend::sequence_match_state state{emend::replay_buffer(o.capacity)};
  arithmetic_result last;
  bool is_interrupted = false;
  const long long steps = a.is_pretrained ? o.steps : o.scratch_steps;
  with_objective(a.loss, o.alpha, o.gamma, [&](const auto& objective) {
    return emend::train_sequence_match(
        policy, data, sample, [&](emend::index) { return objective; },
        {.data_batch = o.batch,
         .rollout_batch = has_rollouts(a.loss) ? o.batch : 0,
         .sample_every = o.sample_every,
         .seed = a.seed},
        state, static_cast<emend::index>(steps),
        [&](const emend::sequence_match_report& r) {
          const double share = 1 / (1 + std::min(50.0, static_cast<double>(r.step)));
          last.loss += share * (r.objective.value - last.loss);
          last.outside += share * (r.objective.outside_share() - last.outside);
          is_interrupted = r.step % 10 == 0 && !on_step(static_cast<double>(r.step) / static_cast<double>(steps));
          return !is_interrupted;
        });
  });
  if (is_interrupted) return std::nullopt;
  arithmetic_result result = evaluate_answers(o, policy.model(), shared.held_out, has_backspace, a.seed);
  result.loss = last.loss;
  result.outside = last.outside;
  return result;
}

/// A model that an earlier call of the same experiment kept in a file, if it is there. Throws std::runtime_error, with
/// the file's name, if the file is damaged.
inline std::optional<lm::weights<float>> kept_model(const std::string& path, const std::string& fingerprint,
                                                    const lm::config& shape) {
  if (!std::filesystem::exists(path)) return std::nullopt;
  auto saved = lm::load_checkpoint<float>(path);
  if (saved.user != fingerprint || !(saved.parameters.shape() == shape)) return std::nullopt;
  return std::move(saved.parameters);
}

/// The questions and first models of every seed, each made once, by whoever asks first. Pretrained models are kept in
/// files, so that an interrupted experiment goes on with them.
class arithmetic_seeds {
 public:
  /// cache: how the files' names start; fingerprint: what they depend on.
  arithmetic_seeds(const arithmetic_options& o, std::string cache, std::string fingerprint)
      : options_(o), cache_(std::move(cache)), fingerprint_(std::move(fingerprint)) {}
  /// nullptr where making them was interrupted.
  const arithmetic_seed* of(std::uint64_t seed, const common::report_progress& on_step) {
    arithmetic_seed* found;
    {
      const std::lock_guard lock(mutex_);
      auto& slot = entries_[seed];
      if (!slot) slot = std::make_unique<arithmetic_seed>();
      found = slot.get();
    }
    std::call_once(found->is_made, [&] {
      std::set<std::string> known;
      found->held_out = draw_questions(options_.held_out, options_.sizes, seed, 1, known);
      const std::set<std::string> held_out = known;
      found->training = draw_questions(options_.questions, options_.sizes, seed, 2, known);
      const lm::config shape{.dim = options_.dim,
                             .hidden_dim = options_.dim * 8 / 3,
                             .layers = options_.layers,
                             .heads = options_.heads,
                             .key_value_heads = options_.heads,
                             .vocab_size = question_tokens::count,
                             .max_positions = question_tokens::longest_prompt(options_.sizes) +
                                              question_tokens::longest_answer(options_.sizes) + 8,
                             .is_classifier_shared = false};
      found->random = lm::random_weights<float>(shape, seed, 0.08);
      const std::string path = cache_ + ".seed" + std::to_string(seed) + ".lm";
      found->pretrained = kept_model(path, fingerprint_, shape);
      if (found->pretrained) return;
      found->pretrained = pretrain(options_, *found->random, held_out, seed, on_step);
      if (found->pretrained)
        lm::save_checkpoint<float>(path, *found->pretrained, nullptr, options_.pretraining_steps, fingerprint_);
    });
    return found->pretrained ? found : nullptr;
  }

 private:
  const arithmetic_options& options_;
  std::string cache_, fingerprint_;
  std::mutex mutex_;
  std::map<std::uint64_t, std::unique_ptr<arithmetic_seed>> entries_;
};

}  // namespace sequence_match
