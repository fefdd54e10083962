// Token-level PPO put to the test: do sequence-to-sequence rewards (arXiv 2409.00162) make it less prone to shortcuts
// than a scalar reward model, DPO and RTO, from the same preference pairs? The gold reward is known and never shown to
// training.

#include <CLI/CLI.hpp>

#include <common/model_engine.hpp>
#include <common/program.hpp>
#include <seq2seq_ppo/page.hpp>
#include <seq2seq_ppo/stories.hpp>
#include <seq2seq_ppo/words.hpp>

namespace {

using namespace seq2seq_ppo;

struct options {
  experiment_options experiment;
  common::model_engine_options engine;
  std::string results = "seq2seq_ppo.results.jsonl", csv = "seq2seq_ppo.csv", html = "seq2seq_ppo.html";
  int threads = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  double divergence = 1;
  bool is_quick = false, is_smoke = false, is_fresh = false, has_no_ablations = false, has_no_noise_sweep = false;
  common::colour_choice colour = common::colour_choice::automatic;
};

void declare(CLI::App& app, options& o) {
  using namespace common;
  experiment_options& e = o.experiment;
  app.get_formatter()->column_width(30);
  const auto group = [](CLI::Option* option, const char* name, const char* value = "N") {
    if (option->get_expected_min() > 0) option->type_name(value);
    return option->group(name);
  };
  const char* task = "Task";
  group(app.add_option("--task", e.of,
                       "words (default): correction of misspellings; stories: the next sentence of a story")
            ->transform(one_of({{"words", 0}, {"stories", 1}})),
        task, "TASK");
  group(app.add_option("--data", e.data,
                       "of words: codespell's dictionary.txt (default, where it is installed) or a table of "
                       "misspellings, plain or gzip; of stories: the folder of its "
                       "models/ and text/"),
        task, "PATH");
  group(app.add_option("--seeds", e.seeds, "seeds, from --seed on")->check(in_range(1, 1000))->capture_default_str(),
        task);
  group(app.add_option("--seed", e.first_seed, "of the split, the models and every draw")->capture_default_str(), task);
  group(app.add_option("--rate", e.rate, "share of the labels that a planted shortcut decides")
            ->check(in_range(0.0, 1.0))
            ->capture_default_str(),
        task, "SHARE");
  group(app.add_option("--noise", e.noise, "share of the other labels that are the wrong way round")
            ->check(in_range(0.0, 0.5))
            ->capture_default_str(),
        task, "SHARE");
  group(app.add_option("--pairs", e.pairs, "preference pairs")->check(in_range(1, 10000000))->capture_default_str(),
        task);
  group(app.add_option("--evaluated", e.evaluated, "held-out prompts, and as many unusual ones")
            ->check(in_range(1, 100000))
            ->capture_default_str(),
        task);

  const char* models = "Models and training";
  group(app.add_option("--layers", e.layers, "layers of every model (of stories they come from the model)")
            ->check(in_range(1, 64))
            ->capture_default_str(),
        models);
  group(app.add_option("--dim", e.dim, "width of every model")->check(in_range(4, 4096))->capture_default_str(),
        models);
  group(app.add_option("--first-steps", e.first_steps, "steps of the first policy, supervised")
            ->check(in_range(1LL, 100000000LL))
            ->capture_default_str(),
        models);
  group(app.add_option("--steps", e.learning.steps, "steps of each model that learns from the pairs")
            ->check(in_range(1LL, 100000000LL))
            ->capture_default_str(),
        models);
  group(app.add_option("--iterations", e.ppo.iterations, "of PPO")->check(in_range(1, 1000000))->capture_default_str(),
        models);
  group(app.add_option("--prompts", e.ppo.prompts, "an iteration")->check(in_range(1, 1000000))->capture_default_str(),
        models);
  group(app.add_option("--learning-rate", e.ppo.learning_rate, "of PPO")->check(above_zero())->capture_default_str(),
        models, "X");
  group(app.add_option("--kl", e.ppo.kl_coefficient, "coefficient of the divergence in PPO's reward")
            ->check(in_range(0.0, 1e6))
            ->capture_default_str(),
        models, "X");
  group(app.add_option("--threads", o.threads, "runs side by side (default: all); the numbers do not depend on it")
            ->check(in_range(1, 1024)),
        models);
  group(app.add_flag("--no-ablations", o.has_no_ablations, "without the forms of the sequence-to-sequence reward"),
        models);
  group(app.add_flag("--no-noise-sweep", o.has_no_noise_sweep, "without other shares of label noise"), models);
  group(app.add_flag("--quick", o.is_quick,
                     "one seed, small models, no sweep and no ablations: some three minutes on two cores"),
        models);
  group(app.add_flag("--smoke", o.is_smoke, "far too little of everything, to see that all works: seconds"), models);

  declare_model_engine(app, o.engine, models);

  const char* output = "Output";
  group(app.add_option("--at", o.divergence,
                       "divergence from the first policy at which arms are compared, in nats a response (of stories 3)")
            ->check(above_zero())
            ->capture_default_str(),
        output, "X");
  group(app.add_option("--results", o.results, "finished runs; a second call goes on from them")->capture_default_str(),
        output, "FILE");
  group(app.add_flag("--fresh", o.is_fresh, "forget the results that are there"), output);
  group(app.add_option("--csv", o.csv, "every measured point; \"\": none")->capture_default_str(), output, "FILE");
  group(app.add_option("--html", o.html, "the page; \"\": none")->capture_default_str(), output, "FILE");
  group(app.add_option("--color", o.colour, "auto (default; NO_COLOR is respected), always, never")
            ->transform(one_of({{"auto", 0}, {"always", 1}, {"never", 2}})),
        output, "WHEN");
}

/// Other settings than the usual ones, where the caller has not given his own.
struct defaults {
  const CLI::App& app;
  template <class T, class U>
  void operator()(const char* name, T& value, U other) const {
    if (app.count(name) == 0) value = static_cast<T>(other);
  }
};

/// Stories: sentences are longer than words, the first policy is there nearly, and the gold reward is a model's.
void settle_stories(const CLI::App& app, options& o) {
  experiment_options& e = o.experiment;
  for (const char* of_model : {"--layers", "--dim"})
    if (app.count(of_model) > 0)
      throw std::runtime_error(std::string(of_model) + " is the model's in the task of stories; leave it out");
  const defaults set{app};
  set("--first-steps", e.first_steps, 500);
  set("--steps", e.learning.steps, 400);
  set("--pairs", e.pairs, 3000);
  set("--iterations", e.ppo.iterations, 14);
  set("--prompts", e.ppo.prompts, 128);
  set("--evaluated", e.evaluated, 150);
  set("--at", o.divergence, 3);
  e.ppo.measure_every = 2;
  e.has_sweep = e.has_ablations = false;
}

/// Smaller settings for a first look.
void shrink(const CLI::App& app, options& o) {
  experiment_options& e = o.experiment;
  const defaults set{app};
  e.has_sweep = e.has_ablations = false;
  set("--seeds", e.seeds, 1);
  set("--layers", e.layers, 2);
  set("--dim", e.dim, o.is_smoke ? 32 : 64);
  set("--first-steps", e.first_steps, o.is_smoke ? 60 : 900);
  set("--steps", e.learning.steps, o.is_smoke ? 30 : 300);
  set("--pairs", e.pairs, o.is_smoke ? 300 : 3000);
  set("--iterations", e.ppo.iterations, o.is_smoke ? 3 : 24);
  set("--prompts", e.ppo.prompts, o.is_smoke ? 48 : 128);
  set("--evaluated", e.evaluated, o.is_smoke ? 60 : 200);
  e.ppo.measure_every = o.is_smoke ? 1 : 3;
  if (e.of == task_kind::words) return;
  set("--first-steps", e.first_steps, o.is_smoke ? 10 : 200);
  set("--steps", e.learning.steps, o.is_smoke ? 5 : 150);
  set("--pairs", e.pairs, o.is_smoke ? 60 : 1000);
  set("--iterations", e.ppo.iterations, o.is_smoke ? 2 : 8);
  set("--prompts", e.ppo.prompts, o.is_smoke ? 16 : 96);
  set("--evaluated", e.evaluated, o.is_smoke ? 10 : 80);
}

nlohmann::json fingerprint_of(const experiment_options& e, const common::model_engine_options& engine) {
  const bool is_words = e.of == task_kind::words;
  return {{"engine", engine.name()},
          {"program", "seq2seq_ppo"},
          {"task", is_words ? "words" : "stories"},
          {"data", std::filesystem::path(e.data).filename().string()},
          {"data (hash)", seq2seq::hash_of(seq2seq::read_file(is_words ? e.data : story_files(e.data).stories))},
          {"pairs", e.pairs},
          {"evaluated", e.evaluated},
          {"layers", e.layers},
          {"dim", e.dim},
          {"first steps", e.first_steps},
          {"steps", e.learning.steps},
          {"iterations", e.ppo.iterations},
          {"prompts", e.ppo.prompts},
          {"learning rate", e.ppo.learning_rate},
          {"kl", e.ppo.kl_coefficient}};
}

/// Finds the data and says how a seed makes a task of it.
task_maker read_task(experiment_options& e) {
  if (e.of == task_kind::stories) {
    if (e.data.empty())
      throw std::runtime_error("the task of stories wants --data, the folder of its models/ and text/");
    const story_files files(e.data);
    return [files, judge = std::make_shared<likelihood_judge>(files.judge, files.judge_tokenizer),
            &e](std::uint64_t seed) {
      return task_of(e.data, [&] { return make_stories(files, judge, seed, e.evaluated); });
    };
  }
  if (e.data.empty()) e.data = seq2seq::find_dictionary();
  if (e.data.empty())
    throw std::runtime_error(
        "codespell's dictionary is not installed; install Debian's package codespell or PyPI's codespell, start with "
        "examples/run, which fetches it, or give --data");
  auto data = std::make_shared<seq2seq::data_set>(seq2seq::read_data(e.data));
  if (!data->is_words())
    throw std::runtime_error(e.data +
                             ": misspellings with what is right are wanted: codespell's dictionary or a table");
  return
      [data, &e](std::uint64_t seed) { return task_of(e.data, [&] { return make_words(*data, seed, e.evaluated); }); };
}

void run(options& o) {
  common::terminal out(o.colour);
  const common::model_engine engine(o.engine);
  experiment_options& e = o.experiment;
  const task_maker make = read_task(e);
  common::check_writable(o.csv, "--csv");
  common::check_writable(o.html, "--html");
  const std::vector<arm> arms = arms_of(e);
  result_file results(o.results, fingerprint_of(e, o.engine), o.is_fresh);
  std::size_t there = 0;
  for (const arm& a : arms) there += results.has(a);
  out.line(common::format("%zu runs, %zu of them finished before; %d at a time.", arms.size(), there, o.threads));
  const bool is_whole = run_arms(e, make, arms, o.threads, results, out, common::is_interrupted);
  std::vector<summary> all;
  for (const arm& a : distinct_arms(arms)) all.push_back(summarise(e, results, a, o.divergence));
  print_summary(out, all, o.divergence);
  if (!o.csv.empty()) common::write_whole(o.csv, csv_of(arms, results));
  if (!o.html.empty()) common::write_whole(o.html, page_of(e, arms, results, all, o.divergence));
  out.line();
  if (!o.html.empty()) out.line("Page: " + o.html + (o.csv.empty() ? "" : ", every point: " + o.csv));
  if (!is_whole) throw std::runtime_error("interrupted; the same command goes on from " + o.results);
}

}  // namespace

int main(int count, char** arguments) {
  options o;
  CLI::App app{
      "Trains policies on the same preference pairs by PPO with a sequence-to-sequence reward, PPO with a scalar "
      "reward, RTO and DPO, with and without a shortcut planted in\n"
      "the labels, and compares them by a gold reward at equal divergence from where they began.",
      "seq2seq_ppo"};
  declare(app, o);
  return common::run_program(app, count, arguments, [&] {
    o.experiment.has_ablations = !o.has_no_ablations;
    o.experiment.has_sweep = !o.has_no_noise_sweep;
    if (o.experiment.of == task_kind::stories) settle_stories(app, o);
    if (o.is_quick || o.is_smoke) shrink(app, o);
    common::notice_interrupts();
    run(o);
  });
}
