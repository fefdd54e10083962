#pragma once

#include <sequence_match/arithmetic_summary.hpp>

namespace sequence_match {

/// Sums and differences in bases 2 to 16: every loss at every level and kind of noise.
/// engine: who computes the models, by name; cache: where the pretrained models are kept.
inline experiment arithmetic_experiment(const arithmetic_options& options, const std::string& engine,
                                        const std::string& cache) {
  const auto o = std::make_shared<arithmetic_options>(options);
  const auto arms = std::make_shared<std::vector<arithmetic_arm>>(arms_of(*o));
  experiment e;
  e.name = "arithmetic";
  e.fingerprint = {{"program", "sequence_match"},
                   {"task", "arithmetic"},
                   {"engine", engine},
                   {"lowest base", o->sizes.lowest_base},
                   {"highest base", o->sizes.highest_base},
                   {"digits", o->sizes.digits},
                   {"questions", o->questions},
                   {"held out", o->held_out},
                   {"layers", o->layers},
                   {"dim", o->dim},
                   {"heads", o->heads},
                   {"pretraining steps", o->pretraining_steps},
                   {"pretraining rate", o->pretraining_rate},
                   {"steps", o->steps},
                   {"scratch steps", o->scratch_steps},
                   {"rate", o->rate},
                   {"batch", o->batch},
                   {"alpha", o->alpha},
                   {"gamma", o->gamma},
                   {"sample every", o->sample_every},
                   {"rollouts", o->rollouts},
                   {"capacity", o->capacity}};
  nlohmann::json of_models;
  for (const char* key : {"engine", "lowest base", "highest base", "digits", "held out", "layers", "dim", "heads",
                          "pretraining steps", "pretraining rate", "batch"})
    of_models[key] = e.fingerprint[key];
  const auto seeds = std::make_shared<arithmetic_seeds>(*o, cache, of_models.dump());
  for (const arithmetic_arm& a : *arms)
    e.jobs.push_back({name_of(a), [a, o, seeds](const common::report_progress& on_step) -> nlohmann::json {
                        // What is made once for all arms of a seed is no part of this arm's progress.
                        const arithmetic_seed* shared =
                            seeds->of(a.seed, [&](double share) { return on_step(0.01 * share); });
                        if (!shared) return nullptr;
                        const auto result = run_arm(*o, a, *shared, on_step);
                        return result ? to_json(*result) : nlohmann::json(nullptr);
                      }});
  e.in_words = [](const std::string& name, const nlohmann::json& r) {
    const double asked = r.at("asked");
    return common::padded_to(52, name) +
           common::format(
               "right %4.1f %%, greedy %4.1f %%   backspaces %.3f   after one, two wrong digits %4.1f, %4.1f %%",
               100 * r.at("sampled").get<double>() / asked, 100 * r.at("greedy").get<double>() / asked,
               r.at("erased").get<double>() / asked, 100 * r.at("repaired_one").get<double>() / asked,
               100 * r.at("repaired_two").get<double>() / asked);
  };
  e.print = [o, arms](common::terminal& out, const common::result_lines& results) {
    print_arithmetic(out, *o, *arms, results);
  };
  e.csv = [arms](const common::result_lines& results) { return csv_of(*arms, results); };
  e.page = [o, arms](const common::result_lines& results) { return page_of(*arms, results, *o); };
  return e;
}

}  // namespace sequence_match
