#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <string>
#include <thread>

#include <common/model_engine.hpp>
#include <seq2seq_rewards/evaluation.hpp>
#include <seq2seq_rewards/printing.hpp>
#include <seq2seq_rewards/training.hpp>

namespace seq2seq {

struct options {
  std::string data, model, tokenizer, checkpoint, load, html = "seq2seq_rewards.html";
  training_options training;
  int layers = 4, dim = 96, heads = 6, hidden = 0, max_positions = 0;
  int threads = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  long long save_every = 500;
  bool is_resumed = false, is_quick = false;
  double held_out = 0.05;
  std::size_t held_out_limit = 5000, report = 12;
  reward_mode mode = reward_mode::sign;
  colour_choice colour = colour_choice::automatic;
  common::model_engine_options engine;
};

/// Declares the options on the parser, which writes into o.
inline void declare(CLI::App& app, options& o) {
  app.get_formatter()->column_width(34);
  const auto group = [](CLI::Option* option, const char* name, const char* value = "N") {
    if (option->get_expected_min() > 0) option->type_name(value);
    return option->group(name);
  };
  const char* data = "Data and model";
  group(app.add_option("--data", o.data,
                       "pairs: codespell's dictionary.txt (default, where it is installed), a table of misspellings, "
                       "JSON Lines of edits or of preferences; plain or gzip"),
        data, "FILE");
  group(app.add_option("--held-out", o.held_out, "share of words (sources, prompts) held out")
            ->check(in_range(0.001, 0.9))
            ->capture_default_str(),
        data, "SHARE");
  group(app.add_option("--held-out-limit", o.held_out_limit, "held-out pairs evaluated at most")
            ->check(above_zero())
            ->capture_default_str(),
        data);
  group(app.add_option("--layers", o.layers, "layers")->check(in_range(1, 64))->capture_default_str(), data);
  group(app.add_option("--dim", o.dim, "width")->check(in_range(2, 4096))->capture_default_str(), data);
  group(app.add_option("--heads", o.heads, "attention heads")->check(in_range(1, 256))->capture_default_str(), data);
  group(app.add_option("--hidden", o.hidden, "width of the feed-forward part (default: 8/3 dim)")
            ->check(in_range(1, 65536)),
        data);
  group(app.add_option("--max-positions", o.max_positions,
                       "longest sequence: prompt, response twice, separators (default: 64 for words, 512 else)")
            ->check(in_range(8, 65536)),
        data);
  group(app.add_option("--model", o.model, "start from this llama2.c model instead; needs --tokenizer"), data, "FILE");
  group(app.add_option("--tokenizer", o.tokenizer, "the llama2.c model's tokenizer.bin"), data, "FILE");

  common::declare_model_engine(app, o.engine, data);

  const char* training = "Training";
  group(app.add_option("--steps", o.training.steps, "steps of the optimizer")
            ->check(in_range(1LL, 1000000000LL))
            ->capture_default_str(),
        training);
  group(
      app.add_option("--batch", o.training.batch, "examples a step")->check(in_range(1, 65536))->capture_default_str(),
      training);
  group(app.add_option("--identity-share", o.training.identity_share,
                       "share of examples that copy the chosen response; 0.5: the paper's one to one")
            ->check(in_range(0.0, 1.0))
            ->capture_default_str(),
        training, "SHARE");
  group(app.add_option("--identity-weight", o.training.identity_weight, "weight of the identity mapping in the loss")
            ->check(in_range(0.0, 1e9))
            ->capture_default_str(),
        training, "X");
  group(app.add_option("--learning-rate", o.training.learning_rate, "peak, after the warm-up; falls linearly to 0")
            ->check(above_zero())
            ->capture_default_str(),
        training, "X");
  group(app.add_option("--seed", o.training.seed, "of the split, the first weights and the order of the examples")
            ->capture_default_str(),
        training);
  group(app.add_option("--threads", o.threads, "threads (default: all); the numbers do not depend on it")
            ->check(in_range(1, 1024)),
        training);
  group(app.add_option("--shards", o.training.shards,
                       "parts of a batch that may run side by side; the last bits depend on it")
            ->check(in_range(1, 256))
            ->capture_default_str(),
        training);
  group(app.add_flag("--quick", o.is_quick, "a short run of some ten seconds, to see that all works"), training);

  const char* files = "Checkpoints";
  CLI::Option* checkpoint = group(
      app.add_option("--checkpoint", o.checkpoint, "save here now and then, at the end, and when interrupted (Ctrl-C)"),
      files, "FILE");
  group(app.add_option("--save-every", o.save_every, "steps between two checkpoints")
            ->check(above_zero())
            ->capture_default_str(),
        files);
  CLI::Option* resume = group(
      app.add_flag("--resume", o.is_resumed, "go on from --checkpoint if it is there: the same numbers, bit for bit")
          ->needs(checkpoint),
      files);
  group(app.add_option("--load", o.load, "only evaluate the model of this checkpoint")
            ->excludes(resume)
            ->excludes(checkpoint),
        files, "FILE");

  const char* output = "Output";
  std::map<std::string, int> modes;
  for (const reward_mode mode : all_modes) modes[name_of(mode)] = static_cast<int>(mode);
  group(app.add_option("--mode", o.mode, "reward of a token: sign, prob, margin, logratio, dense (default: sign)")
            ->transform(one_of(modes)),
        output, "MODE");
  group(app.add_option("--html", o.html, "the report; \"\": none")->capture_default_str(), output, "FILE");
  group(app.add_option("--report", o.report, "examples shown")->check(in_range(0, 1000))->capture_default_str(),
        output);
  group(app.add_option("--color", o.colour, "auto (default; NO_COLOR is respected), always, never")
            ->transform(one_of({{"auto", 0}, {"always", 1}, {"never", 2}})),
        output, "WHEN");
}

}  // namespace seq2seq
