#pragma once

#include <sequence_match/playback.hpp>
#include <sequence_match/text.hpp>

namespace sequence_match {

/// The text and the first models of every seed, each made once, by whoever asks first; models are kept in files.
class text_seeds {
 public:
  text_seeds(const text_options& o, std::string cache, std::string fingerprint)
      : options_(o), cache_(std::move(cache)), fingerprint_(std::move(fingerprint)) {}
  const corpus& text() {
    std::call_once(is_read_, [&] {
      corpus_.emplace(read_corpus(options_.corpus));
      texts_ = held_out_of(options_, *corpus_);
    });
    return *corpus_;
  }
  const held_out_texts& held_out() { return texts_; }
  /// nullptr where making it was interrupted.
  const lm::weights<float>* base_of(std::uint64_t seed, const common::report_progress& on_step) {
    const corpus& c = text();
    text_seed* found;
    {
      const std::lock_guard lock(mutex_);
      auto& slot = entries_[seed];
      if (!slot) slot = std::make_unique<text_seed>();
      found = slot.get();
    }
    std::call_once(found->is_made, [&] {
      const lm::config own_shape{.dim = options_.dim,
                                 .hidden_dim = options_.dim * 8 / 3,
                                 .layers = options_.layers,
                                 .heads = options_.heads,
                                 .key_value_heads = options_.heads,
                                 .vocab_size = static_cast<int>(c.vocab),
                                 .max_positions = options_.corpus.prompt + options_.corpus.length + 4,
                                 .is_classifier_shared = true};
      const lm::config shape = c.pretrained ? c.pretrained->shape() : own_shape;
      const std::string path = cache_ + ".seed" + std::to_string(seed) + ".lm";
      found->base = kept_model(path, fingerprint_, shape);
      if (found->base) return;
      found->base = train_base(options_, c, c.pretrained ? *c.pretrained : lm::random_weights<float>(shape, seed, 0.06),
                               seed, on_step);
      if (found->base) lm::save_checkpoint<float>(path, *found->base, nullptr, options_.base_steps, fingerprint_);
    });
    return found->base ? &*found->base : nullptr;
  }

 private:
  const text_options& options_;
  std::string cache_, fingerprint_;
  std::once_flag is_read_;
  std::optional<corpus> corpus_;
  held_out_texts texts_;
  std::mutex mutex_;
  std::map<std::uint64_t, std::unique_ptr<text_seed>> entries_;
};

namespace detail {

/// A measure over seeds and rounds.
struct mean_and_error {
  double mean = 0, error = 0;  // 1.96 standard errors
};
inline mean_and_error mean_of_all(const std::vector<double>& values) {
  mean_and_error m;
  const double n = static_cast<double>(values.size());
  for (const double v : values) m.mean += v / n;
  for (const double v : values) m.error += (v - m.mean) * (v - m.mean);
  m.error = n > 1 ? 1.96 * std::sqrt(m.error / (n - 1) / n) : std::nan("");
  return m;
}

/// An arm over its seeds.
struct text_group {
  std::string name;
  int seeds = 0;
  std::vector<double> mauve, mauve_star, entropy, diversity, perplexity, perplexity_low, perplexity_high;
  double erased = 0;
  std::vector<shown_writing> shown;

