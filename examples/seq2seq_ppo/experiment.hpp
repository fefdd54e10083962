#pragma once

#include <atomic>
#include <csignal>
#include <exception>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <thread>

#include <common/result_lines.hpp>
#include <common/terminal.hpp>
#include <seq2seq_ppo/arms.hpp>

namespace seq2seq_ppo {

/// What is learned: `make_words`, `make_stories`.
enum class task_kind { words, stories };

/// Everything that the numbers depend on.
struct experiment_options {
  task_kind of = task_kind::words;
  std::string data;
  int seeds = 5;
  std::uint64_t first_seed = 1;
  double rate = 0.5, noise = 0.1;
  std::vector<double> noise_sweep{0, 0.2, 0.3};
  int sweep_seeds = 2;  // seeds of the noise sweep and of the ablations
  int layers = 3, dim = 80, heads = 4;
  long long first_steps = 2500;
  double refusal_share = 0.02;
  std::size_t pairs = 8000, evaluated = 300;
  budget learning{.steps = 800};
  ppo_budget ppo;
  bool has_sweep = true, has_ablations = true, has_shortcuts = true;
};

/// The arms of an experiment, in the order in which they are run: the worlds that the claim is about come first.
inline std::vector<arm> arms_of(const experiment_options& o) {
  std::vector<arm> arms;
  const auto seeds = [&](int count, auto&& f) {
    for (int s = 0; s < count; ++s) f(o.first_seed + static_cast<std::uint64_t>(s));
  };
  seeds(o.seeds, [&](std::uint64_t seed) {
    for (const shortcut planted : {shortcut::none, shortcut::longer, shortcut::refusal}) {
      if (planted != shortcut::none && !o.has_shortcuts) continue;
      for (const method by : {method::scalar, method::seq2seq, method::dpo, method::rto})
        arms.push_back({{planted, o.rate, o.noise, seed}, by, {}});
    }
  });
  if (o.has_ablations) {
    using emend::reward_mode;
    const std::vector<form> forms{{.name = "prob", .mode = reward_mode::prob},
                                  {.name = "margin", .mode = reward_mode::margin},
                                  {.name = "logratio", .mode = reward_mode::logratio},
                                  {.name = "dense", .mode = reward_mode::dense},
                                  {.name = "per length", .normalise = emend::reward_normalisation::per_length},
                                  {.name = "positive only", .negative = 0},
                                  {.name = "negative only", .positive = 0},
                                  {.name = "correction only", .which = mappings::correction},
                                  {.name = "identity only", .which = mappings::identity}};
    seeds(std::min(o.sweep_seeds, o.seeds), [&](std::uint64_t seed) {
      for (const form& of : forms) arms.push_back({{shortcut::none, o.rate, o.noise, seed}, method::seq2seq, of});
    });
  }
  if (o.has_sweep)
    for (const double noise : o.noise_sweep)
      seeds(std::min(o.sweep_seeds, o.seeds), [&](std::uint64_t seed) {
        for (const method by : {method::scalar, method::seq2seq})
          arms.push_back({{shortcut::none, o.rate, noise, seed}, by, {}});
      });
  return arms;
}

inline std::string name_of(const arm& a) {
  return std::string(method_names[static_cast<std::size_t>(a.by)]) +
         (a.by == method::seq2seq ? " (" + a.of.name + ")" : "");
}
/// Names an arm among all: results are found again by it.
inline std::string key_of(const arm& a) {
  return name_of(a) + " | " + shortcut_names[static_cast<std::size_t>(a.from.planted)] +
         common::format(" %g | noise %g | seed ", a.from.rate, a.from.noise) + std::to_string(a.from.seed);
}

inline nlohmann::json to_json(const measurement& m) {
  std::vector<double> rounded;
  for (const double g : m.gold) rounded.push_back(std::round(g * 1e4) / 1e4);
  return {{"gold", rounded}, {"kl", m.kl}, {"exact", m.exact}, {"length", m.length}, {"refusal", m.refusal}};
}
inline measurement measurement_of(const nlohmann::json& j) {
  return {j.at("gold").get<std::vector<double>>(), j.at("kl"), j.at("exact"), j.at("length"), j.at("refusal")};
}

/// Results of finished arms, kept in a file.
class result_file {
 public:
  /// Throws as `common::result_lines`, and if a result is not whole.
  result_file(const std::string& path, const nlohmann::json& fingerprint, bool is_fresh)
      : lines_(path, fingerprint, is_fresh) {
    try {
      for (const auto& [key, object] : lines_.all()) add(key, object);
    } catch (const nlohmann::json::exception& error) {
      throw std::runtime_error(path + ": a result is not whole (" + error.what() +
                               "); give another --results, or --fresh");
    }
  }

  bool has(const arm& a) const { return results_.contains(key_of(a)); }
  const arm_result* find(const arm& a) const {
    const auto found = results_.find(key_of(a));
    return found == results_.end() ? nullptr : &found->second;
  }
  void put(const arm& a, const arm_result& result) {
    nlohmann::json object = nlohmann::json::object();
    for (const point& p : result.points)
      object["points"].push_back(
          {{"step", p.step}, {"held_out", to_json(p.held_out)}, {"unusual", to_json(p.unusual)}});
    for (const shown_response& s : result.shown)
      object["shown"].push_back(
          {{"prompt", s.prompt}, {"right", s.right}, {"tokens", s.tokens}, {"reward", s.reward}, {"gold", s.gold}});
    lines_.put(key_of(a), std::move(object));
    add(key_of(a), *lines_.find(key_of(a)));
  }

