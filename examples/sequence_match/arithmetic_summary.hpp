#pragma once

#include <set>

#include <common/level_chart.hpp>
#include <sequence_match/arithmetic.hpp>
#include <sequence_match/playback.hpp>

namespace sequence_match {

/// An arm over the seeds that have a result.
struct arithmetic_group {
  arithmetic_arm arm;
  std::vector<std::uint64_t> seeds;
  arithmetic_result sum;

  emend::share sampled() const { return emend::wilson_interval(sum.sampled, sum.asked); }
  emend::share greedy() const { return emend::wilson_interval(sum.greedy, sum.asked); }
  emend::share repaired_one() const { return emend::wilson_interval(sum.repaired_one, sum.asked); }
  emend::share repaired_two() const { return emend::wilson_interval(sum.repaired_two, sum.asked); }
  emend::share erased_one() const { return emend::wilson_interval(sum.erased_one, sum.asked); }
  emend::share erased_two() const { return emend::wilson_interval(sum.erased_two, sum.asked); }
  double erased_per_answer() const { return sum.erased / sum.asked; }
};

inline std::vector<arithmetic_group> groups_of(const std::vector<arithmetic_arm>& arms,
                                               const common::result_lines& results) {
  std::vector<arithmetic_group> groups;
  std::map<std::string, std::size_t> number;
  for (const arithmetic_arm& a : arms) {
    const nlohmann::json* r = results.find(name_of(a));
    if (!r) continue;
    const auto [found, is_new] = number.try_emplace(group_of(a), groups.size());
    if (is_new) groups.push_back({a, {}, {}});
    arithmetic_group& g = groups[found->second];
    g.seeds.push_back(a.seed);
    const auto add = [&](const char* key, double& to) { to += r->at(key).get<double>(); };
    g.sum.right += r->at("right").get<std::string>();
    add("asked", g.sum.asked), add("sampled", g.sum.sampled), add("greedy", g.sum.greedy), add("erased", g.sum.erased);
    add("repaired_one", g.sum.repaired_one), add("repaired_two", g.sum.repaired_two),
        add("erased_one", g.sum.erased_one), add("erased_two", g.sum.erased_two);
    add("loss", g.sum.loss), add("outside", g.sum.outside);
    const auto add_shown = [&](const char* key, std::vector<shown_writing>& to) {
      if (r->contains(key))
        for (const auto& s : r->at(key)) to.push_back(writing_of(s));
    };
    add_shown("shown", g.sum.shown), add_shown("shown_repairs", g.sum.shown_repairs);
  }
  return groups;
}

/// How much oftener one arm is right than another on the same questions, with a 95 % interval of paired shares.
///   (b - c) / n +- 1.96 sqrt(b + c - (b - c)^2 / n) / n,   b, c: questions that only the one, only the other answers
struct difference {
  double value = 0, low = 0, high = 0;
};
inline difference difference_of(const std::string& one, const std::string& other) {
  double only_one = 0, only_other = 0;
  const double n = static_cast<double>(std::min(one.size(), other.size()));
  for (std::size_t i = 0; i < one.size() && i < other.size(); ++i) {
    only_one += one[i] > other[i];
    only_other += one[i] < other[i];
  }
  const double by = only_one - only_other, value = by / n,
               error = 1.959963984540054 * std::sqrt(std::max(0.0, only_one + only_other - by * by / n)) / n;
  return {value, value - error, value + error};
}

namespace detail {

inline const arithmetic_group* find_group(const std::vector<arithmetic_group>& groups, bool is_pretrained,
                                          loss_kind loss, noise_kind noise, double level) {
  for (const arithmetic_group& g : groups)
    if (g.arm.is_pretrained == is_pretrained && g.arm.loss == loss && g.arm.level == level &&
        (level == 0 || g.arm.noise == noise))
      return &g;
  return nullptr;
}

/// Column of one measure over the levels: text of a group, empty where there is none.
template <class Cell>
void print_levels(common::terminal& out, const std::vector<arithmetic_group>& groups, const std::vector<double>& levels,
                  bool is_pretrained, const std::string& title, Cell&& cell) {
  out.line();
  out.line(out.strong(title));
  std::string head = common::padded_to(34, "  noise before a token");
  for (const double level : levels) head += common::padded_to(16, common::format("%g", level));
  out.line(out.faint(head));
  for (const noise_kind noise : {noise_kind::ground_truth, noise_kind::random}) {
    bool is_first = true;
    for (std::size_t k = 0; k < loss_names.size(); ++k) {
      const auto loss = static_cast<loss_kind>(k);
      if (loss == loss_kind::likelihood && noise == noise_kind::random) continue;
      std::string row;
      bool has_any = false;
      for (const double level : levels) {
        const arithmetic_group* g = find_group(groups, is_pretrained, loss, noise, level);
        if (level == 0 && noise == noise_kind::random) g = nullptr;
        row += common::padded_to(16, g ? cell(*g) : "");
        has_any = has_any || g;
      }
      if (!has_any) continue;
      if (is_first && loss != loss_kind::likelihood) {
        out.line(out.faint(std::string("  ") + name_of(noise)));
        is_first = false;
      }
      out.line(common::padded_to(34, std::string(loss == loss_kind::likelihood ? "  " : "    ") + name_of(loss)) + row);
    }
  }
}

inline std::string plus_minus(const emend::share& s) {
  return common::format("%.1f +- %.1f", 100 * s.value, 50 * (s.high - s.low));
}

}  // namespace detail

/// The findings of the paper, one line each: what is compared, the difference, whether it holds.
struct finding {
  std::string text;
  difference by;
  std::string verdict() const {
    return by.low > 0 ? "holds" : by.high < 0 ? "is the other way round" : "not to be told from none";
  }
};
inline std::vector<finding> findings_of(const std::vector<arithmetic_group>& groups, const arithmetic_options& o) {
  std::vector<finding> result;
  const auto compare = [&](const std::string& text, const arithmetic_group* a, const arithmetic_group* b) {
    // Seeds have questions of their own: both must have the same.
    if (a && b && a->seeds == b->seeds) result.push_back({text, difference_of(a->sum.right, b->sum.right)});
  };
  for (const bool is_pretrained : {true, false}) {
    const std::string of = is_pretrained ? "pretrained, " : "from scratch, ";
    const auto find = [&](loss_kind loss, noise_kind noise, double level) {
      return detail::find_group(groups, is_pretrained, loss, noise, level);
    };
    const arithmetic_group* likelihood = find(loss_kind::likelihood, noise_kind::ground_truth, 0);
    for (const double level : o.levels) {
      if (level == 0) continue;
      for (const noise_kind noise : {noise_kind::ground_truth, noise_kind::random}) {
        const std::string at = of + name_of(noise) + common::format(" %g: ", level);
        const arithmetic_group *cloning = find(loss_kind::cloning, noise, level),
                               *mixture = find(loss_kind::chi2_mixture, noise, level),
                               *chi2 = find(loss_kind::chi2, noise, level);
        compare(at + "chi2 mixture over BC", mixture, cloning);
        compare(at + "chi2 over BC", chi2, cloning);
        compare(at + "least squares over BC", find(loss_kind::least_squares, noise, level), cloning);
        compare(at + "chi2 mixture over MLE", mixture, likelihood);
        compare(at + "BC over MLE", cloning, likelihood);
      }
    }
  }
  return result;
}

inline void print_arithmetic(common::terminal& out, const arithmetic_options& o,
                             const std::vector<arithmetic_arm>& arms, const common::result_lines& results) {
  const std::vector<arithmetic_group> groups = groups_of(arms, results);
  for (const bool is_pretrained : {true, false}) {
    if (!std::any_of(groups.begin(), groups.end(),
                     [&](const arithmetic_group& g) { return g.arm.is_pretrained == is_pretrained; }))
      continue;
    const std::string of = is_pretrained ? "Pretrained: " : "From scratch: ";
    const auto table = [&](const std::string& title, auto&& cell) {
      detail::print_levels(out, groups, o.levels, is_pretrained, of + title, cell);
    };
    table("right answers, drawn, in %", [](const arithmetic_group& g) { return detail::plus_minus(g.sampled()); });
    table("right answers, the most probable action each time, in %",
          [](const arithmetic_group& g) { return detail::plus_minus(g.greedy()); });
    table("backspaces an answer",
          [](const arithmetic_group& g) { return common::format("%.4f", g.erased_per_answer()); });
    table("right answers after one wrong digit, in %",
          [](const arithmetic_group& g) { return detail::plus_minus(g.repaired_one()); });
    table("one wrong digit erased, in %", [](const arithmetic_group& g) { return detail::plus_minus(g.erased_one()); });
    table("right answers after two wrong digits, in %",
          [](const arithmetic_group& g) { return detail::plus_minus(g.repaired_two()); });
    table("both wrong digits erased, in %",
          [](const arithmetic_group& g) { return detail::plus_minus(g.erased_two()); });
  }
  const std::vector<finding> findings = findings_of(groups, o);
  if (!findings.empty()) {
    out.line();
    out.line(out.strong("Findings: differences of right answers, drawn, in points") + out.faint("   95 % interval"));
  }
  for (const finding& f : findings)
    out.line("  " + common::padded_to(58, f.text) +
             common::format("%+5.1f (%+.1f to %+.1f)   ", 100 * f.by.value, 100 * f.by.low, 100 * f.by.high) +
             f.verdict());
  const arithmetic_group* best = nullptr;
  for (const arithmetic_group& g : groups)
    if (has_rollouts(g.arm.loss) && !g.sum.shown_repairs.empty() &&
        (!best || g.repaired_two().value > best->repaired_two().value))
      best = &g;
  if (!best) return;
  out.line();
  out.line(out.strong("Repairs") + out.faint("   " + group_of(best->arm) + "; the first digits were given, [-erased]"));
  for (std::size_t i = 0; i < std::min<std::size_t>(6, best->sum.shown_repairs.size()); ++i) {
    const shown_writing& s = best->sum.shown_repairs[i];
    out.line("  " + common::padded_to(46, s.prompt) + common::padded_to(26, in_line(s)) +
             (s.is_right ? out.in("32", "right") : out.in("31", "wrong") + out.faint(", " + s.right)));
  }
}

inline std::string csv_of(const std::vector<arithmetic_arm>& arms, const common::result_lines& results) {
  std::string csv;
  for (const arithmetic_arm& a : arms) {
    const nlohmann::json* r = results.find(name_of(a));
    if (!r) continue;
    const std::string arm = std::string(a.is_pretrained ? "pretrained " : "from scratch ") + name_of(a.loss);
    const auto line = [&](const char* measure, double value, double low = std::nan(""), double high = std::nan("")) {
      csv += csv_line("arithmetic", arm, a.level > 0 ? name_of(a.noise) : "none", a.level, std::to_string(a.seed),
                      measure, value, low, high);
    };
    const auto share = [&](const char* measure, const char* key, const char* of) {
      const emend::share s = emend::wilson_interval(r->at(key), r->at(of));
      line(measure, s.value, s.low, s.high);
    };
    share("right", "sampled", "asked");
    share("right, greedy", "greedy", "asked");
    share("right after one wrong digit", "repaired_one", "asked");
    share("right after two wrong digits", "repaired_two", "asked");
    share("one wrong digit erased", "erased_one", "asked");
    share("two wrong digits erased", "erased_two", "asked");
    line("backspaces an answer", r->at("erased").get<double>() / r->at("asked").get<double>());
    line("loss", r->at("loss"));
    line("outside", r->at("outside"));
  }
  return csv;
}

namespace detail {

inline constexpr std::array<const char*, 9> loss_colours{"#8b8a83", "#c2571a", "#2f6fb5", "#1f8a7d", "#d6453d",
                                                         "#7a5bb0", "#b8862b", "#c0528f", "#5c8a2f"};

template <class Measure>
std::string level_chart_of(const std::vector<arithmetic_group>& groups, const arithmetic_options& o, bool is_pretrained,
                           noise_kind noise, const std::string& what, Measure&& measure) {
  std::vector<std::string> levels;
  for (const double level : o.levels) levels.push_back(common::format("%g", level));
  std::vector<common::chart_series> series;
  for (std::size_t k = 0; k < loss_names.size(); ++k) {
    common::chart_series s{loss_names[k], loss_colours[k], {}, static_cast<loss_kind>(k) == loss_kind::likelihood};
    for (std::size_t l = 0; l < o.levels.size(); ++l)
      if (const arithmetic_group* g =
              find_group(groups, is_pretrained, static_cast<loss_kind>(k), noise, o.levels[l])) {
        const emend::share m = measure(*g);
        s.points.push_back({l, 100 * m.value, 100 * m.low, 100 * m.high});
      }
    if (!s.points.empty()) series.push_back(s);
  }
  return common::level_chart(what, std::string("noise before a token, ") + name_of(noise), levels, series, " %");
}

}  // namespace detail

inline std::string page_of(const std::vector<arithmetic_arm>& arms, const common::result_lines& results,
                           const arithmetic_options& o) {
  const std::vector<arithmetic_group> groups = groups_of(arms, results);
  if (groups.empty()) return "";
  std::string html;
  const shown_writing* first = nullptr;
  std::vector<shown_writing> played;
  for (const arithmetic_group& g : groups)
    if (has_rollouts(g.arm.loss) && g.arm.level > 0) {
      for (const auto* shown : {&g.sum.shown_repairs, &g.sum.shown})
        for (const shown_writing& s : *shown)
          if (s.is_right && s.actions > 3 && played.size() < 24) played.push_back(s);
    }
  if (!played.empty()) first = &played.front();
  if (first)
    html +=
        "<section><h2>Arithmetic: answers as they were written</h2>\n<p>Tokens appear, are struck out when the model "
        "erases them, and are written again. Digits that stand at the start of "
        "an answer were put there, wrong, by us.</p>\n" +
        playback_of(played) + "</section>\n";
  for (const bool is_pretrained : {true, false}) {
    const char* of = is_pretrained ? "pretrained on plentiful questions" : "from scratch";
    for (const noise_kind noise : {noise_kind::ground_truth, noise_kind::random}) {
      const std::string chart = detail::level_chart_of(groups, o, is_pretrained, noise, "right answers",
                                                       [](const arithmetic_group& g) { return g.sampled(); });
      if (chart.empty()) continue;
      html += "<section><h2>Arithmetic, " + std::string(of) + ", " + name_of(noise) +
              " noise: right answers</h2>\n<p>Drawn from the model, with 95 % Wilson intervals over questions and "
              "seeds. Without noise "
              "BC is MLE.</p>\n" +
              chart;
      html +=
          "<h2>Right answers after two wrong digits</h2>\n<p>Put after &ldquo;Solution:&rdquo;; the model must erase "
          "them.</p>\n" +
          detail::level_chart_of(groups, o, is_pretrained, noise, "right answers after two wrong digits",
                                 [](const arithmetic_group& g) { return g.repaired_two(); }) +
          "</section>\n";
    }
  }
  html +=
      "<section><h2>Arithmetic: all arms</h2>\n<div class=\"scroll\"><table><thead><tr><th>Arm</th><th "
      "class=\"number\">Seeds</th><th class=\"number\">Right, drawn</th><th class=\"number\">Right, "
      "greedy</th><th class=\"number\">Backspaces an answer</th><th class=\"number\">Right after one wrong "
      "digit</th><th class=\"number\">Right after two</th></tr></thead><tbody>\n";
  const auto percent = [](const emend::share& x) {
    return common::format("%.1f %% <small>(%.1f to %.1f)</small>", 100 * x.value, 100 * x.low, 100 * x.high);
  };
  for (const arithmetic_group& g : groups)
    html += "<tr><td style=\"white-space:nowrap\">" + common::escaped(group_of(g.arm)) +
            common::format("</td><td class=\"number\">%zu</td><td class=\"number\">", g.seeds.size()) +
            percent(g.sampled()) + "</td><td class=\"number\">" + percent(g.greedy()) +
            common::format("</td><td class=\"number\">%.4f</td><td class=\"number\">", g.erased_per_answer()) +
            percent(g.repaired_one()) + "</td><td class=\"number\">" + percent(g.repaired_two()) + "</td></tr>\n";
  html += "</tbody></table></div></section>\n";
  const std::vector<finding> findings = findings_of(groups, o);
  html +=
      "<section><h2>Arithmetic: the findings</h2>\n<p>Differences of right answers, drawn, in points, with 95 % "
      "intervals.</p>\n<div class=\"scroll\"><table><tbody>\n";
  for (const finding& f : findings)
    html += "<tr><td>" + common::escaped(f.text) +
            common::format("</td><td class=\"number\">%+.1f <small>(%+.1f to %+.1f)</small></td><td>", 100 * f.by.value,
                           100 * f.by.low, 100 * f.by.high) +
            f.verdict() + "</td></tr>\n";
  return html + "</tbody></table></div></section>\n";
}

}  // namespace sequence_match
