// SequenceMatch put to the test (Cundy and Ermon 2024, arXiv 2306.05426): does learning to erase, and matching what the
// model itself does to the data, make a model better than maximum likelihood and than cloning errors with their
// backspaces?

#include <CLI/CLI.hpp>

#include <common/model_engine.hpp>
#include <common/program.hpp>
#include <sequence_match/arithmetic_experiment.hpp>
#include <sequence_match/tabular_experiment.hpp>
#include <sequence_match/text_experiment.hpp>

namespace {

using namespace sequence_match;

enum class task_kind { arithmetic, text, tabular, all };

struct options {
  task_kind task = task_kind::all;
  arithmetic_options arithmetic;
  text_options text;
  tabular_options tabular;
  common::model_engine_options engine;
  std::string only;
  std::string results = "sequence_match", csv = "sequence_match.csv", html = "sequence_match.html";
  int threads = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  bool is_quick = false, is_smoke = false, is_fresh = false, has_no_scratch = false, has_no_divergences = false;
  common::colour_choice colour = common::colour_choice::automatic;
};

void declare(CLI::App& app, options& o) {
  using namespace common;
  app.get_formatter()->column_width(30);
  const auto group = [](CLI::Option* option, const char* name, const char* value = "N") {
    if (option->get_expected_min() > 0) option->type_name(value);
    return option->group(name);
  };
  const char* general = "What is run";
  group(app.add_option("--task", o.task, "arithmetic, text, tabular, or all (default)")
            ->transform(one_of({{"arithmetic", 0}, {"text", 1}, {"tabular", 2}, {"all", 3}})),
        general, "TASK");
  group(app.add_option("--seed", o.arithmetic.first_seed, "of the first run; the models and every draw follow from it")
            ->capture_default_str(),
        general);
  group(app.add_option("--seeds", o.arithmetic.seeds, "seeds, from --seed on")
            ->check(in_range(1, 1000))
            ->capture_default_str(),
        general);
  group(app.add_option("--threads", o.threads, "runs side by side (default: all); the numbers do not depend on it")
            ->check(in_range(1, 1024)),
        general);
  group(app.add_option("--only", o.only, "only runs whose name holds this; the others can be added later"), general,
        "TEXT");
  group(app.add_flag("--quick", o.is_quick, "one seed, small models, few arms: less than four minutes on two cores"),
        general);
  group(app.add_flag("--smoke", o.is_smoke, "far too little of everything, to see that all works: seconds"), general);

  declare_model_engine(app, o.engine, general);

  arithmetic_options& a = o.arithmetic;
  const char* arithmetic = "Arithmetic";
  group(app.add_option("--digits", a.sizes.digits, "of an operand, at most")
            ->check(in_range(1, 12))
            ->capture_default_str(),
        arithmetic);
  group(app.add_option("--highest-base", a.sizes.highest_base, "bases from 2 to this one")
            ->check(in_range(2, 16))
            ->capture_default_str(),
        arithmetic);
  group(app.add_option("--questions", a.questions, "to train on")->check(in_range(1, 10000000))->capture_default_str(),
        arithmetic);
  group(app.add_option("--held-out", a.held_out, "questions to evaluate on")
            ->check(in_range(1, 1000000))
            ->capture_default_str(),
        arithmetic);
  group(app.add_option("--layers", a.layers, "of the model")->check(in_range(1, 64))->capture_default_str(),
        arithmetic);
  group(app.add_option("--dim", a.dim, "width of the model")->check(in_range(8, 4096))->capture_default_str(),
        arithmetic);
  group(app.add_option("--pretraining-steps", a.pretraining_steps, "on questions drawn anew")
            ->check(in_range(1LL, 100000000LL))
            ->capture_default_str(),
        arithmetic);
  group(app.add_option("--steps", a.steps, "of every pretrained arm")
            ->check(in_range(1LL, 100000000LL))
            ->capture_default_str(),
        arithmetic);
  group(app.add_option("--scratch-steps", a.scratch_steps, "of every arm from scratch")
            ->check(in_range(1LL, 100000000LL))
            ->capture_default_str(),
        arithmetic);
  group(app.add_option("--rate", a.rate, "learning rate of the arms")->check(above_zero())->capture_default_str(),
        arithmetic, "X");
  group(app.add_option("--alpha", a.alpha, "temperature of SequenceMatch (the paper: 0.01)")
            ->check(above_zero())
            ->capture_default_str(),
        arithmetic, "X");
  group(app.add_option("--levels", a.levels, "probabilities of an error before a token; 0 is always among them")
            ->check(in_range(0.0, 1.0))
            ->delimiter(',')
            ->capture_default_str(),
        arithmetic, "X,...");
  group(app.add_option("--divergence-levels", a.divergence_levels,
                       "of those, the ones of the divergences beside chi-square (default: all)")
            ->check(in_range(0.0, 1.0))
            ->delimiter(','),
        arithmetic, "X,...");
  group(
      app.add_option("--scratch-levels", a.scratch_levels, "of those, the ones of the arms from scratch (default: all)")
          ->check(in_range(0.0, 1.0))
          ->delimiter(','),
      arithmetic, "X,...");
  group(app.add_flag("--no-scratch", o.has_no_scratch, "without the arms that are not pretrained"), arithmetic);
  group(app.add_flag("--no-divergences", o.has_no_divergences, "without the divergences beside chi-square"),
        arithmetic);

  text_options& x = o.text;
  const char* text = "Text";
  group(app.add_option("--data", x.corpus.data,
                       "a text, plain or gzip (default: Jane Austen's novels, where examples/run has put them)"),
        text, "FILE");
  group(app.add_option("--characters", x.corpus.characters, "of it, at most")
            ->check(in_range(10000, 1000000000))
            ->capture_default_str(),
        text);
  group(app.add_option("--model", x.corpus.model, "a llama2.c model to start from; with --tokenizer"), text, "FILE");
  group(app.add_option("--tokenizer", x.corpus.tokenizer, "its tokenizer"), text, "FILE");
  group(app.add_option("--vocabulary", x.corpus.vocabulary, "ids, where pieces of words are learned from the text")
            ->check(in_range(64, 4096))
            ->capture_default_str(),
        text);
  group(app.add_option("--length", x.corpus.length, "tokens that are written")
            ->check(in_range(8, 4096))
            ->capture_default_str(),
        text);
  group(app.add_option("--passages", x.evaluated, "held-out passages that are continued")
            ->check(in_range(20, 1000000))
            ->capture_default_str(),
        text);
  group(app.add_option("--rounds", x.rounds, "times that each is continued")
            ->check(in_range(1, 1000))
            ->capture_default_str(),
        text);
  group(app.add_option("--base-steps", x.base_steps, "of maximum likelihood, before the arms part")
            ->check(in_range(1LL, 100000000LL))
            ->capture_default_str(),
        text);
  group(
      app.add_option("--text-steps", x.steps, "of every arm")->check(in_range(1LL, 100000000LL))->capture_default_str(),
      text);
  group(app.add_option("--text-alpha", x.alpha, "temperature of SequenceMatch (the paper: 0.01)")
            ->check(above_zero())
            ->capture_default_str(),
        text, "X");
  group(app.add_option("--text-noise", x.level, "probability of an error before a token (the paper: 0.001)")
            ->check(in_range(0.0, 1.0))
            ->capture_default_str(),
        text, "X");
  group(app.add_option("--unlikelihood", x.unlikelihood, "weight of the unlikelihood")
            ->check(in_range(0.0, 1e6))
            ->capture_default_str(),
        text, "X");

  tabular_options& t = o.tabular;
  const char* tabular = "Tabular";
  group(app.add_option("--slip", t.slip, "share of a model's actions that are any letter instead")
            ->check(in_range(0.0, 0.9))
            ->capture_default_str(),
        tabular, "SHARE");
  group(app.add_option("--table-noise", t.noise, "errors in the data, where there are any")
            ->check(in_range(0.0, 1.0))
            ->capture_default_str(),
        tabular, "SHARE");
  group(app.add_option("--table-alpha", t.alpha, "temperature of SequenceMatch")
            ->check(above_zero())
            ->capture_default_str(),
        tabular, "X");

  const char* output = "Output";
  group(app.add_option("--results", o.results,
                       "how the files of finished runs and of pretrained models start; a second call goes on from them")
            ->capture_default_str(),
        output, "PATH");
  group(app.add_flag("--fresh", o.is_fresh, "forget the results that are there"), output);
  group(app.add_option("--csv", o.csv, "every number; \"\": none")->capture_default_str(), output, "FILE");
  group(app.add_option("--html", o.html, "the page; \"\": none")->capture_default_str(), output, "FILE");
  group(app.add_option("--color", o.colour, "auto (default; NO_COLOR is respected), always, never")
            ->transform(one_of({{"auto", 0}, {"always", 1}, {"never", 2}})),
        output, "WHEN");
}

/// Smaller settings for a first look, where the caller has not given his own.
void shrink(const CLI::App& app, options& o) {
  const auto set = [&](const char* name, auto& value, auto other) {
    if (app.count(name) == 0) value = static_cast<std::remove_reference_t<decltype(value)>>(other);
  };
  set("--results", o.results, o.is_smoke ? "sequence_match.smoke" : "sequence_match.quick");
  arithmetic_options& a = o.arithmetic;
  a.has_scratch = false;
  set("--seeds", a.seeds, 1);
  set("--digits", a.sizes.digits, 2);
  set("--layers", a.layers, 2);
  set("--dim", a.dim, o.is_smoke ? 16 : 64);
  set("--questions", a.questions, o.is_smoke ? 200 : 5000);
  set("--held-out", a.held_out, o.is_smoke ? 40 : 500);
  set("--pretraining-steps", a.pretraining_steps, o.is_smoke ? 40 : 2500);
  set("--steps", a.steps, o.is_smoke ? 20 : 300);
  if (app.count("--levels") == 0)
    a.levels = o.is_smoke ? std::vector<double>{0, 0.1} : std::vector<double>{0, 0.01, 0.1};
  if (app.count("--divergence-levels") == 0)
    a.divergence_levels = {*std::max_element(a.levels.begin(), a.levels.end())};
  if (!o.is_smoke) a.has_divergences = false;
  if (o.is_smoke) o.tabular.steps = 200;
  text_options& x = o.text;
  set("--characters", x.corpus.characters, o.is_smoke ? 60000 : 400000);
  set("--vocabulary", x.corpus.vocabulary, o.is_smoke ? 160 : 384);
  set("--length", x.corpus.length, o.is_smoke ? 20 : 40);
  set("--passages", x.evaluated, o.is_smoke ? 30 : 150);
  set("--rounds", x.rounds, 1);
  set("--base-steps", x.base_steps, o.is_smoke ? 20 : 500);
  set("--text-steps", x.steps, o.is_smoke ? 10 : 100);
  x.layers = 2;
  x.dim = o.is_smoke ? 16 : 64;
}

/// Levels in order, each once, none first.
void settle_levels(arithmetic_options& a) {
  a.levels.push_back(0);
  for (auto* levels : {&a.levels, &a.divergence_levels, &a.scratch_levels}) {
    std::sort(levels->begin(), levels->end());
    levels->erase(std::unique(levels->begin(), levels->end()), levels->end());
  }
  const auto require_known = [&](const char* option, const std::vector<double>& levels) {
    for (const double level : levels)
      if (!std::binary_search(a.levels.begin(), a.levels.end(), level))
        throw std::runtime_error(std::string(option) + common::format(": %g is not among --levels", level));
  };
  require_known("--divergence-levels", a.divergence_levels);
  require_known("--scratch-levels", a.scratch_levels);
}

/// Finds the book, or says how to get it.
void settle_text(options& o) {
  corpus_options& c = o.text.corpus;
  o.text.seeds = o.arithmetic.seeds;
  o.text.first_seed = o.arithmetic.first_seed;
  if (!c.model.empty()) o.text.base_rate = 1e-3;  // it is trained already
  if (c.model.empty() != c.tokenizer.empty()) throw std::runtime_error("--model and --tokenizer go together");
  if (c.data.empty()) c.data = find_book();
  if (c.data.empty())
    throw std::runtime_error(
        "the task of text has no book; start with examples/run, which fetches Debian's package of Jane Austen's "
        "novels, or give --data");
}

void run(options& o) {
  common::terminal out(o.colour);
  const common::model_engine engine(o.engine);
  common::check_writable(o.csv, "--csv");
  common::check_writable(o.html, "--html");
  std::vector<experiment> experiments;
  const auto wants = [&](task_kind task) { return o.task == task || o.task == task_kind::all; };
  if (wants(task_kind::tabular)) experiments.push_back(tabular_experiment(o.tabular));
  if (wants(task_kind::text)) settle_text(o);
  if (wants(task_kind::arithmetic))
    experiments.push_back(arithmetic_experiment(o.arithmetic, o.engine.name(), o.results + ".arithmetic"));
  if (wants(task_kind::text)) experiments.push_back(text_experiment(o.text, o.engine.name(), o.results + ".text"));
  std::string csv = csv_head, sections;
  bool is_whole = true;
  std::vector<common::result_lines> results;
  for (const experiment& e : experiments)
    results.emplace_back(o.results + "." + e.name + ".jsonl", e.fingerprint, o.is_fresh);
  for (std::size_t k = 0; k < experiments.size(); ++k) {
    experiment& e = experiments[k];
    std::erase_if(e.jobs, [&](const common::job& j) { return j.name.find(o.only) == std::string::npos; });
    const auto is_open = [&](const common::job& j) { return !results[k].has(j.name); };
    if (std::any_of(e.jobs.begin(), e.jobs.end(), is_open)) e.prepare();
  }
  for (std::size_t k = 0; k < experiments.size(); ++k) {
    const experiment& e = experiments[k];
    const auto there =
        std::count_if(e.jobs.begin(), e.jobs.end(), [&](const common::job& j) { return results[k].has(j.name); });
    out.line(out.strong(e.name) +
             common::format(": %zu runs, %td of them finished before; %d at a time.", e.jobs.size(), there, o.threads));
    if (is_whole) is_whole = common::run_jobs(e.jobs, o.threads, results[k], out, common::is_interrupted, e.in_words);
  }
  for (std::size_t k = 0; k < experiments.size(); ++k) try {
      experiments[k].print(out, results[k]);
      csv += experiments[k].csv(results[k]);
      sections += experiments[k].page(results[k]);
    } catch (const nlohmann::json::exception& error) {
      throw std::runtime_error(results[k].path() + ": a result is not whole (" + error.what() +
                               "); give another --results, or --fresh");
    }
  if (!o.csv.empty()) common::write_whole(o.csv, csv);
  if (!o.html.empty())
    common::write_whole(o.html, common::page_head("SequenceMatch") +
                                    "<h1>Does it help to erase?</h1>\n<p class=\"lead\">SequenceMatch trains a model "
                                    "to match what it writes, backspaces included, to the data, by a divergence "
                                    "between occupancies (arXiv 2306.05426). Here it stands beside maximum likelihood "
                                    "(MLE) and behavioural cloning (BC) of data with errors and their "
                                    "backspaces.</p>\n" +
                                    sections + "</main></body></html>\n");
  out.line();
  if (!o.html.empty()) out.line("Page: " + o.html + (o.csv.empty() ? "" : ", every number: " + o.csv));
  if (!is_whole) throw std::runtime_error("interrupted; the same command goes on from " + o.results + ".*.jsonl");
}

}  // namespace

int main(int count, char** arguments) {
  options o;
  CLI::App app{
      "Trains models that can erase what they wrote, by SequenceMatch and by what it is compared with, on sums in many "
      "bases,\non a book, and on a small source that is solved exactly.",
      "sequence_match"};
  declare(app, o);
  return common::run_program(app, count, arguments, [&] {
    o.arithmetic.has_scratch = !o.has_no_scratch;
    o.arithmetic.has_divergences = !o.has_no_divergences;
    if (o.is_quick || o.is_smoke) shrink(app, o);
    settle_levels(o.arithmetic);
    common::notice_interrupts();
    run(o);
  });
}