 private:
  void add(const std::string& key, const nlohmann::json& object) {
    arm_result result;
    for (const auto& p : object.at("points"))
      result.points.push_back({p.at("step"), measurement_of(p.at("held_out")), measurement_of(p.at("unusual"))});
    if (object.contains("shown"))
      for (const auto& s : object.at("shown"))
        result.shown.push_back({s.at("prompt"), s.at("right"), s.at("tokens").get<std::vector<std::string>>(),
                                s.at("reward").get<std::vector<double>>(), s.at("gold")});
    results_[key] = std::move(result);
  }
  common::result_lines lines_;
  std::map<std::string, arm_result> results_;
};

/// The task as a seed splits it.
using task_maker = std::function<task(std::uint64_t seed)>;

/// First policies by seed, each trained once whatever the number of worlds that ask for it.
class first_policies {
 public:
  first_policies(const experiment_options& o, const task_maker& make) : options_(o), make_(make) {}
  struct entry {
    std::once_flag is_made;
    std::optional<task> of;
    std::optional<lm::weights<float>> weights;
  };
  const entry& of_seed(std::uint64_t seed) {
    entry* found;
    {
      const std::lock_guard lock(mutex_);
      auto& slot = entries_[seed];
      if (!slot) slot = std::make_unique<entry>();
      found = slot.get();
    }
    std::call_once(found->is_made, [&] {
      found->of.emplace(make_(seed));
      const lm::config shape{.dim = options_.dim,
                             .hidden_dim = options_.dim * 8 / 3,
                             .layers = options_.layers,
                             .heads = options_.heads,
                             .key_value_heads = options_.heads,
                             .vocab_size = found->of->v.size(),
                             .max_positions = found->of->max_positions,
                             .is_classifier_shared = true};  // where the task brings no model
      found->weights.emplace(train_first_policy(*found->of, shape, options_.first_steps, options_.refusal_share, seed));
    });
    return *found;
  }

 private:
  const experiment_options& options_;
  const task_maker& make_;
  std::mutex mutex_;
  std::map<std::uint64_t, std::unique_ptr<entry>> entries_;
};

/// Runs the arms that have no result yet: worlds side by side on threads, the arms of a world one after the other.
/// is_interrupted: looked at between iterations; what is finished is kept. Returns whether everything is done.
inline bool run_arms(const experiment_options& o, const task_maker& make, const std::vector<arm>& arms, int threads,
                     result_file& results, common::terminal& out, const volatile std::sig_atomic_t& is_interrupted) {
  std::vector<std::vector<arm>> worlds;
  std::map<std::string, std::size_t> number;
  std::size_t total = 0;
  for (const arm& a : arms) {
    if (results.has(a)) continue;
    const std::string key = key_of({a.from, method::scalar, {}});
    if (!number.contains(key)) {
      number[key] = worlds.size();
      worlds.emplace_back();
    }
    worlds[number[key]].push_back(a);
    ++total;
  }
  if (total == 0) return true;
  first_policies first(o, make);
  std::mutex mutex;
  std::atomic<std::size_t> next{0};
  std::size_t done = 0;
  std::exception_ptr failure;
  const auto start = std::chrono::steady_clock::now();
  const auto elapsed = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };
  const auto work = [&] {
    try {
      for (std::size_t w = next++; w < worlds.size() && !is_interrupted && !failure; w = next++) {
        const auto& policy = first.of_seed(worlds[w].front().from.seed);
        if (is_interrupted) return;
        models m(*policy.of, worlds[w].front().from, *policy.weights, o.learning, o.pairs);
        for (const arm& a : worlds[w]) {
          const arm_result result = train_arm(*policy.of, m, a, o.ppo, [&](emend::index iteration) {
            const std::lock_guard lock(mutex);
            const double left =
                done == 0 ? 0 : elapsed() / static_cast<double>(done) * static_cast<double>(total - done);
            out.progress(common::format("  %zu of %zu runs   ", done, total) + key_of(a) +
                         common::format(": iteration %td of %td", iteration, o.ppo.iterations) +
                         (left > 0 ? "   " + common::in_seconds(left) + " left" : ""));
            return !is_interrupted;
          });
          if (result.points.empty()) return;
          const std::lock_guard lock(mutex);
          results.put(a, result);
          ++done;
          const measurement& last = result.points.back().held_out;
          out.line(common::format("  %3zu/%zu  %-58s kl %6.2f  gold %.3f  exact %4.1f %%", done, total,
                                  key_of(a).c_str(), last.kl, last.mean_gold(), 100 * last.exact));
        }
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> pool;
    for (int t = 0; t < threads; ++t) pool.emplace_back(work);
  }
  if (failure) std::rethrow_exception(failure);
  return done == total;
}

}  // namespace seq2seq_ppo