  void add(const nlohmann::json& r) {
    ++seeds;
    const auto all = [&](const char* key, std::vector<double>& to) {
      for (const auto& v : r.at(key)) to.push_back(v.is_array() ? v.at(0).get<double>() : v.get<double>());
    };
    all("mauve", mauve), all("mauve_star", mauve_star), all("entropy", entropy), all("diversity", diversity);
    if (r.contains("perplexity")) {
      perplexity.push_back(r.at("perplexity").at(0));
      perplexity_low.push_back(r.at("perplexity").at(1));
      perplexity_high.push_back(r.at("perplexity").at(2));
      erased += r.at("erased").get<double>();
    }
    if (r.contains("shown"))
      for (const auto& s : r.at("shown")) shown.push_back(writing_of(s));
  }
};

inline std::vector<text_group> text_groups(const text_options& o, const common::result_lines& results) {
  std::vector<text_group> groups;
  const auto gather = [&](const std::string& name, text_method by, const char* inside) {
    text_group g;
    g.name = name;
    for (int s = 0; s < o.seeds; ++s)
      if (const nlohmann::json* r = results.find(name_of(text_arm{by, o.first_seed + static_cast<std::uint64_t>(s)})))
        if (!inside || r->contains(inside)) g.add(inside ? r->at(inside) : *r);
    if (g.seeds > 0) groups.push_back(std::move(g));
  };
  for (std::size_t k = 0; k < text_method_names.size(); ++k) {
    gather(text_method_names[k], static_cast<text_method>(k), nullptr);
    if (k == 0) gather(contrastive_name, text_method::likelihood, "contrastive");
  }
  return groups;
}

inline std::string in_words(const mean_and_error& m, int digits, const char* between = " +- ") {
  return std::isnan(m.error) ? common::format("%.*f", digits, m.mean)
                             : common::format("%.*f%s%.*f", digits, m.mean, between, digits, m.error);
}

}  // namespace detail

/// A book continued: maximum likelihood, its remedies, and SequenceMatch, each with and without a backspace.
/// engine: who computes the models, by name; cache: where the first models are kept.
inline experiment text_experiment(const text_options& options, const std::string& engine, const std::string& cache) {
  const auto o = std::make_shared<text_options>(options);
  experiment e;
  e.name = "text";
  const corpus_options& from = o->corpus;
  e.fingerprint = {{"program", "sequence_match"},
                   {"task", "text"},
                   {"engine", engine},
                   {"data", std::filesystem::path(from.data).filename().string()},
                   {"data (hash)", common::hash_of(common::read_file(from.data))},
                   {"model", std::filesystem::path(from.model).filename().string()},
                   {"characters", from.characters},
                   {"vocabulary", from.vocabulary},
                   {"prompt", from.prompt},
                   {"length", from.length},
                   {"evaluated", o->evaluated},
                   {"rounds", o->rounds},
                   {"layers", o->layers},
                   {"dim", o->dim},
                   {"base steps", o->base_steps},
                   {"steps", o->steps},
                   {"batch", o->batch},
                   {"base rate", o->base_rate},
                   {"rate", o->rate},
                   {"alpha", o->alpha},
                   {"gamma", o->gamma},
                   {"level", o->level},
                   {"unlikelihood", o->unlikelihood},
                   {"sample every", o->sample_every},
                   {"rollouts", o->rollouts},
                   {"capacity", o->capacity}};
  nlohmann::json of_models;
  for (const char* key : {"engine", "data (hash)", "model", "characters", "vocabulary", "prompt", "length", "layers",
                          "dim", "base steps", "batch", "base rate"})
    of_models[key] = e.fingerprint[key];
  const auto seeds = std::make_shared<text_seeds>(*o, cache, of_models.dump());
  for (int s = 0; s < o->seeds; ++s)
    for (std::size_t k = 0; k < text_method_names.size(); ++k) {
      const text_arm a{static_cast<text_method>(k), o->first_seed + static_cast<std::uint64_t>(s)};
      e.jobs.push_back(
          {name_of(a), [a, o, seeds](const common::report_progress& on_step) -> nlohmann::json {
             const lm::weights<float>* base =
                 seeds->base_of(a.seed, [&](double share) { return on_step(0.01 * share); });
             if (!base) return nullptr;
             double loss = 0;
             const auto w = train_text(*o, seeds->text(), a, *base, loss, on_step);
             if (!w) return nullptr;
             const held_out_texts& texts = seeds->held_out();
             text_result result = measure_arm(*o, seeds->text(), texts, *w, *base, a.has_backspace(), a.seed);
             result.loss = loss;
             nlohmann::json j = to_json(result);
             if (a.by != text_method::likelihood) return j;
             const corpus& c = seeds->text();
             const std::vector<ids> searched =
                 write_contrastively(*w, texts.prompts, o->corpus.length, {.forbidden = {c.start, c.end, c.backspace}});
             text_result contrastive;
             contrastive.rounds.push_back(measure_texts(c, *base, texts.prompts, texts.human, searched, a.seed));
             j["contrastive"] = to_json(contrastive);
             j["contrastive"].erase("perplexity");
             const text_measures people = measure_texts(c, *base, texts.prompts, texts.human, texts.human, a.seed);
             j["people"] = {{"entropy", people.entropy.value}, {"diversity", people.diversity.value}};
             for (std::size_t i = 0; i < 3 && i < searched.size(); ++i)
               j["examples"].push_back({c.decode(texts.prompts[i]), c.decode(texts.human[i]), c.decode(searched[i])});
             return j;
           }});
    }
  e.prepare = [seeds] { seeds->text(); };
  e.in_words = [](const std::string& name, const nlohmann::json& r) {
    return common::padded_to(44, name) +
           common::format("MAUVE %.3f   perplexity %.2f   erased %.2f %%", r.at("mauve").at(0).get<double>(),
                          r.at("perplexity").at(0).get<double>(), 100 * r.at("erased").get<double>());
  };
  e.print = [o](common::terminal& out, const common::result_lines& results) {
    const auto groups = detail::text_groups(*o, results);
    if (groups.empty()) return;
    out.line();
    out.line(out.strong("Text") +
             out.faint(common::format(
                 "   %s; %d seeds, %d rounds of %zu passages; alpha %g, gamma %g, noise %g; 95 %% intervals",
                 std::filesystem::path(o->corpus.data).filename().string().c_str(), o->seeds, o->rounds, o->evaluated,
                 o->alpha, o->gamma, o->level)));
    out.line(
        out.faint("                                   MAUVE            MAUVE*           n-gram entropy    diversity    "
                  "    perplexity               erased"));
    for (const detail::text_group& g : groups) {
      std::string row = "  " + common::padded_to(33, g.name);
      for (const auto* values : {&g.mauve, &g.mauve_star})
        row += common::padded_to(17, detail::in_words(detail::mean_of_all(*values), 3));
      row += common::padded_to(18, detail::in_words(detail::mean_of_all(g.entropy), 3)) +
             common::padded_to(17, detail::in_words(detail::mean_of_all(g.diversity), 3));
      if (!g.perplexity.empty())
        row += common::padded_to(25, common::format("%.2f (%.2f to %.2f)", detail::mean_of_all(g.perplexity).mean,
                                                    detail::mean_of_all(g.perplexity_low).mean,
                                                    detail::mean_of_all(g.perplexity_high).mean)) +
               common::format("%.2f %%", 100 * g.erased / g.seeds);
      out.line(row);
    }
    for (int s = 0; s < o->seeds; ++s)
      if (const nlohmann::json* r =
              results.find(name_of(text_arm{text_method::likelihood, o->first_seed + static_cast<std::uint64_t>(s)}))) {
        out.line("  " + common::padded_to(67, "people") +
                 common::padded_to(18, common::format("%.3f", r->at("people").at("entropy").get<double>())) +
                 common::format("%.3f", r->at("people").at("diversity").get<double>()));
        break;
      }
  };
  e.csv = [o](const common::result_lines& results) {
    std::string csv;
    for (const detail::text_group& g : detail::text_groups(*o, results)) {
      const std::string arm = "\"" + g.name + "\"";
      const auto line = [&](const char* measure, const std::vector<double>& values) {
        const detail::mean_and_error m = detail::mean_of_all(values);
        csv += csv_line("text", arm, "random", o->level, "", measure, m.mean, m.mean - m.error, m.mean + m.error);
      };
      line("MAUVE", g.mauve), line("MAUVE*", g.mauve_star), line("n-gram entropy", g.entropy),
          line("diversity", g.diversity);
      if (g.perplexity.empty()) continue;
      csv += csv_line("text", arm, "random", o->level, "", "perplexity", detail::mean_of_all(g.perplexity).mean,
                      detail::mean_of_all(g.perplexity_low).mean, detail::mean_of_all(g.perplexity_high).mean);
      csv += csv_line("text", arm, "random", o->level, "", "erased", g.erased / g.seeds);
    }
    return csv;
  };
  e.page = [o](const common::result_lines& results) {
    const auto groups = detail::text_groups(*o, results);
    if (groups.empty()) return std::string();
    std::string html;
    std::vector<shown_writing> played;
    for (const detail::text_group& g : groups)
      if (g.name == text_method_names[static_cast<std::size_t>(text_method::matching)]) played = g.shown;
    if (!played.empty())
      html +=
          "<section><h2>Text as SequenceMatch wrote it</h2>\n<p>Pieces of words appear, are struck out, and are "
          "written again.</p>\n" +
          playback_of(played) + "</section>\n";
    html +=
        "<section><h2>Text</h2>\n<p>Passages of " +
        common::escaped(std::filesystem::path(o->corpus.data).filename().string()) +
        common::format(", continued: means over %d seeds and %d rounds of %zu passages, with 95 %% intervals.</p>\n",
                       o->seeds, o->rounds, o->evaluated) +
        "<div class=\"scroll\"><table><thead><tr><th>Arm</th><th class=\"number\">MAUVE</th><th "
        "class=\"number\">MAUVE*</th><th class=\"number\">n-gram entropy</th><th "
        "class=\"number\">Diversity</th><th class=\"number\">Perplexity</th><th "
        "class=\"number\">Erased</th></tr></thead><tbody>\n";
    for (const detail::text_group& g : groups) {
      html += "<tr><td style=\"white-space:nowrap\">" + common::escaped(g.name) + "</td>";
      for (const auto* values : {&g.mauve, &g.mauve_star, &g.entropy, &g.diversity})
        html += "<td class=\"number\">" + detail::in_words(detail::mean_of_all(*values), 3, " &plusmn; ") + "</td>";
      html += g.perplexity.empty()
                  ? "<td></td><td></td></tr>\n"
                  : common::format(
                        "<td class=\"number\">%.2f <small>(%.2f to %.2f)</small></td><td class=\"number\">%.2f "
                        "%%</td></tr>\n",
                        detail::mean_of_all(g.perplexity).mean, detail::mean_of_all(g.perplexity_low).mean,
                        detail::mean_of_all(g.perplexity_high).mean, 100 * g.erased / g.seeds);
    }
    return html + "</tbody></table></div></section>\n";
  };
  return e;
}

}  // namespace sequence_match
