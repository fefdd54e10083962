// Sequence-to-sequence reward modelling (arXiv 2409.00162): a small transformer learns to rewrite a rejected response
// into the chosen one, and where it would have written something else it takes reward away, token by token.

#include <common/program.hpp>
#include <emend/core/thread_pool.hpp>
#include <seq2seq_rewards/html_report.hpp>
#include <seq2seq_rewards/options.hpp>

namespace {

using namespace seq2seq;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

struct saved_run {
  std::string path;
  lm::checkpoint<float> checkpoint;
  nlohmann::json user;
  std::optional<vocabulary> words;
  std::uint64_t seed = 0;
  double held_out = 0;
};

std::optional<saved_run> load_saved(const options& o) {
  const std::string path = !o.load.empty()                                         ? o.load
                           : o.is_resumed && std::filesystem::exists(o.checkpoint) ? o.checkpoint
                                                                                   : "";
  if (path.empty()) return {};
  saved_run saved{path, lm::load_checkpoint<float>(path), {}, std::nullopt};
  saved.user = common::parse_json(saved.checkpoint.user);
  const auto program = saved.user.is_object() ? saved.user.find("program") : saved.user.end();
  if (!saved.user.is_object() || program == saved.user.end() || *program != "seq2seq_rewards")
    throw std::runtime_error(path + ": a checkpoint, but not of this program");
  try {
    saved.words.emplace(vocabulary::load(saved.user.at("vocabulary"), o.tokenizer));
    saved.seed = saved.user.at("training").at("options").at("seed").get<std::uint64_t>();
    saved.held_out = saved.user.at("held_out").get<double>();
    if (!(saved.held_out > 0 && saved.held_out < 1)) throw std::runtime_error("its share of held-out words is none");
    if (saved.words->size() != saved.checkpoint.parameters.shape().vocab_size)
      throw std::runtime_error("its vocabulary has " + std::to_string(saved.words->size()) + " ids, its model " +
                               std::to_string(saved.checkpoint.parameters.shape().vocab_size));
  } catch (const std::exception& error) {
    throw std::runtime_error(path + ": cannot be gone on from: " + error.what());
  }
  return saved;
}

/// The model before its first step, and its vocabulary.
lm::weights<float> first_model(const options& o, const vocabulary& v, int max_positions) {
  if (!o.model.empty()) {
    lm::weights<float> w = with_more_tokens(lm::read_llama2c(o.model), 3, o.training.seed);
    if (w.shape().vocab_size != v.size())
      throw std::runtime_error("the checkpoint's vocabulary is not that of --model");
    return w;
  }
  const lm::config c{.dim = o.dim,
                     .hidden_dim = o.hidden > 0 ? o.hidden : o.dim * 8 / 3,
                     .layers = o.layers,
                     .heads = o.heads,
                     .key_value_heads = o.heads,
                     .vocab_size = v.size(),
                     .max_positions = max_positions,
                     .is_classifier_shared = true};
  return lm::random_weights<float>(c, o.training.seed, 0.08);
}

void train(training& run, const options& o, const nlohmann::json& user, terminal& out, emend::thread_pool& pool) {
  const auto save = [&] {
    if (o.checkpoint.empty()) return;
    nlohmann::json all = user;
    all["training"] = run.state();
    run.save(o.checkpoint, all);
  };
  const auto start = std::chrono::steady_clock::now();
  const long long first = run.steps_done(), steps = run.options().steps;
  while (!run.is_done()) {
    run.step(pool);
    const long long done = run.steps_done();
    const double elapsed = seconds_since(start);
    if (done % o.save_every == 0 || run.is_done()) save();
    if (common::is_interrupted) {
      save();
      out.end_progress();
      throw std::runtime_error("interrupted after step " + std::to_string(done) +
                               (o.checkpoint.empty() ? "" : "; --resume goes on from " + o.checkpoint));
    }
    const loss_point last = run.curve().empty() ? loss_point{0, std::nan(""), std::nan("")} : run.curve().back();
    out.progress(
        format("  step %lld of %lld   loss %.3f correction, %.3f identity   %.0f tokens/s   %s left", done, steps,
               last.correction, last.identity, static_cast<double>(run.tokens_done()) / elapsed,
               in_seconds(elapsed / static_cast<double>(done - first) * static_cast<double>(steps - done)).c_str()));
  }
  if (steps == first) return;
  const loss_point last = run.curve().back();
  out.line(format("Trained %lld steps in %s, %.0f tokens/s; loss per token %.3f correction, %.3f identity.",
                  steps - first, in_seconds(seconds_since(start)).c_str(),
                  static_cast<double>(run.tokens_done()) / seconds_since(start), last.correction, last.identity));
}

void run(options o) {
  terminal out(o.colour);
  const common::model_engine engine(o.engine);
  check_writable(o.html, "--html");
  check_writable(o.checkpoint, "--checkpoint");
  if (o.data.empty()) o.data = find_dictionary();
  if (o.data.empty())
    throw std::runtime_error(
        "codespell's dictionary is not installed; install Debian's package codespell or PyPI's codespell, start with "
        "examples/run, which fetches it, or give --data");
  data_set data = read_data(o.data);
  const std::optional<saved_run> saved = load_saved(o);
  const bool is_model_read = !o.model.empty();

  std::size_t dropped = 0;
  std::optional<vocabulary> v;
  if (saved)
    v = saved->words;
  else if (is_model_read)
    v = vocabulary::of_tokenizer(o.tokenizer, lm::read_llama2c(o.model).shape().vocab_size);
  else {
    const std::size_t before = data.pairs.size();
    const std::string characters = characters_of(data.pairs);
    dropped = before - data.pairs.size();
    v = vocabulary::of_characters(characters);
  }
  int max_positions = o.max_positions > 0 ? o.max_positions : data.is_words() ? 64 : 512;
  if (saved)
    max_positions = saved->checkpoint.parameters.shape().max_positions;
  else if (is_model_read)
    max_positions = lm::read_llama2c(o.model).shape().max_positions;
  dropped += drop_unfit(data.pairs, *v, max_positions);
  const std::string few = format("%zu pairs are left, %zu are too long for --max-positions %d or not encodable",
                                 data.pairs.size(), dropped, max_positions);
  if (data.pairs.empty()) throw std::runtime_error(o.data + ": " + few);

  // Evaluating alone must hold out what training held out.
  if (saved && !o.load.empty()) {
    o.training.seed = saved->seed;
    o.held_out = saved->held_out;
  }
  split_pairs split = split_by_group(data.pairs, o.held_out, o.training.seed);
  const std::size_t held_out_pairs = split.held_out.size();
  if (held_out_pairs > o.held_out_limit) {
    std::stable_sort(split.held_out.begin(), split.held_out.end(),
                     [](const preference& a, const preference& b) { return hash_of(a.group) < hash_of(b.group); });
    split.held_out.resize(o.held_out_limit);
  }
  if (split.held_out.empty()) throw std::runtime_error(o.data + ": no pair is held out: " + few);

  std::vector<encoded_pair> encoded;
  for (const preference& pair : split.training) encoded.push_back(encode(*v, pair));
  const lm::weights<float> untrained =
      saved && !is_model_read && !o.load.empty()
          ? lm::random_weights<float>(saved->checkpoint.parameters.shape(), o.training.seed, 0.08)
          : first_model(o, *v, max_positions);
  const lm::config& shape = untrained.shape();
  report_facts facts;
  facts.data = std::filesystem::path(o.data).filename().string();
  facts.form = name_of(data.form);
  facts.seed = o.training.seed;
  facts.training_pairs = split.training.size();
  facts.parameters = untrained.values().size();

  out.line(format("%s (%s): %zu entries, %zu without a usable correction, %zu too long or not encodable.",
                  facts.data.c_str(), facts.form.c_str(), data.entries, data.unusable, dropped));
  out.line(format("%zu pairs to train on, %zu held out by %s%s.", split.training.size(), held_out_pairs,
                  data.is_words() ? "word" : "source",
                  held_out_pairs > split.held_out.size()
                      ? format(", of which %zu are evaluated", split.held_out.size()).c_str()
                      : ""));
  out.line(format(
      "Transformer of %zu parameters: %d layers, width %d, %d heads, %d tokens, %d positions; seed %llu, %d threads.",
      facts.parameters, shape.layers, shape.dim, shape.heads, shape.vocab_size, shape.max_positions,
      static_cast<unsigned long long>(o.training.seed), o.threads));

  emend::thread_pool pool(o.threads);
  evaluation measures;
  if (!o.load.empty()) {
    measures = evaluate_held_out(saved->checkpoint.parameters, untrained, *v, split.held_out, o.mode, o.report, pool);
    facts.steps = saved->checkpoint.step;
  } else {
    training trained(untrained, *v, std::move(encoded), o.training);
    if (saved) {
      try {
        trained.resume(saved->checkpoint, saved->user.at("training"));
      } catch (const std::exception& error) {
        throw std::runtime_error(saved->path + ": cannot be gone on from: " + error.what());
      }
      out.line(format("Going on from step %lld of %s.", trained.steps_done(), o.checkpoint.c_str()));
    }
    train(trained, o, {{"program", "seq2seq_rewards"}, {"vocabulary", v->save()}, {"held_out", o.held_out}}, out, pool);
    measures = evaluate_held_out(trained.model(), untrained, *v, split.held_out, o.mode, o.report, pool);
    facts.steps = trained.steps_done();
    facts.curve = trained.curve();
  }
  print_measures(out, measures);
  print_examples(out, *v, measures);
  if (!o.html.empty()) {
    write_whole(o.html, html_report(*v, measures, facts));
    out.line();
    out.line("Report: " + o.html);
  }
}

}  // namespace

int main(int count, char** arguments) {
  options o;
  CLI::App app{
      "Trains a sequence-to-sequence reward model on pairs of responses, rewards held-out responses token by token, "
      "and shows both in the\n"
      "terminal and in a HTML page. Without options: misspelt words from codespell's dictionary, about two minutes on "
      "two cores.",
      "seq2seq_rewards"};
  declare(app, o);
  return common::run_program(app, count, arguments, [&] {
    if (o.model.empty() != o.tokenizer.empty() && o.load.empty())
      throw std::runtime_error("--model and --tokenizer go together");
    if (o.is_quick) {
      if (app.count("--steps") == 0) o.training.steps = 240;
      if (app.count("--held-out-limit") == 0) o.held_out_limit = 400;
      o.training.warmup = std::min(o.training.warmup, o.training.steps / 4);
    }
    common::notice_interrupts();
    run(std::move(o));
  });
}
